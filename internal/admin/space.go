package admin

import (
	"context"
	"time"

	"github.com/weir-registry/weir/internal/errs"
	"github.com/weir-registry/weir/internal/iam"
)

// Space is what is held, and how much room there is for more.
type Space struct {
	Blobs, Bytes int64     // that are held
	Counted      time.Time // when these were; zero: not yet since the start
	Free, Total  int64     // bytes of the disk, now
	Keep         int64     // so many bytes are kept free: with less, new blobs pass through
}

// Full says that new blobs are not kept.
func (s Space) Full() bool { return s.Free < s.Keep }

// Space returns what is held, as it was counted lately, and the room that there is now.
// Action: weir:GetMetrics. Errors: errs.Unsupported where the disk is not known.
func (a *Admin) Space(_ context.Context, c iam.Caller) (Space, error) {
	if err := c.Allowed(getMetrics, anything); err != nil {
		return Space{}, err
	}
	if a.o.Space == nil {
		return Space{}, errs.New(errs.Unsupported, "this weir does not know its disk")
	}
	return a.o.Space()
}
