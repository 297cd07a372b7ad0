package admin_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weir-registry/weir/internal/admin"
	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/meta"
)

const week = 7 * 24 * time.Hour

// token is a version ID that a client chose.
func token(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// secret makes a secret called x with the value v1 as token(1).
func (h *house) secret() *admin.Secret {
	h.t.Helper()
	s, id, err := h.CreateSecret(h.t.Context(), root, admin.CreateSecretInput{Name: "x", ClientToken: token(1), Value: []byte("v1")})
	check(h.t, err)
	diff(h.t, "version", token(1), id)
	return s
}

// stages returns each version's stages, in the order of the versions.
func stages(s *admin.Secret) (all []string) {
	for _, v := range s.Versions {
		all = append(all, v.ID[len(v.ID)-1:]+" "+strings.Join(v.Stages, ","))
	}
	return all
}

// value returns a value with its stages.
func (h *house) value(id, version, stage string) string {
	h.t.Helper()
	_, v, value, _, err := h.SecretValue(h.t.Context(), root, id, version, stage)
	if err != nil {
		return errs.CodeOf(err).String()
	}
	return string(value) + " " + strings.Join(v.Stages, ",")
}

func (h *house) put(n int, value string, stages ...string) *admin.Secret {
	h.t.Helper()
	s, v, err := h.PutSecretValue(h.t.Context(), root, "x", token(n), []byte(value), false, stages)
	check(h.t, err)
	diff(h.t, "version", token(n), v.ID)
	return s
}

func TestCreateSecret(t *testing.T) {
	h := newHouse(t)
	in := admin.CreateSecretInput{
		Name: "ecr-pullthroughcache/x", Description: "für \x00", ClientToken: token(1), Value: []byte("v1"), Binary: true,
		Tags: []admin.Tag{{Key: "b", Value: "1"}, {Key: "a"}},
	}
	s, id, err := h.CreateSecret(t.Context(), root, in)
	check(t, err)
	want := &admin.Secret{
		ARN: s.ARN, Name: in.Name, Description: in.Description, Created: h.now, Changed: h.now, Tags: in.Tags,
		Versions: []admin.SecretVersion{{ID: token(1), Stages: []string{"AWSCURRENT"}, Created: h.now}},
	}
	diff(t, "created", want, s)
	diff(t, "version", token(1), id)
	if !regexp.MustCompile(`^arn:aws:secretsmanager:local:123456789012:secret:ecr-pullthroughcache/x-[A-Za-z0-9]{6}$`).MatchString(s.ARN) {
		t.Errorf("ARN %s", s.ARN)
	}
	got, err := h.Secret(t.Context(), root, in.Name)
	check(t, err)
	diff(t, "described", want, got)
	_, _, value, binary, err := h.SecretValue(t.Context(), root, in.Name, "", "")
	check(t, err)
	diff(t, "value", "v1 true", fmt.Sprint(string(value), " ", binary))

	again, id, err := h.CreateSecret(t.Context(), root, in)
	check(t, err)
	diff(t, "created again", token(1)+want.ARN, id+again.ARN)
	for name, change := range map[string]func(*admin.CreateSecretInput){
		"another value":   func(in *admin.CreateSecretInput) { in.Value = []byte("v2") },
		"as a string":     func(in *admin.CreateSecretInput) { in.Binary = false },
		"another token":   func(in *admin.CreateSecretInput) { in.ClientToken = token(2) },
		"without a token": func(in *admin.CreateSecretInput) { in.ClientToken = "" },
		"without a value": func(in *admin.CreateSecretInput) { in.Value = nil },
	} {
		other := in
		change(&other)
		_, _, err := h.CreateSecret(t.Context(), root, other)
		wantCode(t, name, errs.SecretExists, err)
	}
	diff(t, "as it was", "v1 AWSCURRENT", h.value(in.Name, "", ""))
}

func TestCreateSecretRefused(t *testing.T) {
	many := make([]admin.Tag, 51)
	for i := range many {
		many[i].Key = fmt.Sprint("k", i)
	}
	for _, tt := range []struct {
		name string
		in   admin.CreateSecretInput
		code errs.Code
	}{
		{"no name", admin.CreateSecretInput{}, errs.ParamInvalid},
		{"space", admin.CreateSecretInput{Name: "a b"}, errs.ParamInvalid},
		{"longest name", admin.CreateSecretInput{Name: strings.Repeat("a", 512)}, 0},
		{"longer name", admin.CreateSecretInput{Name: strings.Repeat("a", 513)}, errs.ParamInvalid},
		{"every character", admin.CreateSecretInput{Name: "aZ0/_+=.@!-"}, 0},
		{"empty value", admin.CreateSecretInput{Name: "a", Value: []byte{}}, errs.ParamInvalid},
		{"longest value", admin.CreateSecretInput{Name: "b", Value: make([]byte, 65536)}, 0},
		{"longer value", admin.CreateSecretInput{Name: "a", Value: make([]byte, 65537)}, errs.ParamInvalid},
		{"short token", admin.CreateSecretInput{Name: "a", Value: []byte("v"), ClientToken: "short"}, errs.ParamInvalid},
		{"token with a space", admin.CreateSecretInput{Name: "a", Value: []byte("v"), ClientToken: strings.Repeat("a ", 20)}, errs.ParamInvalid},
		{"long description", admin.CreateSecretInput{Name: "a", Description: strings.Repeat("d", 2049)}, errs.ParamInvalid},
		{"too many tags", admin.CreateSecretInput{Name: "a", Tags: many}, errs.LimitExceeded},
		{"tag twice", admin.CreateSecretInput{Name: "a", Tags: []admin.Tag{{Key: "k"}, {Key: "k"}}}, errs.ParamInvalid},
		{"tag without a key", admin.CreateSecretInput{Name: "a", Tags: []admin.Tag{{}}}, errs.ParamInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			_, _, err := h.CreateSecret(t.Context(), root, tt.in)
			if tt.code == 0 {
				check(t, err)
				return
			}
			wantCode(t, "error", tt.code, err)
			all, _, err := h.Secrets(t.Context(), root, "", 0, true)
			check(t, err)
			diff(t, "secrets", 0, len(all))
		})
	}
}

