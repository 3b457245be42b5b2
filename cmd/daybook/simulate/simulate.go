// Package simulate makes seeded Stripe histories, sends them as Stripe would,
// and checks what a service made of them.
//
// A history is played, not drawn: each account gets a lifecycle (of the list
// in lifecycle.go), a script that moves subscriptions through Stripe's states in
// true order and writes an event for each move, in the payload shape of one of
// several API versions. What the script left behind at the end is the
// expectation. The package shares no code with the rest of the project: the
// catalog, the access rules and the grace period are written down here a second
// time, so that a mistake in one of the two models shows as a difference.
//
// The same Options give the same bytes.
package simulate

import (
	"cmp"
	"slices"
	"time"
)

// Options choose what is simulated.
type Options struct {
	// Seed makes the run. Ids and accounts differ between seeds, and between ends,
	// so that several runs may go to one service.
	Seed uint64
	// Accounts is the number of lifecycles. The first ones go through the list in
	// its order, so that 3 already give a healthy account, one in grace and one
	// cancelled; once each was lived, the others are drawn.
	Accounts int
	// Start is the earliest time of an event. Lifecycles need up to 180 days
	// before End: a later Start, or none, counts as 180 days before End.
	Start time.Time
	// End is the latest time of an event. Ends are placed relative to it:
	// graces that run began at most 20 hours before, graces that ran out began
	// at least 25 hours before.
	End time.Time
	// Livemode is told by every object.
	Livemode bool
	// AccountKey is the metadata key that names the account, "account_id" if
	// empty. One account in ten is named by "community_id".
	AccountKey string
	// Shuffle is the share of deliveries, 0 to 1, that come at a random place
	// instead of their own; 0 keeps the true order.
	Shuffle float64
	// Duplicates is the share of events, 0 to 1, that are delivered again; one
	// in four of those, a third time.
	Duplicates float64
}

const minSpan = 180 * 24 * time.Hour

// withDefaults fills what was left empty.
func (o Options) withDefaults() Options {
	o.AccountKey = cmp.Or(o.AccountKey, "account_id")
	if latest := o.End.Add(-minSpan); o.Start.IsZero() || o.Start.After(latest) {
		o.Start = latest
	}
	return o
}

// Delivery is one request that Stripe makes.
type Delivery struct {
	// EventID is shared by the deliveries of one event.
	EventID string
	// Type is Stripe's event type.
	Type string
	// Created is Stripe's time of the event, in whole seconds.
	Created time.Time
	// Body is the JSON, indented as Stripe indents it. The deliveries of one
	// event differ at most in pending_webhooks. Bodies may share memory: read
	// them only.
	Body []byte
}

// Run is a generated history.
type Run struct {
	// Options are those in force, defaults filled in.
	Options Options
	// Deliveries are in the order of sending, duplicates included.
	Deliveries []Delivery
	// Expect is what must be true of each account at Options.End, in the order
	// of the lifecycles. See ExpectAt.
	Expect []Expectation
	// Events counts distinct events.
	Events int
	// Personal lists the names, e-mail addresses, street lines and phone
	// numbers of the invented customers: none may appear outside a payload.
	Personal []string

	ends []accountEnd
}

// Generate plays the lifecycles of a run.
func Generate(options Options) *Run {
	o := options.withDefaults()
	run := &Run{Options: o}
	var events []event
	for i := range o.Accounts {
		s := newStory(o, i)
		s.play(lifecycleFor(s.rng, i))
		events = append(events, s.events...)
		run.ends = append(run.ends, s.ends()...)
		for _, c := range append(s.strangers, s.customer) {
			run.Personal = append(run.Personal, c.personal()...)
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.created, b.created) })
	run.Events = len(events)
	run.Deliveries = schedule(o, events)
	run.Expect = run.ExpectAt(o.End)
	return run
}
