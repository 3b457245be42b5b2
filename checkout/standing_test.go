package checkout_test

import (
	"context"
	"errors"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/checkout"
	"github.com/daybookhq/daybook/intake/stripeapi"
	"github.com/daybookhq/daybook/intake/stripeapi/stripetest"
)

// completed sells, and lets the buyer pay.
func (r *rig) completed(subscription string) checkout.Standing {
	r.Helper()
	sale := r.mustSell(order("acme", "basic"))
	r.complete(sale.SessionID, subscription)
	return r.look(sale.SessionID)
}

func (r *rig) look(id string) checkout.Standing {
	r.Helper()
	s, err := r.desk.Look(r.Context(), id)
	if err != nil {
		r.Fatal(err)
	}
	return s
}

func TestHowACheckoutStands(t *testing.T) {
	r := newRig(t)
	sale := r.mustSell(order("acme", "basic"))
	if s := r.look(sale.SessionID); s.Stage != checkout.Pending || s.Account != "acme" || s.Posted {
		t.Errorf("open: %+v", s)
	}
	if s := r.completed("sub_1"); s.Stage != checkout.Pending || s.Posted || s.Session.PaymentStatus != "paid" {
		t.Errorf("paid, not posted: %+v", s)
	}
	r.model.has("acme", "cus_000002", "sub_1", aggregate.Incomplete)
	if s := r.look(sale.SessionID); s.Stage != checkout.Pending || !s.Posted {
		t.Errorf("posted, without access: %+v", s)
	}
	r.model.change("acme", func(a *record) { a.Subscriptions[0].Status = aggregate.Active })
	if s := r.look(sale.SessionID); s.Stage != checkout.Granted || !s.Posted {
		t.Errorf("posted, with access: %+v", s)
	}
	r.model.change("acme", func(a *record) { a.Subscriptions[0].Status = aggregate.Unpaid })
	r.model.has("acme", "cus_000002", "sub_other", aggregate.Active)
	if s := r.look(sale.SessionID); s.Stage != checkout.Pending || !s.Posted {
		t.Errorf("posted, with access by another subscription: %+v", s)
	}
	r.model.change("acme", func(a *record) { a.Subscriptions[0].Account = "another" })
	if s := r.look(sale.SessionID); s.Stage != checkout.Pending || s.Account != "acme" || s.Posted {
		t.Errorf("posted for another account: %+v", s)
	}
	r.stripe.Change(sessionsPath, sale.SessionID, map[string]any{"status": "expired", "subscription": nil})
	if s := r.look(sale.SessionID); s.Stage != checkout.Expired {
		t.Errorf("expired: %+v", s)
	}
	if _, err := r.desk.Look(t.Context(), "cs_test_none"); !stripeapi.IsKind(err, stripeapi.NotFound) {
		t.Errorf("none: %v", err)
	}
}

// TestWaitingEndsWithAccess: the model's change ends it, whenever that comes.
func TestWaitingEndsWithAccess(t *testing.T) {
	r := newRig(t)
	s := r.completed("sub_1")
	waited := make(chan checkout.Standing)
	for range 8 {
		go func() {
			got, err := r.desk.Await(t.Context(), s)
			if err != nil {
				t.Error(err)
			}
			waited <- got
		}()
	}
	r.model.has("other", "cus_9", "sub_9", aggregate.Active)
	r.model.has("acme", "cus_000002", "sub_1", aggregate.Active)
	for range 8 {
		if got := <-waited; got.Stage != checkout.Granted || !got.Posted {
			t.Errorf("%+v", got)
		}
	}
}

// TestWaitingEndsWithTheCallersPatience.
func TestWaitingEndsWithTheCallersPatience(t *testing.T) {
	r := newRig(t)
	s := r.completed("sub_1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := r.desk.Await(ctx, s); err != nil || got.Stage != checkout.Pending {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestWaitingAsksAgainWhetherItIsPaid: who waits may be there before Stripe is.
func TestWaitingAsksAgainWhetherItIsPaid(t *testing.T) {
	r := newRig(t)
	sale := r.mustSell(order("acme", "basic"))
	s := r.look(sale.SessionID)
	r.model.has("acme", "cus_000002", "sub_1", aggregate.Active)
	r.stripe.Change(sessionsPath, sale.SessionID, map[string]any{"status": "complete", "payment_status": "paid", "subscription": "sub_1"})
	r.stripe.Fail(stripetest.Fault{Status: 400}) // what fails in passing ends no wait
	if got, err := r.desk.Await(t.Context(), s); err != nil || got.Stage != checkout.Granted {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTroubleWhileWaitingIsAnError(t *testing.T) {
	r := newRig(t)
	s := r.completed("sub_1")
	r.model.has("acme", "cus_000002", "sub_1", aggregate.Active)
	r.model.folded = false
	if _, err := r.desk.Await(t.Context(), s); !errors.Is(err, errNotFolded) {
		t.Errorf("%v", err)
	}
}

func TestWhatMayBeASession(t *testing.T) {
	for id, may := range map[string]bool{"cs_test_a1": true, "cs_live_B2": true, "": false, "sub_1": false, "cs_": false, "cs_test_../../customers": false, "cs_test?x": false, "cs_test\n": false} {
		if checkout.IsSession(id) != may {
			t.Errorf("%q", id)
		}
	}
}
