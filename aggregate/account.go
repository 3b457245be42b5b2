package aggregate

import (
	"slices"
	"time"
)

// Account is the aggregate of what operators decide on one account. It is
// folded from its stream by Evolve; Decide says what follows from a command.
// What Stripe says of the account's subscriptions is no part of it.
//
// An Account is not safe for concurrent use.
type Account struct {
	truth AccountTruth
}

// NewAccount returns the account of that name, with nothing decided on it.
func NewAccount(name string) *Account { return &Account{truth: AccountTruth{Account: name}} }

// Grow does nothing: decisions are few.
func (a *Account) Grow(int) {}

// Evolve takes in one recorded event, in the order of the stream. Events that
// are no decisions change nothing.
func (a *Account) Evolve(e Event, at Place) {
	if e.Decision == nil {
		return
	}
	a.truth.Position = max(a.truth.Position, at.Position)
	switch d := *e.Decision; d.Type {
	case WaiverGranted:
		if a.waiver(d.Waiver) == nil {
			a.truth.Waivers = append(a.truth.Waivers, Waiver{ID: d.Waiver, Tier: d.Tier, Reason: d.Reason,
				GrantedBy: d.Actor, GrantedAt: d.DecidedAt, ExpiresAt: d.Until})
		}
	case WaiverRevoked:
		if w := a.waiver(d.Waiver); w != nil && w.RevokedAt.IsZero() {
			w.RevokedAt, w.RevokedBy, w.RevokedReason = d.DecidedAt, d.Actor, d.Reason
		}
	case AccountBlocked:
		if a.truth.Block == nil {
			a.truth.Block = &Block{Reason: d.Reason, BlockedBy: d.Actor, BlockedAt: d.DecidedAt}
		}
	case AccountUnblocked:
		a.truth.Block = nil
	case GraceExtended:
		if d.Until.After(a.truth.GraceUntil) {
			a.truth.GraceUntil = d.Until
		}
	}
}

// waiver finds a waiver that was granted, nil if there is none of that id.
func (a *Account) waiver(id string) *Waiver {
	for i := range a.truth.Waivers {
		if a.truth.Waivers[i].ID == id {
			return &a.truth.Waivers[i]
		}
	}
	return nil
}

// Position is the highest among the decisions.
func (a *Account) Position() uint64 { return a.truth.Position }

// Truth says how the account stands by the decisions taken in so far.
func (a *Account) Truth() AccountTruth {
	t := a.truth
	t.Waivers = slices.Clone(t.Waivers)
	return t
}

// Decide says which decisions follow from a command given at now. One that
// changes nothing decides nothing, so that it may be given again. Bad input gives
// one or more *CommandError (see CommandErrors); see the commands for what else.
func (a *Account) Decide(command Command, c Catalogs, now time.Time) ([]Event, error) {
	d, err := command.decide(a, c, now)
	if err != nil || d == nil {
		return nil, err
	}
	d.DecidedAt = now.UTC()
	return []Event{{Decision: d}}, nil
}
