package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/stripeapi"
)

// The events of a window are gathered before they are recorded, because Stripe
// lists the newest first: a window holds about so many at most.
const (
	windowEvents = 2000
	firstWindow  = 24 * time.Hour
	// toldEvery is after how many of them it is told how far the work is.
	toldEvery = 100
)

// sweepEvents looks through the events that Stripe made from one second to
// another, both included, window by window and the oldest first, and records
// those that are not. Seconds have no order, so they are never cut.
func (r *run) sweepEvents(ctx context.Context, from, until time.Time) error {
	size := firstWindow
	for from = from.Truncate(time.Second); !from.After(until); {
		end := from.Add(size - time.Second)
		if end.After(until) {
			end = until
		}
		events, whole, err := r.window(ctx, from, end)
		switch {
		case err != nil:
			return err
		case !whole:
			size = smaller(size, events[len(events)-1].Created.Sub(events[0].Created))
			continue
		case len(events) < windowEvents/4:
			size *= 2
		}
		for some := range slices.Chunk(events, toldEvery) {
			if err := r.each(ctx, some, r.supplyEvent); err != nil {
				return err
			}
		}
		from = end.Add(time.Second)
	}
	return nil
}

// smaller is the size of a window instead of one that held too much: the span in
// which too much lay, so that where events lie close it is found at once, and half
// the size at most.
func smaller(size, span time.Duration) time.Duration {
	return max(min(size/2, span).Truncate(time.Second), time.Second)
}

// window lists the events of a window, the oldest first. It is false if there
// are too many, and lists the newest of them then; those of a single second are
// taken however many they are.
func (r *run) window(ctx context.Context, from, end time.Time) (events []stripeapi.Object, whole bool, err error) {
	listing := stripeapi.Listing{Resource: stripeapi.Events, Created: stripeapi.Range{From: from, Until: end}}
	for page, err := range r.API.List(ctx, listing) {
		if err != nil {
			return nil, false, err
		}
		events = append(events, page.Objects...)
		if len(events) > windowEvents && end.After(from) {
			slices.Reverse(events)
			return events, false, nil
		}
	}
	slices.Reverse(events)
	return events, true, nil
}

// supplyEvent records an event if it states facts and is not recorded yet.
func (r *run) supplyEvent(ctx context.Context, o stripeapi.Object) error {
	envelope, err := intake.ParseEnvelope(o.Raw)
	if err != nil {
		r.report.note(func(p *Report) { list(&p.Unreadable, Unreadable{o.ID, err.Error()}) })
		return nil
	}
	if !intake.Told(envelope.Type) {
		return nil
	}
	supplied, err := r.Journal.Supply(ctx, intake.Entry{Body: o.Raw, Envelope: envelope, Source: intake.SourceAPI})
	if err != nil {
		return fmt.Errorf("record what was missing: %w", err)
	}
	if !supplied {
		r.report.note(func(p *Report) { p.Events, p.Found = p.Events+1, p.Found+1 })
		return nil
	}
	missing := MissingEvent{ID: envelope.ID, Type: envelope.Type, Created: envelope.Created, Pending: stillPending(o.Raw)}
	r.report.note(func(p *Report) {
		p.Events, p.Missing = p.Events+1, p.Missing+1
		list(&p.MissingEvents, missing)
		if r.missed(missing, o.AskedAt) {
			p.Missed++
		}
	})
	return nil
}

// missed reports whether a webhook should have brought an event by now. What is
// from before the first sweep is from before there need have been an endpoint.
func (r *run) missed(e MissingEvent, now time.Time) bool {
	since := r.current().SweptUntil
	if since.IsZero() || e.Created.Before(since.Add(-Overlap)) {
		return false
	}
	return !e.Pending || now.Sub(e.Created) > stillTrying
}

// stillPending reports whether Stripe has webhooks of an event yet to deliver.
func stillPending(raw []byte) bool {
	var event struct {
		Pending int `json:"pending_webhooks"`
	}
	return json.Unmarshal(raw, &event) == nil && event.Pending > 0
}