// TestNoValue: a secret without a value has no version, until it gets one.
func TestNoValue(t *testing.T) {
	h := newHouse(t)
	s, id, err := h.CreateSecret(t.Context(), root, admin.CreateSecretInput{Name: "x", ClientToken: token(1)})
	check(t, err)
	diff(t, "version", "", id)
	diff(t, "versions", 0, len(s.Versions))
	_, _, _, _, err = h.SecretValue(t.Context(), root, "x", "", "")
	wantCode(t, "value", errs.SecretUnknown, err)
	if err != nil && err.Error() != "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT" {
		t.Error(err)
	}
	diff(t, "first version", []string{"1 mine,AWSCURRENT"}, stages(h.put(1, "v1", "mine")))
}

func TestSecretNames(t *testing.T) {
	h := newHouse(t)
	// The second name looks like the first one's whole ARN.
	short, _, err := h.CreateSecret(t.Context(), root, admin.CreateSecretInput{Name: "x"})
	check(t, err)
	long, _, err := h.CreateSecret(t.Context(), root, admin.CreateSecretInput{Name: "x-abcdef"})
	check(t, err)
	part := func(arn string) string { return arn[:len(arn)-7] }
	flip := func(arn string) string { return arn[:len(arn)-1] + "_" }
	for _, tt := range []struct{ name, id, want string }{
		{"name", "x", "x"},
		{"ARN", short.ARN, "x"},
		{"part of an ARN", part(short.ARN), "x"},
		{"another suffix", flip(short.ARN), ""},
		{"name like an ARN", "x-abcdef", "x-abcdef"},
		{"its ARN", long.ARN, "x-abcdef"},
		{"part of its ARN", part(long.ARN), "x-abcdef"},
		{"another region", strings.Replace(short.ARN, ":local:", ":other:", 1), ""},
		{"another registry", strings.Replace(short.ARN, registryID, "999999999999", 1), ""},
		{"another service", "arn:aws:s3:::x", ""},
		{"suffix without an ARN", short.ARN[strings.LastIndex(short.ARN, ":")+1:], ""},
		{"nothing", "", ""},
		{"not text", "\xff\x00", ""},
	} {
		s, err := h.Secret(t.Context(), root, tt.id)
		if tt.want == "" {
			wantCode(t, tt.name, errs.SecretUnknown, err)
			continue
		}
		check(t, err)
		diff(t, tt.name, tt.want, s.Name)
	}
}

