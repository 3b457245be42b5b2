package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/stripeapi"
)

// run is one piece of work.
type run struct {
	*Reconciler
	report *Report
	// everything records each object once, not only one that differs.
	everything bool
	// pace is a sweep's, nil for a backfill.
	pace *pace
	tell func(done, total int64)
	// seen holds the subscriptions that Stripe answered with.
	seen map[string]bool
}

// Take records what Stripe answered about an object, whoever asked, if that adds
// anything. It may be called at any time, and beside other work.
func (r *Reconciler) Take(ctx context.Context, o stripeapi.Object) error {
	work := &run{Reconciler: r, report: newReport()}
	if err := work.take(ctx, o); err != nil {
		return err
	}
	for _, u := range work.report.Unreadable {
		return fmt.Errorf("read what Stripe answered about %s: %s", u.ID, u.Reason)
	}
	return nil
}

// takePage takes in the objects of a page; of subscriptions, those that were not
// seen yet.
func (r *run) takePage(ctx context.Context, objects []stripeapi.Object) error {
	objects = slices.DeleteFunc(objects, func(o stripeapi.Object) bool {
		if o.Kind != stripeapi.Subscriptions.Kind {
			return false
		}
		before := r.seen[o.ID]
		r.seen[o.ID] = true
		return before
	})
	return r.each(ctx, objects, r.take)
}

// each works on objects, and tells how far it is: a sweep on one after the other,
// at its pace, a backfill on several at once.
func (r *run) each(ctx context.Context, objects []stripeapi.Object, work func(context.Context, stripeapi.Object) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inHand)
	if r.pace != nil {
		group.SetLimit(1)
	}
	for _, o := range objects {
		group.Go(func() error {
			return r.pace.keep(ctx, func() error { return work(ctx, o) })
		})
	}
	err := group.Wait()
	r.report.note(func(p *Report) { r.tell(p.Objects+p.Events, 0) })
	return err
}

// take compares an object with what is true here, and records the answer if it
// adds anything. What cannot be read is noted, and the work goes on.
func (r *run) take(ctx context.Context, o stripeapi.Object) error {
	r.report.note(func(p *Report) { p.Objects++ })
	observation := intake.Observation{Kind: o.Kind, ObjectID: o.ID, Livemode: r.Livemode, AskedAt: o.AskedAt, Raw: o.Raw}
	facts, err := r.Translator.Observe(observation)
	if err != nil {
		r.report.note(func(p *Report) { list(&p.Unreadable, Unreadable{o.ID, err.Error()}) })
		return nil
	}
	for _, stated := range facts {
		if err := r.takeFact(ctx, observation, stated); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) takeFact(ctx context.Context, o intake.Observation, stated intake.StreamFact) error {
	ours, err := fold(ctx, r.Store, stated.Stream)
	if err != nil {
		return err
	}
	fact := asked(stated.Fact)
	differing := ours.differences(fact, r.Catalogs())
	latest, told := ours.latestOf(fact)
	entryID := ""
	again := told && saysAgain(fact, latest)
	if (r.everything || len(differing) > 0) && !again {
		entry, err := o.Entry(stated.Fact, latest.Key.StripeEventID)
		if err != nil {
			return err
		}
		supplied, err := r.Journal.Supply(ctx, entry)
		if err != nil {
			return err
		}
		entryID = entry.Envelope.ID
		if supplied {
			r.report.note(func(p *Report) { p.Recorded++ })
		}
	}
	if len(differing) > 0 {
		r.report.note(func(p *Report) {
			p.Differing++
			list(&p.DifferingObjects, DifferingObject{Kind: o.Kind, ID: o.ObjectID, Entry: entryID, Differences: differing})
		})
	}
	return nil
}

// saysAgain reports whether the latest word on an object is an answer that said
// the same.
func saysAgain(fact, latest aggregate.Fact) bool {
	if !latest.Type.Observed() {
		return false
	}
	fact.Key, fact.OccurredAt = latest.Key, latest.OccurredAt
	return fact.SaysAs(latest)
}

// folded is a domain stream, folded.
type folded struct {
	subscription *aggregate.Subscription // nil for other objects
	others       aggregate.FactSet
}

func (f *folded) evolve(e aggregate.Event, at aggregate.Place) {
	if f.subscription != nil {
		f.subscription.Evolve(e, at)
		return
	}
	f.others.Evolve(e, at)
}

func (f *folded) differences(fact aggregate.Fact, c aggregate.Catalogs) []aggregate.Difference {
	if f.subscription != nil {
		return f.subscription.Differences(fact, c)
	}
	return f.others.Differences(fact)
}

func (f *folded) latestOf(fact aggregate.Fact) (aggregate.Fact, bool) {
	if f.subscription != nil {
		return f.subscription.LatestOf(fact)
	}
	return f.others.LatestOf(fact)
}

// fold reads a domain stream as it stands.
func fold(ctx context.Context, store eventstore.Reader, stream eventstore.Stream) (*folded, error) {
	f := &folded{}
	if stream.Category() == intake.SubscriptionCategory {
		f.subscription = aggregate.NewSubscription(stream.ID())
	}
	for e, err := range store.ReadStream(ctx, stream, 0, eventstore.Forwards, 0) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", stream, err)
		}
		event, err := aggregate.Decode(e.Type, e.Data)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", stream, err)
		}
		f.evolve(event, aggregate.Place{Position: uint64(e.Position)})
	}
	return f, nil
}
