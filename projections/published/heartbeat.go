package published

import (
	"encoding/json"
	"fmt"
	"time"
)

// Heartbeat tells readers how far the publisher is. It is the string at
// HeartbeatKey, in the same form as an entry: the members below, "schema",
// "order", and "mac" if it is signed.
type Heartbeat struct {
	// Position is the place up to which the publisher has folded the log.
	Position uint64 `json:"position"`
	// At is when it said so.
	At time.Time `json:"at"`
	// Epoch names the store in which Position counts.
	Epoch string `json:"epoch"`
	// FoundedAt is when that store was founded, or was last found to be whole again
	// after a restore from a backup.
	FoundedAt time.Time `json:"founded_at"`
}

// Order tells which of two heartbeats is the newer.
func (h Heartbeat) Order() Order {
	return Order{Founded: h.FoundedAt, Position: h.Position, At: h.At.Truncate(time.Microsecond)}
}

// Seal returns the heartbeat in the form in which it is published.
func (h Heartbeat) Seal(keys Keys) ([]byte, error) {
	order := h.Order()
	h.At, h.FoundedAt = order.At.UTC(), order.Founded.UTC().Truncate(time.Millisecond)
	value, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("publish the heartbeat: %w", err)
	}
	return keys.sign(HeartbeatKey, appendTail(value[:len(value)-1], Schema, order)), nil
}

// OpenHeartbeat reads a heartbeat. The error is ErrForged, ErrForeign or
// ErrNewerSchema.
func OpenHeartbeat(value []byte, keys Keys) (Heartbeat, error) {
	if err := keys.Verify(HeartbeatKey, value); err != nil {
		return Heartbeat{}, err
	}
	var h struct {
		Heartbeat
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(value, &h); err != nil || h.Schema < 1 || h.Epoch == "" {
		return Heartbeat{}, ErrForeign
	}
	if h.Schema > Schema {
		return Heartbeat{}, ErrNewerSchema
	}
	return h.Heartbeat, nil
}