func TestVersions(t *testing.T) {
	h := newHouse(t)
	h.secret()
	diff(t, "second", []string{"1 AWSPREVIOUS", "2 AWSCURRENT"}, stages(h.put(2, "v2")))
	diff(t, "third", []string{"1 ", "2 AWSPREVIOUS", "3 AWSCURRENT"}, stages(h.put(3, "v3")))
	diff(t, "not current", []string{"1 ", "2 AWSPREVIOUS", "3 AWSCURRENT", "4 AWSPENDING"}, stages(h.put(4, "v4", "AWSPENDING")))
	diff(t, "pending moves", []string{"1 ", "2 AWSPREVIOUS", "3 AWSCURRENT", "4 ", "5 AWSPENDING,x"}, stages(h.put(5, "v5", "AWSPENDING", "x")))
	for _, tt := range []struct{ version, stage, want string }{
		{"", "", "v3 AWSCURRENT"}, {"", "AWSPREVIOUS", "v2 AWSPREVIOUS"}, {"", "x", "v5 AWSPENDING,x"},
		{token(1), "", "v1 "}, {token(5), "x", "v5 AWSPENDING,x"}, {token(5), "AWSCURRENT", "Conflict"},
		{"", "none", "SecretUnknown"}, {token(9), "", "SecretUnknown"},
	} {
		diff(t, tt.version+" "+tt.stage, tt.want, h.value("x", tt.version, tt.stage))
	}

	// The same again changes nothing, not even the stages.
	h.pass(time.Hour)
	s := h.put(1, "v1")
	diff(t, "again", []string{"1 ", "2 AWSPREVIOUS", "3 AWSCURRENT", "4 ", "5 AWSPENDING,x"}, stages(s))
	diff(t, "changed", h.now.Add(-time.Hour), s.Changed)
	_, _, err := h.PutSecretValue(t.Context(), root, "x", token(1), []byte("other"), false, nil)
	wantCode(t, "another value", errs.SecretExists, err)
	_, _, err = h.PutSecretValue(t.Context(), root, "x", token(1), []byte("v1"), true, nil)
	wantCode(t, "as binary", errs.SecretExists, err)

	for name, f := range map[string]func() error{
		"no value": func() error { _, _, err := h.PutSecretValue(t.Context(), root, "x", "", nil, false, nil); return err },
		"bad stage": func() error {
			_, _, err := h.PutSecretValue(t.Context(), root, "x", "", []byte("v"), false, []string{"a b"})
			return err
		},
		"many stages": func() error {
			_, _, err := h.PutSecretValue(t.Context(), root, "x", "", []byte("v"), false, make([]string, 21))
			return err
		},
	} {
		wantCode(t, name, errs.ParamInvalid, f())
	}
	_, _, err = h.PutSecretValue(t.Context(), root, "y", "", []byte("v"), false, nil)
	wantCode(t, "no secret", errs.SecretUnknown, err)
}

func TestUpdateSecret(t *testing.T) {
	h := newHouse(t)
	h.secret()
	h.pass(time.Hour)
	text := "what it is for"
	s, id, err := h.UpdateSecret(t.Context(), root, "x", &text, "", nil, false)
	check(t, err)
	diff(t, "no version", "", id)
	diff(t, "described", text+h.now.String(), s.Description+s.Changed.String())
	s, id, err = h.UpdateSecret(t.Context(), root, "x", nil, token(2), []byte("v2"), false)
	check(t, err)
	diff(t, "version", token(2), id)
	diff(t, "stages", []string{"1 AWSPREVIOUS", "2 AWSCURRENT"}, stages(s))
	diff(t, "description stays", text, s.Description)
	_, id, err = h.UpdateSecret(t.Context(), root, "x", nil, "", []byte("v3"), false)
	check(t, err)
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("version %s", id)
	}
	_, _, err = h.UpdateSecret(t.Context(), root, "x", nil, token(2), []byte("v4"), false)
	wantCode(t, "another value", errs.SecretExists, err)
}

