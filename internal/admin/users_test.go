package admin_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/auth"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
)

const (
	pullOnly = "AmazonEC2ContainerRegistryPullOnly"
	readOnly = "AmazonEC2ContainerRegistryReadOnly"
	document = `{"Version":"2012-10-17","Statement":[{"Effect":"%s","Action":"ecr:ListImages","Resource":"*"}]}`
)

func (h *house) user(name string, policies ...string) *admin.User {
	h.t.Helper()
	u, err := h.CreateUser(h.t.Context(), root, name, policies)
	check(h.t, err)
	return u
}

func TestUsers(t *testing.T) {
	h := newHouse(t)
	want := &admin.User{Name: "ann", Created: h.now, Policies: []string{pullOnly, readOnly}}
	diff(t, "created", want, h.user("ann", "arn:aws:iam::aws:policy/"+readOnly, pullOnly, readOnly))
	got, err := h.User(t.Context(), root, "ann")
	check(t, err)
	diff(t, "user", want, got)
	h.user("bob")
	h.user("Carl+=,.@_-0")
	_, err = h.CreateUser(t.Context(), root, "ann", nil)
	wantCode(t, "twice", errs.UserExists, err)
	for _, name := range []string{"", "a b", "a/b", "ö", strings.Repeat("a", 65), "root", "anonymous"} {
		_, err := h.CreateUser(t.Context(), root, name, nil)
		wantCode(t, name, errs.ParamInvalid, err)
	}
	_, err = h.CreateUser(t.Context(), root, "dan", []string{"NoSuchPolicy"})
	if wantCode(t, "no such policy", errs.ParamInvalid, err); err != nil && !strings.Contains(err.Error(), pullOnly) {
		t.Errorf("%v does not say which there are", err)
	}
	_, err = h.CreateUser(t.Context(), allow("*", "iam:CreateUser"), "dan", []string{pullOnly})
	wantCode(t, "may not attach", errs.Denied, err)

	var names []string
	for after := ""; ; {
		users, next, err := h.Users(t.Context(), root, after, 2)
		check(t, err)
		for _, u := range users {
			names = append(names, fmt.Sprint(u.Name, len(u.Policies)))
		}
		if after = next; next == "" {
			break
		}
		names = append(names, "page")
	}
	diff(t, "users", []string{"Carl+=,.@_-00", "ann2", "page", "bob0"}, names)

	check(t, h.DeleteUser(t.Context(), root, "ann"))
	wantCode(t, "deleted twice", errs.UserUnknown, h.DeleteUser(t.Context(), root, "ann"))
	wantCode(t, "no name", errs.UserUnknown, h.DeleteUser(t.Context(), root, "\xff"))
	_, err = h.User(t.Context(), root, "ann")
	wantCode(t, "user", errs.UserUnknown, err)
}

// TestUserScope: a right on one user is no right on another.
func TestUserScope(t *testing.T) {
	h := newHouse(t)
	h.user("ann")
	h.user("bob")
	c := allow("arn:aws:iam::"+registryID+":user/ann", "iam:*")
	_, _, err := h.CreateKey(t.Context(), c, "ann", time.Time{})
	check(t, err)
	_, _, err = h.CreateKey(t.Context(), c, "bob", time.Time{})
	wantCode(t, "key of another", errs.Denied, err)
	key, _, err := h.CreateKey(t.Context(), root, "bob", time.Time{})
	check(t, err)
	there := h.SetKeyActive(t.Context(), c, key.ID, false)
	wantCode(t, "another's key", errs.Denied, there)
	nowhere := h.SetKeyActive(t.Context(), c, "AKIANOWHERE", false)
	wantCode(t, "no key", errs.Denied, nowhere)
	if there != nil && nowhere != nil && there.Error() != nowhere.Error() {
		t.Errorf("the refusals tell whether there is a key:\n%v\n%v", there, nowhere)
	}
}

