package aggregate

import (
	"encoding/json"
	"fmt"
	"time"
)

// storedDecision is the stored shape of a decision.
type storedDecision struct {
	Schema    int       `json:"schema"`
	DecidedAt time.Time `json:"decided_at"`
	Actor     string    `json:"actor"`
	Reason    string    `json:"reason"`
	Waiver    string    `json:"waiver,omitempty"`
	Tier      string    `json:"tier,omitempty"`
	Until     time.Time `json:"until,omitzero"`
}

func encodeDecision(d Decision) ([]byte, error) {
	b, err := json.Marshal(storedDecision{
		Schema: Schema, DecidedAt: d.DecidedAt.UTC(), Actor: d.Actor, Reason: d.Reason,
		Waiver: d.Waiver, Tier: d.Tier, Until: d.Until,
	})
	if err != nil {
		return nil, fmt.Errorf("encode decision %s: %w", d.Type, err)
	}
	return b, nil
}

func decodeDecision(t DecisionType, data []byte) (Event, error) {
	var s storedDecision
	if err := decodeStored(string(t), data, &s); err != nil {
		return Event{}, err
	}
	d := Decision{Type: t, DecidedAt: s.DecidedAt, Actor: s.Actor, Reason: s.Reason, Waiver: s.Waiver, Tier: s.Tier, Until: s.Until}
	if err := d.validate(); err != nil {
		return Event{}, fmt.Errorf("decode %s: %w", t, err)
	}
	return Event{Decision: &d}, checkSchema(string(t), s.Schema)
}

// known reports whether this build knows the type.
func (t DecisionType) known() bool {
	switch t {
	case WaiverGranted, WaiverRevoked, AccountBlocked, AccountUnblocked, GraceExtended:
		return true
	}
	return false
}

// validate checks that the decision has what its type needs.
func (d *Decision) validate() error {
	switch {
	case d.DecidedAt.IsZero():
		return fmt.Errorf("%s without the time at which it was decided", d.Type)
	case d.Waiver == "" && (d.Type == WaiverGranted || d.Type == WaiverRevoked):
		return fmt.Errorf("%s without its waiver", d.Type)
	case d.Tier == "" && d.Type == WaiverGranted:
		return fmt.Errorf("%s without its tier", d.Type)
	case d.Until.IsZero() && d.Type == GraceExtended:
		return fmt.Errorf("%s without its end", d.Type)
	}
	return nil
}
