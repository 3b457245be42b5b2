package posting_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/posting"
)

// The tests named TestFaultNN… each fail on the fault of that number in
// docs/FAULTS.md. Those here are of the way from the journal to history.

// TestFault01WhatCannotBePostedStaysVisible: an event that fails is kept as it
// came, and is told to have failed.
func TestFault01WhatCannotBePostedStaysVisible(t *testing.T) {
	store := sqlitetest.Open(t)
	bad := failedInvoice("evt_bad", now)
	delete(bad.object, "currency")
	p := newPoster(store)
	postUpTo(t, p, record(t, store, bad))
	wantTypes(t, store, "posting-evt_bad", posting.FailedType)
	wantTypes(t, store, intake.JournalStream("evt_bad"), "invoice.payment_failed")
	wantTypes(t, store, "subscription-sub_1")
	if g := p.Progress(); g.Failed != 1 || g.Posted != 0 {
		t.Errorf("%+v, want one failed and none posted", g)
	}
}

// TestFault04AnUpdateBeforeItsCreationIsHistory: the first that is heard of a
// subscription may be anything.
func TestFault04AnUpdateBeforeItsCreationIsHistory(t *testing.T) {
	store := sqlitetest.Open(t)
	p := newPoster(store)
	postUpTo(t, p, record(t, store, failedInvoice("evt_1", now)))
	postUpTo(t, p, record(t, store, subscriptionEvent("evt_2", "customer.subscription.updated", "past_due", "price_basic", now)))
	for _, want := range []string{"PaymentFailed", "SubscriptionChanged", "GracePeriodStarted"} {
		if types := typesOf(t, store, "subscription-sub_1"); !slices.Contains(types, want) {
			t.Errorf("no %s in %v", want, types)
		}
	}
}

// crashing persists the appends to one stream, and then dies before it says so.
type crashing struct {
	eventstore.Store
	died context.CancelFunc
}

func (c crashing) Append(ctx context.Context, stream eventstore.Stream, expected eventstore.ExpectedRevision, events ...eventstore.ProposedEvent) (eventstore.AppendResult, error) {
	result, err := c.Store.Append(ctx, stream, expected, events...)
	if stream == "subscription-sub_1" && err == nil {
		c.died()
		return eventstore.AppendResult{}, context.Canceled
	}
	return result, err
}

// TestFault13ACrashDoublesNothingAndResetsNoGrace: posting dies with the facts
// appended and no checkpoint, and another goes on a day later.
func TestFault13ACrashDoublesNothingAndResetsNoGrace(t *testing.T) {
	store := sqlitetest.Open(t)
	last := record(t, store, story()...)
	ctx, die := context.WithCancel(t.Context())
	first := newPoster(crashing{store, die})
	if err := first.Run(ctx); err != nil {
		t.Errorf("posting ended with %v", err)
	}
	if len(typesOf(t, store, "subscription-sub_1")) == 0 {
		t.Fatal("it died before it had appended anything")
	}
	next := newPoster(store)
	next.Epoch = "another" // no checkpoint counts: everything is posted again
	next.Now = func() time.Time { return now.Add(30 * time.Hour) }
	postUpTo(t, next, last)
	counts := map[string]int{}
	var anchor time.Time
	for e, err := range store.ReadStream(t.Context(), "subscription-sub_1", 0, eventstore.Forwards, 0) {
		if err != nil {
			t.Fatal(err)
		}
		counts[e.Type]++
		if e.Type != string(aggregate.GracePeriodStarted) {
			continue
		}
		event, err := aggregate.Decode(e.Type, e.Data)
		if err != nil {
			t.Fatal(err)
		}
		anchor = event.Note.Anchor
	}
	for _, once := range []string{"SubscriptionStarted", "PaymentFailed", "SubscriptionChanged", "GracePeriodStarted"} {
		if counts[once] != 1 {
			t.Errorf("%d of %s, want one", counts[once], once)
		}
	}
	if want := now.Add(time.Hour); !anchor.Equal(want) {
		t.Errorf("grace counts from %s, want the failure at %s", anchor, want)
	}
}

// outage refuses a number of appends in a row.
type outage struct {
	eventstore.Store
	left atomic.Int64
}

var errOutage = errors.Join(errors.New("nobody answers"), eventstore.ErrUnavailable)

func (o *outage) Append(ctx context.Context, stream eventstore.Stream, expected eventstore.ExpectedRevision, events ...eventstore.ProposedEvent) (eventstore.AppendResult, error) {
	if o.left.Add(-1) >= 0 {
		return eventstore.AppendResult{}, errOutage
	}
	return o.Store.Append(ctx, stream, expected, events...)
}

// TestFault17AnOutageIsOutlived: posting does not count its attempts.
func TestFault17AnOutageIsOutlived(t *testing.T) {
	store := sqlitetest.Open(t)
	last := record(t, store, story()...)
	away := &outage{Store: store}
	away.left.Store(6)
	postUpTo(t, newPoster(away), last)
	if left := away.left.Load(); left >= 0 {
		t.Errorf("the store was still away for %d attempts", left)
	}
	if types := typesOf(t, store, "subscription-sub_1"); !slices.Contains(types, "SubscriptionChanged") {
		t.Errorf("the stream holds %v", types)
	}
}

// TestFault21OtherModesAndAccountsAreNotPosted: test events do nothing in live
// mode, nor do those of strangers' accounts; both stay on record.
func TestFault21OtherModesAndAccountsAreNotPosted(t *testing.T) {
	store := sqlitetest.Open(t)
	live := subscriptionEvent("evt_live", "customer.subscription.created", "active", "price_elite", now)
	live.livemode = true // the poster is of test mode
	stranger := subscriptionEvent("evt_stranger", "customer.subscription.created", "active", "price_elite", now)
	stranger.account = "acct_other"
	listed := subscriptionEvent("evt_listed", "customer.subscription.created", "active", "price_elite", now)
	listed.account, listed.object["id"] = "acct_listed", "sub_2"
	postUpTo(t, newPoster(store), record(t, store, live, stranger, listed))
	wantTypes(t, store, "subscription-sub_1")
	if len(typesOf(t, store, "subscription-sub_2")) == 0 {
		t.Error("the event of an account that is listed was not posted")
	}
	for _, id := range []string{"evt_live", "evt_stranger"} {
		wantTypes(t, store, intake.JournalStream(id), "customer.subscription.created")
	}
}
