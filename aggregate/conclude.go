package aggregate

import (
	"maps"
	"slices"
	"time"
)

// conclude lists the notes that follow when the truth goes from before to
// after, and that the stream does not hold.
func (s *Subscription) conclude(fresh []Fact, before, after SubscriptionTruth, c Catalogs, now time.Time) []Note {
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
		add(Note{Type: SubscriptionRestated, StripeEventID: because, FromTier: before.Tier, ToTier: after.Tier,
			FromStatus: before.Status, ToStatus: after.Status, Anchor: anchorOf(after)})
	}
	if before.Tier != after.Tier {
		add(Note{Type: TierChanged, StripeEventID: because, FromTier: before.Tier, ToTier: after.Tier})
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

func differs(a, b SubscriptionTruth) bool {
	return a.Status != "" && (a.Status != b.Status || a.Tier != b.Tier || !anchorOf(a).Equal(anchorOf(b)))
}

func anchorOf(t SubscriptionTruth) time.Time {
	if t.Delinquency == nil {
		return time.Time{}
	}
	return t.Delinquency.Anchor
}

// concludeGrace notes the beginning, the end and the running out of grace.
func (s *Subscription) concludeGrace(after SubscriptionTruth, now time.Time, add func(Note)) {
	d := after.Delinquency
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
