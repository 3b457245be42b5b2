package redis

import (
	"context"
	"errors"

	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/published"
)

// outcomes are the words of the scripts.
var outcomes = map[string]projections.Outcome{
	"written": projections.OutcomeWritten, "renewed": projections.OutcomeRenewed, "replaced": projections.OutcomeReplaced,
	"withdrawn": projections.OutcomeWithdrawn, "older": projections.OutcomeOlder, "newer_schema": projections.OutcomeNewerSchema,
	"wrong_type": projections.OutcomeWrongType, "lapsed": projections.OutcomeLapsed, "skewed": projections.OutcomeSkewed,
}

// request is one entry that a script is asked to write or to remove.
type request struct {
	call
	// place is where its outcome belongs.
	place int
	// content is the beginning of what is written that a script does not give back.
	content []byte
	// forged is the place of the argument that names what may go in any case.
	forged int
}

// Publish implements projections.Outlet.
func (o *Outlet) Publish(ctx context.Context, entries []projections.Publication) ([]projections.Outcome, error) {
	results := make([]projections.Outcome, len(entries))
	requests := make([]*request, 0, len(entries))
	var invalid error
	for i := range entries {
		e := &entries[i]
		sealed, err := published.Seal(e.Account, e.Doc, o.order(uint64(e.Position), e.AsOf), o.opts.Lease, o.opts.Keys)
		if err != nil {
			results[i], invalid = projections.OutcomeInvalid, err
			continue
		}
		requests = append(requests, o.publication(i, &sealed))
	}
	return results, errors.Join(invalid, o.settle(ctx, "publish entitlements", publishScript, requests, results))
}

func (o *Outlet) publication(place int, s *published.Sealed) *request {
	return &request{place: place, content: s.Value[:s.Content], forged: 7, call: call{key: s.Key, args: []any{
		s.Value, s.Content, s.Order.String(), published.Schema, s.ValidUntil.UnixMilli(), s.Order.At.UnixMilli(),
		projections.MaxSkew.Milliseconds(), "", o.judging()}}}
}

// judging is whether scripts are to give back what was there. Without keys
// nobody could tell whether it was ours.
func (o *Outlet) judging() string {
	if len(o.opts.Keys) > 0 {
		return "1"
	}
	return ""
}

// Withdraw implements projections.Outlet.
func (o *Outlet) Withdraw(ctx context.Context, entries []projections.Withdrawal) ([]projections.Outcome, error) {
	results := make([]projections.Outcome, len(entries))
	requests := make([]*request, len(entries))
	for i, e := range entries {
		requests[i] = &request{place: i, forged: 2, call: call{key: published.Key(e.Account), args: []any{
			o.order(uint64(e.Position), e.AsOf).String(), published.Schema, "", o.judging()}}}
	}
	return results, o.settle(ctx, "withdraw entitlements", withdrawScript, requests, results)
}
