package checkout_test

import (
	"context"
	"errors"
	"strings"
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
	if s := r.look(sale.SessionID); s.Stage != checkout.Expired || s.Detail == "" {
		t.Errorf("expired: %+v", s)
	}
	if _, err := r.desk.Look(t.Context(), "cs_test_none"); !stripeapi.IsKind(err, stripeapi.NotFound) {
		t.Errorf("none: %v", err)
	}
}

// TestWhatBecomesOfACheckoutIsSaid: given what is known of the subscription, then
// the stage and, where nothing is to be waited for, why.
func TestWhatBecomesOfACheckoutIsSaid(t *testing.T) {
	failed := []string{aggregate.FlagCheckoutFailed}
	for name, test := range map[string]struct {
		policy  aggregate.Policy
		status  aggregate.Status
		flags   []string
		payment string // Stripe's word for the session's
		paid    bool
		stage   checkout.Stage
		says    string
	}{
		"a payment on its way":                  {aggregate.PolicyGrant, aggregate.Active, nil, "unpaid", false, checkout.Granted, ""},
		"a payment on its way, waited for":      {aggregate.PolicyWait, aggregate.Incomplete, nil, "unpaid", false, checkout.Pending, ""},
		"a payment that failed":                 {aggregate.PolicyWait, aggregate.Active, failed, "unpaid", false, checkout.Failed, "its payment failed"},
		"a payment that failed, access is kept": {aggregate.PolicyGrant, aggregate.Active, failed, "unpaid", false, checkout.Granted, ""},
		"a payment that failed, for good":       {aggregate.PolicyGrant, aggregate.Canceled, failed, "unpaid", false, checkout.Failed, "its payment failed"},
		"a payment that failed, no access":      {aggregate.PolicyGrant, aggregate.Unpaid, failed, "unpaid", false, checkout.Failed, "its payment failed"},
		"a payment that came late":              {aggregate.PolicyWait, aggregate.Active, nil, "unpaid", true, checkout.Granted, ""},
		"a first payment that never came":       {aggregate.PolicyGrant, aggregate.IncompleteExpired, nil, "paid", false, checkout.Failed, "did not come"},
		"canceled before it was paid":           {aggregate.PolicyGrant, aggregate.Canceled, nil, "unpaid", false, checkout.Failed, "did not come"},
		"canceled after it was paid elsewhere":  {aggregate.PolicyGrant, aggregate.Canceled, nil, "unpaid", true, checkout.Ended, "has ended"},
		"canceled":                              {aggregate.PolicyGrant, aggregate.Canceled, nil, "paid", true, checkout.Ended, "has ended"},
		"canceled, a free trial":                {aggregate.PolicyGrant, aggregate.Canceled, nil, "no_payment_required", false, checkout.Ended, "has ended"},
		"no access for now":                     {aggregate.PolicyGrant, aggregate.Unpaid, nil, "paid", true, checkout.Pending, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.catalog.AsyncPayment = test.policy
			sale := r.mustSell(order("acme", "basic"))
			r.complete(sale.SessionID, "sub_1")
			r.stripe.Change(sessionsPath, sale.SessionID, map[string]any{"payment_status": test.payment})
			r.model.has("acme", "cus_000002", "sub_1", test.status)
			r.model.change("acme", func(a *record) {
				a.Subscriptions[0].Flags = test.flags
				if test.paid {
					a.Subscriptions[0].Paid = []aggregate.Money{{Amount: 2900, Currency: "usd"}}
				}
			})
			for _, beside := range []string{"nothing", "another subscription"} {
				s := r.look(sale.SessionID)
				if s.Stage != test.stage || (s.Detail == "") != (test.says == "") || !strings.Contains(s.Detail, test.says) {
					t.Errorf("beside %s: %s, %q", beside, s.Stage, s.Detail)
				}
				r.model.has("acme", "cus_2", "sub_2", aggregate.Active)
			}
		})
	}
}

// TestWaitingEndsWithFailure: who waits for access is told at once that none comes.
func TestWaitingEndsWithFailure(t *testing.T) {
	r := newRig(t)
	r.catalog.AsyncPayment = aggregate.PolicyWait
	s := r.completed("sub_1")
	waited := make(chan checkout.Standing)
	go func() {
		got, err := r.desk.Await(t.Context(), s)
		if err != nil {
			t.Error(err)
		}
		waited <- got
	}()
	r.model.has("acme", "cus_000002", "sub_1", aggregate.Incomplete)
	r.model.change("acme", func(a *record) { a.Subscriptions[0].Flags = []string{aggregate.FlagCheckoutFailed} })
	r.model.has("other", "cus_9", "sub_9", aggregate.Active)
	if got := <-waited; got.Stage != checkout.Failed || got.Detail == "" {
		t.Errorf("%+v", got)
	}
}

// TestADelayedPaymentThatCameIsPaid: the answer does not contradict itself, though
// the session was unpaid when the wait began; nor does it need Stripe for that.
func TestADelayedPaymentThatCameIsPaid(t *testing.T) {
	for want, faults := range map[string][]stripetest.Fault{"paid": nil, "unpaid": {{Status: 400}}} {
		r := newRig(t)
		sale := r.mustSell(order("acme", "basic"))
		r.complete(sale.SessionID, "sub_1")
		r.stripe.Change(sessionsPath, sale.SessionID, map[string]any{"payment_status": "unpaid"})
		s := r.look(sale.SessionID)
		r.stripe.Change(sessionsPath, sale.SessionID, map[string]any{"payment_status": "paid"})
		r.model.has("acme", "cus_000002", "sub_1", aggregate.Active)
		r.stripe.Fail(faults...)
		if got, err := r.desk.Await(t.Context(), s); err != nil || got.Stage != checkout.Granted || got.Session.PaymentStatus != want {
			t.Errorf("%+v, %v: want %s", got, err, want)
		}
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