func TestUserPolicies(t *testing.T) {
	h := newHouse(t)
	h.user("ann")
	ctx := t.Context()
	may := func(action string) bool {
		t.Helper()
		policies, err := h.Policies(ctx, "ann")
		check(t, err)
		return iam.Caller{Name: "ann", Policies: policies}.Allowed(action, "arn:aws:ecr:local:123456789012:repository/r") == nil
	}
	diff(t, "at first", false, may("ecr:BatchGetImage"))
	check(t, h.AttachPolicy(ctx, root, "ann", pullOnly))
	diff(t, "attached", true, may("ecr:BatchGetImage"))
	diff(t, "not in it", false, may("ecr:ListImages"))
	allowing, denying := fmt.Sprintf(document, "Allow"), fmt.Sprintf(document, "Deny")
	check(t, h.PutUserPolicy(ctx, root, "ann", "own", allowing))
	diff(t, "put", true, may("ecr:ListImages"))
	check(t, h.PutUserPolicy(ctx, root, "ann", "own", denying))
	diff(t, "put again", false, may("ecr:ListImages"))
	u, err := h.User(ctx, root, "ann")
	check(t, err)
	diff(t, "policies", []string{pullOnly, "inline:own"}, u.Policies)
	text, err := h.UserPolicy(ctx, root, "ann", "own")
	check(t, err)
	diff(t, "document", denying, text)
	check(t, h.AttachPolicy(ctx, root, "ann", readOnly))
	diff(t, "denied all the same", false, may("ecr:ListImages"))
	check(t, h.DeleteUserPolicy(ctx, root, "ann", "own"))
	diff(t, "denied no more", true, may("ecr:ListImages"))
	check(t, h.DetachPolicy(ctx, root, "ann", "arn:aws:iam::aws:policy/"+readOnly))
	check(t, h.DetachPolicy(ctx, root, "ann", pullOnly))
	diff(t, "detached", false, may("ecr:BatchGetImage"))

	_, get := h.UserPolicy(ctx, root, "ann", "own")
	for _, tt := range []struct {
		name string
		code errs.Code
		err  error
	}{
		{"get of nothing", errs.PolicyUnknown, get},
		{"delete of nothing", errs.PolicyUnknown, h.DeleteUserPolicy(ctx, root, "ann", "own")},
		{"detach of nothing", errs.PolicyUnknown, h.DetachPolicy(ctx, root, "ann", pullOnly)},
		{"detach of one's own", errs.PolicyUnknown, h.DetachPolicy(ctx, root, "ann", "inline:own")},
		{"attach of nothing", errs.ParamInvalid, h.AttachPolicy(ctx, root, "ann", "x")},
		{"no document", errs.ParamInvalid, h.PutUserPolicy(ctx, root, "ann", "own", "{")},
		{"no name", errs.ParamInvalid, h.PutUserPolicy(ctx, root, "ann", "", allowing)},
		{"long name", errs.ParamInvalid, h.PutUserPolicy(ctx, root, "ann", strings.Repeat("p", 129), allowing)},
		{"no user", errs.UserUnknown, h.PutUserPolicy(ctx, root, "bob", "own", allowing)},
		{"attach to nobody", errs.UserUnknown, h.AttachPolicy(ctx, root, "\xff", pullOnly)},
	} {
		wantCode(t, tt.name, tt.code, tt.err)
	}
	for n := range 20 {
		check(t, h.PutUserPolicy(ctx, root, "ann", fmt.Sprint("p", n), allowing))
	}
	wantCode(t, "one more", errs.LimitExceeded, h.PutUserPolicy(ctx, root, "ann", "more", allowing))
	check(t, h.PutUserPolicy(ctx, root, "ann", "p0", denying))
}

// TestPoliciesAreRemembered: no SQL and no parsing for who asked before, and a change
// counts at once.
func TestPoliciesAreRemembered(t *testing.T) {
	h := newHouse(t)
	h.user("ann", pullOnly)
	first, err := h.Policies(t.Context(), "ann")
	check(t, err)
	before := h.db.Queries()
	second, err := h.Policies(t.Context(), "ann")
	check(t, err)
	if h.db.Queries() != before || &first[0] != &second[0] {
		t.Error("it was read or parsed again")
	}
	nobody, err := h.Policies(t.Context(), "nobody")
	check(t, err)
	diff(t, "policies of nobody", 0, len(nobody))

	// What cannot be read any more may have been a deny: nothing is allowed then.
	check(t, h.db.ChangeUser(t.Context(), "ann", func(u *meta.User, _ int) (*meta.User, error) {
		u.Policies = append(u.Policies, meta.UserPolicy{Name: "inline:x", Document: []byte("{")})
		return u, nil
	}))
	if policies, err := h.Policies(t.Context(), "ann"); err == nil {
		t.Errorf("a damaged policy was read over: %v", policies)
	}
}