func TestMoveStage(t *testing.T) {
	for _, tt := range []struct {
		name, stage, from, to string
		want                  []string
		code                  errs.Code
	}{
		{"current back", "AWSCURRENT", token(3), token(1), []string{"1 AWSCURRENT", "2 ", "3 AWSPREVIOUS"}, 0},
		{"current to the previous one", "AWSCURRENT", token(3), token(2), []string{"1 ", "2 AWSCURRENT", "3 AWSPREVIOUS"}, 0},
		{"current to itself", "AWSCURRENT", "", token(3), []string{"1 ", "2 AWSPREVIOUS", "3 AWSCURRENT"}, 0},
		{"a new stage", "mine", "", token(1), []string{"1 mine", "2 AWSPREVIOUS", "3 AWSCURRENT"}, 0},
		{"previous away", "AWSPREVIOUS", token(2), "", []string{"1 ", "2 ", "3 AWSCURRENT"}, 0},
		{"current away", "AWSCURRENT", token(3), "", nil, errs.ParamInvalid},
		{"without from", "AWSCURRENT", "", token(1), nil, errs.ParamInvalid},
		{"wrong from", "AWSCURRENT", token(2), token(1), nil, errs.ParamInvalid},
		{"from that has none", "mine", token(2), token(1), nil, errs.ParamInvalid},
		{"to nowhere", "AWSCURRENT", token(3), token(9), nil, errs.SecretUnknown},
		{"no stage", "", "", token(1), nil, errs.ParamInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			h.secret()
			h.put(2, "v2")
			h.put(3, "v3")
			s, err := h.MoveStage(t.Context(), root, "x", tt.stage, tt.from, tt.to)
			if tt.code != 0 {
				wantCode(t, "error", tt.code, err)
				return
			}
			check(t, err)
			diff(t, "stages", tt.want, stages(s))
		})
	}
}

// TestManyVersions: what has no stage goes when there are too many, oldest first.
func TestManyVersions(t *testing.T) {
	h := newHouse(t)
	h.secret()
	for n := 2; n <= 102; n++ {
		_, _, err := h.PutSecretValue(t.Context(), root, "x", token(n), []byte("v"), false, nil)
		check(t, err)
	}
	s, err := h.Secret(t.Context(), root, "x")
	check(t, err)
	diff(t, "versions", 100, len(s.Versions))
	diff(t, "first", token(3), s.Versions[0].ID)
	diff(t, "current", "v AWSCURRENT", h.value("x", token(102), ""))
}

func TestDeleteSecret(t *testing.T) {
	h := newHouse(t)
	made := h.secret()
	for _, window := range []time.Duration{week - 1, 30*24*time.Hour + 1, -1} {
		_, err := h.DeleteSecret(t.Context(), root, "x", window)
		wantCode(t, fmt.Sprint(window), errs.ParamInvalid, err)
	}
	s, err := h.DeleteSecret(t.Context(), root, made.ARN, week)
	check(t, err)
	diff(t, "marked", h.now.String()+h.now.Add(week).String(), s.Deleted.String()+s.DeleteAt.String())
	described, err := h.Secret(t.Context(), root, "x")
	check(t, err)
	diff(t, "described", s, described)
	text := "d"
	for name, f := range map[string]func() error{
		"value": func() error { _, _, _, _, err := h.SecretValue(t.Context(), root, "x", "", ""); return err },
		"put": func() error {
			_, _, err := h.PutSecretValue(t.Context(), root, "x", "", []byte("v"), false, nil)
			return err
		},
		"update": func() error { _, _, err := h.UpdateSecret(t.Context(), root, "x", &text, "", nil, false); return err },
		"stage":  func() error { _, err := h.MoveStage(t.Context(), root, "x", "mine", "", token(1)); return err },
		"tag":    func() error { return h.TagSecret(t.Context(), root, "x", []admin.Tag{{Key: "k"}}) },
		"untag":  func() error { return h.UntagSecret(t.Context(), root, "x", []string{"k"}) },
		"delete": func() error { _, err := h.DeleteSecret(t.Context(), root, "x", week); return err },
		"another": func() error {
			_, _, err := h.CreateSecret(t.Context(), root, admin.CreateSecretInput{Name: "x"})
			return err
		},
	} {
		wantCode(t, name, errs.Conflict, f())
	}
	names := func(deleted bool) int {
		all, _, err := h.Secrets(t.Context(), root, "", 0, deleted)
		check(t, err)
		return len(all)
	}
	diff(t, "listed", 0, names(false))
	diff(t, "listed with those marked", 1, names(true))

	h.pass(week - time.Second)
	s, err = h.RestoreSecret(t.Context(), root, "x")
	check(t, err)
	diff(t, "restored", made, s)
	diff(t, "value", "v1 AWSCURRENT", h.value("x", "", ""))
	_, err = h.RestoreSecret(t.Context(), root, "x")
	check(t, err)

	_, err = h.DeleteSecret(t.Context(), root, "x", week)
	check(t, err)
	h.pass(week)
	for _, id := range []string{"x", made.ARN} {
		_, err = h.Secret(t.Context(), root, id)
		wantCode(t, "gone", errs.SecretUnknown, err)
		_, err = h.RestoreSecret(t.Context(), root, id)
		wantCode(t, "restore of what is gone", errs.SecretUnknown, err)
	}
	diff(t, "listed", 0, names(true))
}

