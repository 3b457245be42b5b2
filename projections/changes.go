package projections

import (
	"sync"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// changes is what a batch does to a model.
type changes struct {
	mu            sync.Mutex
	subscriptions []SubscriptionRow
	objects       []ObjectRow
	prices        []string // may hold one more than once
	failed        []Failure
	repaired      []string
	parked        []Parked
	// evaluated are the entitlements that were written, or dropped.
	evaluated []EntitlementRow
	// due is the earliest moment at which time changes what was written.
	due time.Time
}

func (c *changes) park(stream eventstore.Stream, f *fault, now time.Time) {
	if f == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parked = append(c.parked, f.park(stream, now))
}

func (c *changes) addPosting(stream eventstore.Stream, out postingOutcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case out.failure != nil:
		c.failed = append(c.failed, *out.failure)
	case out.known:
		c.repaired = append(c.repaired, stream.ID())
	}
}

// addRow adds what a stream folded into.
func (c *changes) addRow(made row, f *folded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if made.object != nil {
		c.objects = append(c.objects, *made.object)
		return
	}
	s := *made.subscription
	s.invoices, f.invoices = f.invoices, invoiceIDs(s.Truth)
	s.Before, s.from = f.written, f
	c.subscriptions = append(c.subscriptions, s)
	c.prices = append(c.prices, made.prices...)
}

// writeRows writes what events say, and what follows from it by the joins. It
// returns the accounts that must be evaluated: those to which anything that
// changed belongs, or belonged before.
func (c *changes) writeRows(j *rejoin, now time.Time) (affected, error) {
	objects, err := j.objects(c.objects)
	if err != nil {
		return nil, err
	}
	for _, row := range c.subscriptions {
		if err := j.subscription(row); err != nil {
			return nil, err
		}
	}
	if err := j.joined(); err != nil {
		return nil, err
	}
	for _, r := range objects {
		if err := j.follow(r, now); err != nil {
			return nil, err
		}
	}
	for _, price := range c.prices {
		if j.marks.has(markPrice, price) {
			continue
		}
		j.marks.put(markPrice, price)
		if err := j.tx.PutPrice(price); err != nil {
			return nil, err
		}
	}
	return j.affected, c.writeLists(j.tx)
}

// writeLists writes what a person should look at.
func (c *changes) writeLists(tx Tx) error {
	for _, f := range c.failed {
		if err := tx.PutFailure(f); err != nil {
			return err
		}
	}
	for _, id := range c.repaired {
		if err := tx.DropFailure(id); err != nil {
			return err
		}
	}
	for _, p := range c.parked {
		if err := tx.Park(p); err != nil {
			return err
		}
	}
	return nil
}

// truths are those of the subscriptions that changed, by id.
func (c *changes) truths() map[string]aggregate.SubscriptionTruth {
	truths := make(map[string]aggregate.SubscriptionTruth, len(c.subscriptions))
	for _, row := range c.subscriptions {
		truths[row.Truth.ID] = row.Truth
	}
	return truths
}

func (c *changes) dueAt(t time.Time) {
	if !t.IsZero() && (c.due.IsZero() || t.Before(c.due)) {
		c.due = t
	}
}
