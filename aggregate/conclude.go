package aggregate

import (
	"maps"
	"slices"
	"time"
)

// finding is that part of a subscription's truth of which notes tell.
type finding struct {
	status      Status // empty if no snapshot tells
	tier        string
	delinquency *Delinquency
}

// found is what the walk has found so far. It may go on.
func (w *walk) found() finding {
	f := finding{tier: w.effectiveTier()}
	if w.snapshot != nil {
		f.status = w.snapshot.Status
	}
	if w.open != nil {
		open := *w.open
		f.delinquency = &open
	}
	return f
}

// anchor is when the delinquency began, zero if there is none.
func (f finding) anchor() time.Time {
	if f.delinquency == nil {
		return time.Time{}
	}
	return f.delinquency.Anchor
}

// conclude lists the notes that follow when what is found goes from before to
// after, and that the stream does not hold.
func (s *Subscription) conclude(fresh []Fact, before, after finding, now time.Time) []Note {
	because := ""
	if len(fresh) > 0 {
		because = fresh[len(fresh)-1].Key.StripeEventID
	}
	var notes []Note
	add := func(n Note) {
		if _, made := s.notes[noteKey(n)]; !made {
			n.StripeEventID, n.ConcludedAt = because, now
			notes = append(notes, n)
		}
	}
	if s.restates(fresh) && differs(before, after) {
		add(Note{Type: SubscriptionRestated, StripeEventID: because, FromTier: before.tier, ToTier: after.tier,
			FromStatus: before.status, ToStatus: after.status, Anchor: after.anchor()})
	}
	if before.tier != after.tier {
		add(Note{Type: TierChanged, StripeEventID: because, FromTier: before.tier, ToTier: after.tier})
	}
	s.concludeGrace(after, now, add)
	return notes
}

// restates reports whether a fact came late, or corrects an earlier one, so
// that what was concluded before rests on less than was known.
func (s *Subscription) restates(fresh []Fact) bool {
	var latest time.Time
	for _, f := range s.facts {
		if !f.Type.Silent() && f.OccurredAt.After(latest) {
			latest = f.OccurredAt
		}
	}
	return slices.ContainsFunc(fresh, func(f Fact) bool { return f.Epoch > 0 || f.OccurredAt.Before(latest) })
}

func differs(a, b finding) bool {
	return a.status != "" && (a.status != b.status || a.tier != b.tier || !a.anchor().Equal(b.anchor()))
}

// concludeGrace notes the beginning, the end and the running out of grace.
func (s *Subscription) concludeGrace(after finding, now time.Time, add func(Note)) {
	d := after.delinquency
	for _, key := range slices.Sorted(maps.Keys(s.notes)) {
		n := s.notes[key]
		if n.Type == GracePeriodStarted && (d == nil || !d.Anchor.Equal(n.Anchor) || !d.GraceUntil.Equal(n.Until)) {
			add(Note{Type: GracePeriodCleared, Anchor: n.Anchor, Until: n.Until, Invoice: n.Invoice})
		}
	}
	if d == nil {
		return
	}
	add(Note{Type: GracePeriodStarted, Anchor: d.Anchor, Until: d.GraceUntil, Invoice: d.Invoice, Catalog: d.Catalog})
	if !now.Before(d.GraceUntil) {
		add(Note{Type: GracePeriodExpired, Anchor: d.Anchor, Until: d.GraceUntil, Invoice: d.Invoice})
	}
}