// TestCreatedAnew: a secret with the name of one that is gone is another.
func TestCreatedAnew(t *testing.T) {
	h := newHouse(t)
	first := h.secret()
	s, err := h.DeleteSecret(t.Context(), root, "x", 0)
	check(t, err)
	diff(t, "deleted", first.ARN+h.now.String(), s.ARN+s.DeleteAt.String())
	second := h.secret()
	if first.ARN == second.ARN {
		t.Fatalf("both are %s", first.ARN)
	}
	_, err = h.Secret(t.Context(), root, first.ARN)
	wantCode(t, "the first", errs.SecretUnknown, err)
	_, err = h.DeleteSecret(t.Context(), root, "x", week)
	check(t, err)
	h.pass(week)
	third := h.secret()
	if third.ARN == second.ARN {
		t.Errorf("both are %s", third.ARN)
	}
	_, err = h.DeleteSecret(t.Context(), root, "x", week)
	check(t, err)
	_, err = h.DeleteSecret(t.Context(), root, "x", 0)
	check(t, err)
	gone, err := h.DeleteSecret(t.Context(), root, "x", 0)
	check(t, err)
	diff(t, "deleted though there is none", "x", gone.Name)
	_, err = h.DeleteSecret(t.Context(), root, "x", week)
	wantCode(t, "with a window", errs.SecretUnknown, err)
}

func TestSecretTags(t *testing.T) {
	h := newHouse(t)
	h.secret()
	check(t, h.TagSecret(t.Context(), root, "x", []admin.Tag{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}}))
	check(t, h.TagSecret(t.Context(), root, "x", []admin.Tag{{Key: "b", Value: "3"}, {Key: "c"}}))
	tags := func() []admin.Tag {
		s, err := h.Secret(t.Context(), root, "x")
		check(t, err)
		return s.Tags
	}
	diff(t, "tags", []admin.Tag{{Key: "b", Value: "3"}, {Key: "a", Value: "2"}, {Key: "c"}}, tags())
	check(t, h.UntagSecret(t.Context(), root, "x", []string{"b", "none"}))
	diff(t, "tags", []admin.Tag{{Key: "a", Value: "2"}, {Key: "c"}}, tags())
	wantCode(t, "long key", errs.ParamInvalid, h.TagSecret(t.Context(), root, "x", []admin.Tag{{Key: strings.Repeat("k", 129)}}))
	wantCode(t, "no secret", errs.SecretUnknown, h.TagSecret(t.Context(), root, "y", nil))
	check(t, h.UntagSecret(t.Context(), root, "x", []string{"a", "c"}))
	diff(t, "tags", []admin.Tag(nil), tags())
}

func TestSecretPages(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"c", "a", "b"} {
		_, _, err := h.CreateSecret(t.Context(), root, admin.CreateSecretInput{Name: name, Value: []byte("v")})
		check(t, err)
	}
	first, next, err := h.Secrets(t.Context(), root, "", 2, false)
	check(t, err)
	diff(t, "first page", "a b, then b", first[0].Name+" "+first[1].Name+", then "+next)
	diff(t, "versions", 1, len(first[0].Versions))
	last, next, err := h.Secrets(t.Context(), root, next, 2, false)
	check(t, err)
	diff(t, "last page", "1 c", fmt.Sprint(len(last), " ", last[0].Name, next))
}

