package admin

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
	"github.com/weir-registry/weir/internal/meta"
)

// Key is an access key without its secret.
type Key struct {
	ID      string
	User    string
	Active  bool
	Created time.Time
	Expires time.Time // zero: never
}

// base32 is the alphabet of access keys' IDs and secrets.
const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// CreateKey creates an access key and returns its secret, which nobody is told again.
// expires is zero for never.
// Action: iam:CreateAccessKey. Errors: errs.UserUnknown, errs.ParamInvalid if expires
// is past.
func (a *Admin) CreateKey(ctx context.Context, c iam.Caller, user string, expires time.Time) (k Key, secret string, err error) {
	if err := c.Allowed("iam:CreateAccessKey", a.userARN(user)); err != nil {
		return Key{}, "", err
	}
	now := a.now()
	if !expires.IsZero() {
		expires = expires.UTC().Truncate(time.Microsecond)
		if !expires.After(now) {
			return Key{}, "", errs.New(errs.ParamInvalid, "The access key would expire at %s, which is past.", expires.Format(time.RFC3339))
		}
	}
	id := "AKIA" + random(16, base32)
	secret = random(40, base32)
	row := meta.Key{
		ID: id, Principal: user, Active: true, Created: now, Expires: expires,
		Sealed: a.o.Keys.Seal([]byte(secret), keyContext(id)),
	}
	if err := a.o.DB.CreateKey(ctx, row); err != nil {
		return Key{}, "", err
	}
	return viewKey(row), secret, nil
}

// keyContext binds a sealed secret to its access key, as package auth opens it.
func keyContext(id string) []byte { return []byte("access key " + id) }

// Keys returns a user's access keys by ID; those of all users if user is "". The root
// key is nobody's.
// Action: iam:ListAccessKeys. Errors: errs.UserUnknown.
func (a *Admin) Keys(ctx context.Context, c iam.Caller, user string) ([]Key, error) {
	resource := anything
	if user != "" {
		resource = a.userARN(user)
	}
	if err := c.Allowed("iam:ListAccessKeys", resource); err != nil {
		return nil, err
	}
	rows, err := a.keysOf(ctx, user)
	if err != nil {
		return nil, err
	}
	var keys []Key
	for _, k := range rows {
		if !k.Root {
			keys = append(keys, viewKey(k))
		}
	}
	return keys, nil
}

func (a *Admin) keysOf(ctx context.Context, user string) ([]meta.Key, error) {
	if user == "" {
		return a.o.DB.Keys(ctx)
	}
	if _, err := a.o.DB.User(ctx, user); err != nil {
		return nil, err
	}
	return a.o.DB.KeysOf(ctx, user)
}

// SetKeyActive makes an access key count or not count. The root key always counts.
// Action: iam:UpdateAccessKey on the key's user. Errors: errs.KeyUnknown.
func (a *Admin) SetKeyActive(ctx context.Context, c iam.Caller, id string, active bool) error {
	return a.changeKey(ctx, c, "iam:UpdateAccessKey", id, func(k *meta.Key) *meta.Key {
		k.Active = active
		return k
	})
}

// DeleteKey deletes an access key, but never the root key.
// Action: iam:DeleteAccessKey on the key's user. Errors: errs.KeyUnknown.
func (a *Admin) DeleteKey(ctx context.Context, c iam.Caller, id string) error {
	return a.changeKey(ctx, c, "iam:DeleteAccessKey", id, func(*meta.Key) *meta.Key { return nil })
}

// changeKey decides on the user that has the key. Who may not do it to every user is
// not told whether there is a key.
func (a *Admin) changeKey(ctx context.Context, c iam.Caller, action, id string, f func(*meta.Key) *meta.Key) error {
	k, err := a.o.DB.Key(ctx, id)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || k.Root {
		if err := c.Allowed(action, a.userARN("*")); err != nil {
			return err
		}
		return errs.New(errs.KeyUnknown, "The Access Key with id %s cannot be found.", id)
	}
	if denied := c.Allowed(action, a.userARN(k.Principal)); denied != nil {
		// In the words for a key that there is not.
		if err := c.Allowed(action, a.userARN("*")); err != nil {
			return err
		}
		return denied
	}
	err = a.o.DB.ChangeKey(ctx, id, func(k *meta.Key) (*meta.Key, error) { return f(k), nil })
	if errors.Is(err, fs.ErrNotExist) {
		return errs.New(errs.KeyUnknown, "The Access Key with id %s cannot be found.", id)
	}
	return err
}

func viewKey(k meta.Key) Key {
	return Key{ID: k.ID, User: k.Principal, Active: k.Active, Created: k.Created, Expires: k.Expires}
}
