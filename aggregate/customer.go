package aggregate

import (
	"cmp"
	"slices"
)

// DeriveCustomer says what is true of the customer of that id, whose stream the
// set was gathered from: a pure function of the facts. The newest snapshot
// decides: metadata that it no longer has claims nothing any more. A customer
// that was deleted stays so, and claims nothing.
func (s *FactSet) DeriveCustomer(id string) CustomerTruth {
	w := customerWalk{truth: CustomerTruth{ID: id, Position: s.position}}
	for _, f := range inStripesOrder(s.facts) {
		w.step(f)
	}
	return w.finish()
}

// customerWalk goes through the facts of a customer in Stripe's order, once.
type customerWalk struct {
	truth CustomerTruth
	// latest is the fact of the newest snapshot.
	latest held
	// undeleted says that it was told to be there after it was deleted.
	undeleted bool
	// summary is what the newest summary of entitlements had to be flagged with.
	summary []string
	// ambiguous says that two snapshots of one second claim different accounts.
	ambiguous bool
}

func (w *customerWalk) step(f held) {
	if f.OccurredAt.After(w.truth.LastOccurredAt) {
		w.truth.LastOccurredAt = f.OccurredAt
	}
	switch {
	case f.Customer != nil:
		w.takeSnapshot(f)
	case f.Entitlements != nil:
		w.truth.StripeFeatures, w.summary = f.Entitlements.Features, f.Entitlements.Flags
	}
}

func (w *customerWalk) takeSnapshot(f held) {
	c := f.Customer
	deleted := f.Type == CustomerDeleted || c.Deleted
	w.undeleted = w.undeleted || w.truth.Deleted && !deleted
	w.truth.Deleted = w.truth.Deleted || deleted
	w.truth.TestClock = cmp.Or(c.TestClock, w.truth.TestClock)
	switch before := w.latest; {
	case before.Fact == nil || f.OccurredAt.After(before.OccurredAt) || f.Type != before.Type:
		w.ambiguous = false
	case c.Account != before.Customer.Account:
		w.ambiguous = true
	}
	w.latest = f
}

func (w *customerWalk) finish() CustomerTruth {
	t := &w.truth
	flags := slices.Clone(w.summary)
	if w.latest.Fact != nil {
		t.Link = w.claim()
		flags = addFlags(flags, w.latest.Customer.Flags...)
	}
	if w.undeleted {
		flags = addFlags(flags, FlagDeletedBeforeCreated)
	}
	if w.ambiguous && !t.Deleted {
		flags = addFlags(flags, FlagAmbiguous)
	}
	slices.Sort(flags)
	t.Flags = flags
	return *t
}

// claim is the customer's on an account, by its newest metadata.
func (w *customerWalk) claim() Link {
	account := w.latest.Customer.Account
	if account == "" || w.truth.Deleted {
		return Link{}
	}
	return Link{Account: account, Rank: LinkCustomer, StripeEventID: w.latest.Key.StripeEventID, OccurredAt: w.latest.OccurredAt}
}