// TestAccessed: the day of the last read is kept, and a read of the same day writes
// nothing.
func TestAccessed(t *testing.T) {
	h := newHouse(t)
	h.secret()
	day := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		pass   time.Duration
		day    time.Time
		writes int64
	}{{0, day, 1}, {time.Hour, day, 0}, {24 * time.Hour, day.Add(24 * time.Hour), 1}, {-48 * time.Hour, day.Add(24 * time.Hour), 0}} {
		h.pass(tt.pass)
		before := h.commits.Load()
		h.value("x", "", "")
		diff(t, "writes", tt.writes, h.commits.Load()-before)
		s, err := h.Secret(t.Context(), root, "x")
		check(t, err)
		diff(t, "day", tt.day, s.Accessed)
	}
}

func TestCredential(t *testing.T) {
	h := newHouse(t)
	arn := h.credential("hub", `{"username":"u","accessToken":"t0ken"}`)
	get := func(arn string) (string, error) {
		u, token, err := h.Credential(t.Context(), arn)
		return u + ":" + token, err
	}
	got, err := get(arn)
	check(t, err)
	diff(t, "credential", "u:t0ken", got)
	_, _, err = h.PutSecretValue(t.Context(), root, arn, "", []byte(` {"accessToken":"new","username":"u","more":1} `), true, nil)
	check(t, err)
	got, err = get(arn)
	check(t, err)
	diff(t, "rotated", "u:new", got)

	for _, value := range []string{"test", "{}", `{"username":"u"}`, `{"username":"u","accessToken":""}`, `{"username":"u","accessToken":7}`, `["s3cret"]`} {
		_, _, err := h.PutSecretValue(t.Context(), root, arn, "", []byte(value), false, nil)
		check(t, err)
		_, err = get(arn)
		wantCode(t, value, errs.ParamInvalid, err)
		if err != nil && (strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "accessToken")) {
			t.Errorf("%v", err)
		}
	}
	none, _, err := h.CreateSecret(t.Context(), root, admin.CreateSecretInput{Name: "ecr-pullthroughcache/none"})
	check(t, err)
	unknown := map[string]string{
		"has no value": none.ARN, "does not exist": arn[:len(arn)-7], "it was deleted": arn[:len(arn)-1] + "_",
		"secret hub does not exist": "hub",
	}
	for words, id := range unknown {
		_, err := get(id)
		if wantCode(t, words, errs.SecretUnknown, err); err != nil && !strings.Contains(err.Error(), words) {
			t.Errorf("%v does not say %q", err, words)
		}
	}
	_, err = h.DeleteSecret(t.Context(), root, arn, week)
	check(t, err)
	_, err = get(arn)
	if wantCode(t, "marked", errs.SecretUnknown, err); err != nil && !strings.Contains(err.Error(), "marked for deletion") {
		t.Error(err)
	}
}

// swap puts another sealed value into the version of a secret.
func (h *house) swap(name string, sealed []byte) {
	h.t.Helper()
	var made *meta.Secret
	check(h.t, h.db.ChangeSecret(h.t.Context(), name, func(s *meta.Secret) (*meta.Secret, error) {
		made = &meta.Secret{Name: s.Name, Suffix: s.Suffix}
		for _, v := range s.Versions {
			made.Versions = append(made.Versions, meta.SecretVersion{ID: v.ID, Stages: v.Stages, Sealed: sealed})
		}
		return nil, nil
	}))
	check(h.t, h.db.ChangeSecret(h.t.Context(), name, func(*meta.Secret) (*meta.Secret, error) { return made, nil }))
}

// TestSealed: what is stored does not have the value, and a sealed value counts only
// where it was put.
func TestSealed(t *testing.T) {
	h := newHouse(t)
	_, _, err := h.CreateSecret(t.Context(), root, admin.CreateSecretInput{Name: "x", Value: []byte("correct horse battery")})
	check(t, err)
	_, _, err = h.CreateSecret(t.Context(), root, admin.CreateSecretInput{Name: "y", Value: []byte("staple")})
	check(t, err)
	for _, file := range []string{h.path, h.path + "-wal"} {
		text, err := os.ReadFile(file)
		check(t, err)
		if bytes.Contains(text, []byte("correct horse")) {
			t.Errorf("%s has the value", file)
		}
	}
	x, err := h.db.Secret(t.Context(), "x")
	check(t, err)
	h.swap("y", x.Versions[0].Sealed)
	_, _, value, _, err := h.SecretValue(t.Context(), root, "y", "", "")
	wantCode(t, "moved value", errs.Internal, err)
	diff(t, "value", 0, len(value))
}
