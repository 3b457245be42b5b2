package api

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/daybookhq/daybook/intake"
)

// counters count webhooks since the start, by what became of them.
type counters struct {
	// events are counted by type; the types do not change.
	events map[string]*eventCounters
	// signed counts what was answered 200 by the fingerprint of the secret that
	// signed it, a *atomic.Uint64 each.
	signed sync.Map

	dropped, tooLarge, notAnEvent              atomic.Uint64
	encoded, unreadable                        atomic.Uint64
	missing, malformed, mismatch, stale, ahead atomic.Uint64
}

// eventCounters count the signed events of one type.
type eventCounters struct{ recorded, duplicate, notDurable atomic.Uint64 }

// otherType stands for all types that are not posted: Stripe may add types, and
// would otherwise decide how many counters there are.
const otherType = "other"

func newEventCounters() map[string]*eventCounters {
	events := map[string]*eventCounters{otherType: {}}
	for _, name := range intake.PostedTypes() {
		events[name] = &eventCounters{}
	}
	return events
}

// of returns the counters of a type.
func (c *counters) of(eventType string) *eventCounters {
	if e, known := c.events[eventType]; known {
		return e
	}
	return c.events[otherType]
}

// durable counts a delivery that was answered 200.
func (c *counters) durable(eventType string, o intake.Outcome) {
	if o.Dropped {
		c.dropped.Add(1)
	}
	if o.Status == intake.Duplicate {
		c.of(eventType).duplicate.Add(1)
		return
	}
	c.of(eventType).recorded.Add(1)
}

// signedBy is the counter of what a secret signed.
func (c *counters) signedBy(fingerprint string) *atomic.Uint64 {
	n, there := c.signed.Load(fingerprint)
	if !there {
		n, _ = c.signed.LoadOrStore(fingerprint, new(atomic.Uint64))
	}
	return n.(*atomic.Uint64)
}

// signature is the counter of a faulty signature.
func (c *counters) signature(kind intake.SignatureFault) *atomic.Uint64 {
	switch kind {
	case intake.SignatureMissing:
		return &c.missing
	case intake.SignatureMismatch:
		return &c.mismatch
	case intake.SignatureStale:
		return &c.stale
	case intake.SignatureFuture:
		return &c.ahead
	default:
		return &c.malformed
	}
}

// WebhookCounts tells what became of the webhooks since the start.
type WebhookCounts struct {
	// Recorded and Duplicate were answered 200.
	Recorded  uint64 `json:"recorded"`
	Duplicate uint64 `json:"duplicate"`
	// DroppedVariants are those among Duplicate whose content was new, when the
	// event already had its full number of entries.
	DroppedVariants uint64 `json:"dropped_variants"`
	// NotDurable were answered 503.
	NotDurable uint64 `json:"not_durable"`
	TooLarge   uint64 `json:"too_large"`
	// NotAnEvent were correctly signed, but no event.
	NotAnEvent uint64 `json:"not_an_event"`
	// Encoded came with a Content-Encoding.
	Encoded uint64 `json:"encoded"`
	// Unreadable ended early or came too slowly.
	Unreadable uint64          `json:"unreadable"`
	Signature  SignatureCounts `json:"signature"`
}

// SignatureCounts counts refused signatures by their fault.
type SignatureCounts struct {
	Missing   uint64 `json:"missing"`
	Malformed uint64 `json:"malformed"`
	Mismatch  uint64 `json:"mismatch"`
	Stale     uint64 `json:"stale"`
	Future    uint64 `json:"future"`
}

// closeBehind is how long after one webhook another counts as close behind it: some
// forty a second.
const closeBehind = 25 * time.Millisecond

// Busy reports that webhooks are coming, one close behind the other: what can wait
// should.
func (s *Server) Busy() bool {
	return s.Clock().Sub(time.Unix(0, s.lastEvent.Load())) < closeBehind
}

// WebhookCounts returns the counts up to now.
func (s *Server) WebhookCounts() WebhookCounts {
	c := &s.counters
	counts := WebhookCounts{
		DroppedVariants: c.dropped.Load(), TooLarge: c.tooLarge.Load(), NotAnEvent: c.notAnEvent.Load(),
		Encoded: c.encoded.Load(), Unreadable: c.unreadable.Load(),
		Signature: SignatureCounts{
			Missing: c.missing.Load(), Malformed: c.malformed.Load(), Mismatch: c.mismatch.Load(),
			Stale: c.stale.Load(), Future: c.ahead.Load(),
		},
	}
	for _, e := range c.events {
		counts.Recorded += e.recorded.Load()
		counts.Duplicate += e.duplicate.Load()
		counts.NotDurable += e.notDurable.Load()
	}
	return counts
}
