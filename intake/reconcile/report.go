package reconcile

import (
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/daybookhq/daybook/aggregate"
)

// maxListed bounds each list of a report.
const maxListed = 1000

// Report is what was found.
type Report struct {
	// From and Until bound the events that were looked through.
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// LostFrom is where the events begin that should have been looked through
	// and that Stripe lists no longer; zero if there are none. Objects were
	// compared instead.
	LostFrom time.Time `json:"lost_from,omitzero"`
	// Events counts those that Stripe lists and that state facts, Found those of
	// them that were recorded already, Missing those that were not, and are now.
	Events  int64 `json:"events"`
	Found   int64 `json:"found"`
	Missing int64 `json:"missing"`
	// Missed counts those of the missing that a webhook should have brought.
	Missed int64 `json:"missed"`
	// Objects counts those that Stripe answered with, Recorded the answers that
	// were recorded, Differing the objects that were not true here as answered.
	Objects   int64 `json:"objects"`
	Recorded  int64 `json:"recorded"`
	Differing int64 `json:"differing"`

	// The lists name what the counts count, up to a bound.
	MissingEvents    []MissingEvent    `json:"missing_events"`
	DifferingObjects []DifferingObject `json:"differing_objects"`
	// Unknown are subscriptions that live here and that Stripe does not know.
	Unknown []string `json:"unknown_to_stripe"`
	// Unreadable are answers that could not be read.
	Unreadable []Unreadable `json:"unreadable"`

	mu sync.Mutex
}

// MissingEvent is an event that no webhook had brought.
type MissingEvent struct {
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Created time.Time `json:"created"`
	// Pending says that Stripe is still trying to deliver it.
	Pending bool `json:"pending,omitempty"`
}

// DifferingObject is an object that was not true here as Stripe answered.
type DifferingObject struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	// Entry is the journal's entry of the answer; empty if it was not recorded.
	Entry       string                 `json:"entry,omitempty"`
	Differences []aggregate.Difference `json:"differences"`
}

// Unreadable is an answer that could not be read.
type Unreadable struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

func newReport() *Report {
	return &Report{MissingEvents: []MissingEvent{}, DifferingObjects: []DifferingObject{}, Unknown: []string{}, Unreadable: []Unreadable{}}
}

// note changes the report; many goroutines do.
func (r *Report) note(change func(*Report)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

// list adds to a list as long as there is room.
func list[T any](to *[]T, what T) {
	if len(*to) < maxListed {
		*to = append(*to, what)
	}
}

// Complete reports that nothing was missing and nothing differed.
func (r *Report) Complete() bool {
	return r.Missing == 0 && r.Differing == 0 && len(r.Unknown) == 0 && len(r.Unreadable) == 0 && r.LostFrom.IsZero()
}

// log tells of a sweep that nobody waits for.
func (r *Report) log(log logrus.FieldLogger) {
	log = log.WithFields(logrus.Fields{"events": r.Events, "missing": r.Missing, "missed": r.Missed,
		"objects": r.Objects, "differing": r.Differing, "until": r.Until})
	ids := make([]string, 0, 10)
	for _, e := range r.MissingEvents[:min(len(r.MissingEvents), cap(ids))] {
		ids = append(ids, e.ID)
	}
	if !r.LostFrom.IsZero() {
		log.WithField("lost_from", r.LostFrom).Error("events from before Stripe's thirty days can no longer be listed; objects were compared instead: run daybook reconcile")
	}
	if len(r.Unreadable) > 0 {
		log.WithField("answers", len(r.Unreadable)).Error("answers of Stripe's could not be read")
	}
	switch {
	case r.Missed > 0:
		log.WithField("stripe_event_ids", ids).Error("webhooks are being missed: these events were fetched from Stripe; check the endpoint with daybook endpoint check")
	case r.Differing > 0:
		log.Warn("objects were not as Stripe has them; what Stripe answered is recorded")
	default:
		log.Info("compared with Stripe")
	}
}
