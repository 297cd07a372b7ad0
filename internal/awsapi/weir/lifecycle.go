package weir

import (
	"context"
	"strconv"

	"github.com/opencontainers/go-digest"

	"github.com/weir-registry/weir/internal/awsapi"
	"github.com/weir-registry/weir/internal/errs"
)

// maxEvents is how many events ListLifecycleEvents returns at once.
const maxEvents = 100

type listLifecycleEventsInput struct {
	RepositoryName string `json:"repositoryName"`
	NextToken      string `json:"nextToken"` // of the page before
}

// lifecycleEvent is an image that a lifecycle policy removed or archived.
type lifecycleEvent struct {
	At                  awsapi.Time   `json:"at"`
	Action              string        `json:"action"`              // expire or transition
	AppliedRulePriority int           `json:"appliedRulePriority"` // 0: weir's own rule for what tags left
	ImageDigest         digest.Digest `json:"imageDigest"`
	ImageTags           []string      `json:"imageTags,omitempty"`
	ImagePushedAt       awsapi.Time   `json:"imagePushedAt"`
	SubjectDigest       digest.Digest `json:"subjectDigest,omitempty"` // the image that it went with
}

type listLifecycleEventsOutput struct {
	RepositoryName string           `json:"repositoryName"`
	Events         []lifecycleEvent `json:"events"` // newest first
	NextToken      string           `json:"nextToken,omitempty"`
}

func (o operations) listLifecycleEvents(ctx context.Context, c *awsapi.Call, in listLifecycleEventsInput) (*listLifecycleEventsOutput, error) {
	c.About(in.RepositoryName, "")
	var before int64
	if in.NextToken != "" {
		n, err := strconv.ParseInt(in.NextToken, 10, 64)
		if err != nil || n < 1 {
			return nil, errs.New(errs.ParamInvalid, "nextToken is not what this operation returned")
		}
		before = n
	}
	events, err := o.reg.LifecycleEvents(ctx, c.Caller, in.RepositoryName, before, maxEvents)
	if err != nil {
		return nil, err
	}
	out := &listLifecycleEventsOutput{RepositoryName: in.RepositoryName, Events: []lifecycleEvent{}}
	for _, e := range events {
		out.Events = append(out.Events, lifecycleEvent{
			At: awsapi.Time{Time: e.At}, Action: string(e.Action), AppliedRulePriority: e.Priority, ImageDigest: e.Digest,
			ImageTags: e.Tags, ImagePushedAt: awsapi.Time{Time: e.Pushed}, SubjectDigest: e.Subject,
		})
	}
	if n := len(events); n == maxEvents && events[n-1].N > 1 {
		out.NextToken = strconv.FormatInt(events[n-1].N, 10)
	}
	return out, nil
}
