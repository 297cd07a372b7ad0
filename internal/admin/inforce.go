package admin

import (
	"context"
	"slices"

	"github.com/weir-registry/weir/internal/iam"
)

// Value is a value of the configuration: its key in the file, and what it is, in words
// that have no secret in them; "" is what the file does not say.
type Value struct{ Key, Value string }

// InForce returns the values of the configuration that hold, in the order of the file.
// Action: weir:GetSettings.
func (a *Admin) InForce(_ context.Context, c iam.Caller) ([]Value, error) {
	if err := c.Allowed("weir:GetSettings", anything); err != nil {
		return nil, err
	}
	return slices.Clone(a.o.InForce), nil
}
