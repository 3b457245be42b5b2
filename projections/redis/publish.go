package redis

import (
	"context"

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
	return results, o.settle(ctx, &task{doing: "publish entitlements", script: publishScript, results: results,
		prepare: func(i int) (*request, error) { return o.publication(&entries[i]) }})
}

func (o *Outlet) publication(p *projections.Publication) (*request, error) {
	s, err := published.Seal(p.Account, p.Doc, o.order(uint64(p.Position), p.AsOf), o.opts.Lease, *o.keys.Load())
	if err != nil {
		return nil, err
	}
	return &request{content: s.Value[:s.Content], forged: 7, call: call{key: s.Key, args: []any{
		s.Value, s.Content, s.Order.String(), published.Schema, s.ValidUntil.UnixMilli(), s.Order.At.UnixMilli(),
		projections.MaxSkew.Milliseconds(), "", o.judging()}}}, nil
}

// judging is whether scripts are to give back what was there. Without keys
// nobody could tell whether it was ours.
func (o *Outlet) judging() string {
	if len(*o.keys.Load()) > 0 {
		return "1"
	}
	return ""
}

// Withdraw implements projections.Outlet.
func (o *Outlet) Withdraw(ctx context.Context, entries []projections.Withdrawal) ([]projections.Outcome, error) {
	results := make([]projections.Outcome, len(entries))
	return results, o.settle(ctx, &task{doing: "withdraw entitlements", script: withdrawScript, results: results,
		prepare: func(i int) (*request, error) { return o.withdrawal(&entries[i]), nil }})
}

func (o *Outlet) withdrawal(w *projections.Withdrawal) *request {
	return &request{forged: 2, call: call{key: published.Key(w.Account), args: []any{
		o.order(uint64(w.Position), w.AsOf).String(), published.Schema, "", o.judging()}}}
}
