package aggregate

import "time"

// DecisionType names what an operator decided. The strings are stored; they
// never change.
type DecisionType string

// The decisions on an account. They are neither facts of Stripe's nor notes of
// ours: state is derived from them, in the order in which they were taken.
const (
	WaiverGranted    DecisionType = "WaiverGranted"
	WaiverRevoked    DecisionType = "WaiverRevoked"
	AccountBlocked   DecisionType = "AccountBlocked"
	AccountUnblocked DecisionType = "AccountUnblocked"
	GraceExtended    DecisionType = "GraceExtended"
)

// Decision is one decision of an operator on an account, as it is recorded.
// Only the fields that its type needs are set.
type Decision struct {
	Type DecisionType
	// DecidedAt is our clock when it was taken.
	DecidedAt time.Time
	// Actor names who took it: an API key's name, or the user of the command line.
	Actor string
	// Reason is the operator's, for people.
	Reason string
	// Waiver identifies a waiver within its account (waivers).
	Waiver string
	// Tier is what a waiver grants (WaiverGranted).
	Tier string
	// Until is when a waiver ends, zero for never (WaiverGranted), or until when
	// no grace of the account ends (GraceExtended).
	Until time.Time
}

// AccountTruth is what operators have decided on an account, and how it stands.
type AccountTruth struct {
	Account string `json:"account"`
	// Waivers are all that were ever granted, in the order of granting.
	Waivers []Waiver `json:"waivers,omitempty"`
	// Block is the refusal of all access in force, nil if there is none.
	Block *Block `json:"block,omitempty"`
	// GraceUntil is the moment before which no grace of the account ends; zero
	// if grace was never extended.
	GraceUntil time.Time `json:"grace_until,omitzero"`
	// Position is the highest log position among the decisions.
	Position uint64 `json:"position"`
}

// any reports whether anything was ever decided.
func (t *AccountTruth) any() bool {
	return t.Position > 0 || len(t.Waivers) > 0 || t.Block != nil || !t.GraceUntil.IsZero()
}

// Waiver is a tier that is granted without payment.
type Waiver struct {
	ID        string    `json:"id"`
	Tier      string    `json:"tier"`
	Reason    string    `json:"reason"`
	GrantedBy string    `json:"granted_by"`
	GrantedAt time.Time `json:"granted_at"`
	// ExpiresAt is when it ends, zero for never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// RevokedAt is when it was revoked, zero if it was not.
	RevokedAt     time.Time `json:"revoked_at,omitzero"`
	RevokedBy     string    `json:"revoked_by,omitempty"`
	RevokedReason string    `json:"revoked_reason,omitempty"`
}

// InForce reports whether the waiver grants its tier at now.
func (w Waiver) InForce(now time.Time) bool {
	return w.RevokedAt.IsZero() && (w.ExpiresAt.IsZero() || now.Before(w.ExpiresAt))
}

// Block is an operator's refusal of all access.
type Block struct {
	Reason    string    `json:"reason"`
	BlockedBy string    `json:"blocked_by"`
	BlockedAt time.Time `json:"blocked_at"`
}
