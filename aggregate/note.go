package aggregate

import "time"

// NoteType names what we concluded. The strings are stored; they never change.
type NoteType string

// The notes. They tell people and auditors what was concluded when; state is
// never derived from them.
const (
	GracePeriodStarted   NoteType = "GracePeriodStarted"
	GracePeriodCleared   NoteType = "GracePeriodCleared"
	GracePeriodExpired   NoteType = "GracePeriodExpired"
	TierChanged          NoteType = "TierChanged"
	SubscriptionRestated NoteType = "SubscriptionRestated"
)

// Note is a conclusion, recorded once. Only the fields that its type needs are
// set.
type Note struct {
	Type NoteType
	// StripeEventID is the Stripe event whose posting led to the conclusion;
	// empty if time did.
	StripeEventID string
	// ConcludedAt is our clock when the note was made. Nothing is derived from it.
	ConcludedAt time.Time

	// Anchor identifies a delinquency by when it opened (grace notes).
	Anchor time.Time
	// Until is when grace ends (grace notes).
	Until time.Time
	// Invoice is the one whose payment failed, if one is known (grace notes).
	Invoice string
	// Catalog is the hash of the catalog whose grace period applies.
	Catalog string
	// FromTier and ToTier are the tiers before and after (TierChanged,
	// SubscriptionRestated).
	FromTier, ToTier string
	// FromStatus and ToStatus are the statuses before and after
	// (SubscriptionRestated).
	FromStatus, ToStatus Status
}

// Concludes lists what makes the note the conclusion it is. Two notes of one
// type in one stream that conclude the same are one; the ID of the event that
// holds the note is derived from this.
func (n Note) Concludes() []string {
	switch n.Type {
	case GracePeriodStarted, GracePeriodCleared, GracePeriodExpired:
		return []string{string(n.Type), moment(n.Anchor), moment(n.Until)}
	default:
		return []string{string(n.Type), n.StripeEventID, n.FromTier, n.ToTier,
			string(n.FromStatus), string(n.ToStatus), moment(n.Anchor)}
	}
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