// TestKeys goes all the way to who is asking.
func TestKeys(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.user("ann", pullOnly)
	who := auth.New(h.db, h.keys, auth.Options{Registry: registryID, ARN: func(repo string) string { return repo }, Policies: h.Policies})
	address := netip.MustParseAddr("127.0.0.1")
	key, secret, err := h.CreateKey(ctx, root, "ann", time.Time{})
	check(t, err)
	diff(t, "key", admin.Key{ID: key.ID, User: "ann", Active: true, Created: h.now}, key)
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(key.ID) || len(secret) != 40 {
		t.Errorf("key %s, secret of %d characters", key.ID, len(secret))
	}
	login := func() error {
		c, err := who.Basic(ctx, address, key.ID, secret)
		if err == nil && (c.Name != "ann" || c.Root || c.Allowed("ecr:BatchGetImage", "*") != nil || c.Allowed("ecr:ListImages", "*") == nil) {
			t.Errorf("caller %+v", c)
		}
		return err
	}
	check(t, login())
	check(t, h.SetKeyActive(ctx, root, key.ID, false))
	wantCode(t, "not active", errs.Unauthenticated, login())
	check(t, h.SetKeyActive(ctx, root, key.ID, true))
	check(t, login())

	wantCode(t, "user with a key", errs.Conflict, h.DeleteUser(ctx, root, "ann"))
	check(t, h.DeleteKey(ctx, root, key.ID))
	wantCode(t, "deleted", errs.Unauthenticated, login())
	wantCode(t, "deleted twice", errs.KeyUnknown, h.DeleteKey(ctx, root, key.ID))
	wantCode(t, "change of what is gone", errs.KeyUnknown, h.SetKeyActive(ctx, root, key.ID, true))
	wantCode(t, "login after that", errs.Unauthenticated, login())
	check(t, h.DeleteUser(ctx, root, "ann"))

	for _, name := range []string{"ann", "", "root", "\xff"} {
		_, _, err := h.CreateKey(ctx, root, name, time.Time{})
		wantCode(t, "key of "+name, errs.UserUnknown, err)
	}
	for _, file := range []string{h.path, h.path + "-wal"} {
		text, err := os.ReadFile(file)
		check(t, err)
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s has the secret", file)
		}
	}
}

func TestKeyExpiry(t *testing.T) {
	h := newHouse(t)
	h.user("ann")
	for _, at := range []time.Time{h.now, h.now.Add(-time.Hour)} {
		_, _, err := h.CreateKey(t.Context(), root, "ann", at)
		wantCode(t, at.String(), errs.ParamInvalid, err)
	}
	key, _, err := h.CreateKey(t.Context(), root, "ann", h.now.Add(time.Hour).In(time.FixedZone("x", 3600)))
	check(t, err)
	diff(t, "expiry", h.now.Add(time.Hour), key.Expires)
	keys, err := h.Keys(t.Context(), root, "ann")
	check(t, err)
	diff(t, "keys", []admin.Key{key}, keys)
}

// TestRootKey: nobody sees, stops or deletes it.
func TestRootKey(t *testing.T) {
	h := newHouse(t)
	who := auth.New(h.db, h.keys, auth.Options{Registry: registryID, ARN: func(repo string) string { return repo }})
	id, _, _, err := who.CreateRoot(t.Context(), registryID)
	check(t, err)
	h.user("ann")
	key, _, err := h.CreateKey(t.Context(), root, "ann", time.Time{})
	check(t, err)
	keys, err := h.Keys(t.Context(), root, "")
	check(t, err)
	diff(t, "keys", []admin.Key{key}, keys)
	wantCode(t, "stop", errs.KeyUnknown, h.SetKeyActive(t.Context(), root, id, false))
	wantCode(t, "delete", errs.KeyUnknown, h.DeleteKey(t.Context(), root, id))
	_, err = h.Keys(t.Context(), root, "bob")
	wantCode(t, "keys of nobody", errs.UserUnknown, err)
	if _, _, err := who.Secret(t.Context(), id); err != nil {
		t.Error(err)
	}
}
