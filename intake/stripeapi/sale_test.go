package stripeapi_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/daybookhq/daybook/intake/stripeapi"
	"github.com/daybookhq/daybook/intake/stripeapi/stripetest"
)

// TestOneKeyMakesOneSession, though attempts fail and though it is asked for again.
func TestOneKeyMakesOneSession(t *testing.T) {
	r := newRig(t, testKey)
	customer, err := r.client.CreateCustomer(t.Context(), map[string]string{"account_id": "a"}, "customer")
	if err != nil {
		t.Fatal(err)
	}
	order := stripeapi.SessionOrder{Customer: customer.ID, SuccessURL: "https://a.example/{CHECKOUT_SESSION_ID}", CancelURL: "https://a.example/"}
	r.Fail(stripetest.Fault{Status: 500}, stripetest.Fault{Status: 409}, stripetest.Fault{Status: 429})
	first, err := r.client.CreateSession(t.Context(), order, "session")
	if err != nil || first.Replayed || first.Status != stripeapi.SessionOpen {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := r.client.CreateSession(t.Context(), order, "session")
	if err != nil || !again.Replayed || again.ID != first.ID {
		t.Errorf("again: %+v, %v", again, err)
	}
	order.TrialDays = 1
	if _, err := r.client.CreateSession(t.Context(), order, "session"); !stripeapi.IsKind(err, stripeapi.KeyReused) {
		t.Errorf("another order: %v", err)
	}
	if err := r.client.ExpireSession(t.Context(), first.ID); err != nil {
		t.Error(err)
	}
	if s, err := r.client.Session(t.Context(), first.ID); err != nil || s.Status != stripeapi.SessionExpired || s.URL != "" {
		t.Errorf("expired: %+v, %v", s, err)
	}
	order.Customer = "cus_none"
	if _, err := r.client.CreateSession(t.Context(), order, "none"); !stripeapi.IsMissing(err, "customer") || stripeapi.IsMissing(err, "price") {
		t.Errorf("of nobody: %v", err)
	}
}

// TestAFailureThatIsRepeatedIsNotAskedForAgain: it would be repeated for a day.
func TestAFailureThatIsRepeatedIsNotAskedForAgain(t *testing.T) {
	r := newRig(t, testKey)
	r.Fail(stripetest.Fault{Status: 500, Kept: true})
	create := func(key string) error {
		_, err := r.client.CreateCustomer(t.Context(), nil, key)
		return err
	}
	if err := create("a"); !stripeapi.IsKind(err, stripeapi.Unavailable) || !stripeapi.IsReplayed(err) || len(r.Posts("/v1/customers")) != 1 {
		t.Errorf("%v after %+v", err, r.Posts("/v1/customers"))
	}
	if err := create("b"); err != nil {
		t.Error(err)
	}
	r.Fail(stripetest.Fault{Status: 400})
	if err := create("c"); stripeapi.IsReplayed(err) || !stripeapi.IsKind(err, stripeapi.Refused) {
		t.Error(err)
	}
}

// TestNobodyWaitsLongerThanTheContext: a pause that would outlast it is not begun,
// and what Stripe asked for is told.
func TestNobodyWaitsLongerThanTheContext(t *testing.T) {
	r := newRig(t, testKey)
	r.Fail(stripetest.Fault{Status: 429, RetryAfter: 60})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := r.client.SessionsOf(ctx, "cus_1")
	var failed *stripeapi.Error
	if !errors.As(err, &failed) || failed.Kind != stripeapi.RateLimited || failed.RetryAfter() != time.Minute || len(r.waits) > 0 {
		t.Errorf("%v after waits %v", err, r.waits)
	}
}

// TestATurnThatWouldComeTooLateIsNotWaitedFor.
func TestATurnThatWouldComeTooLateIsNotWaitedFor(t *testing.T) {
	r := newRig(t, testKey)
	client := stripeapi.New(stripeapi.Config{Key: testKey, Base: r.URL, PerSecond: 1e-6})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var err error
	for range 20 { // more than the first few that may go at once
		_, err = client.SessionsOf(ctx, "cus_1")
	}
	if !stripeapi.IsKind(err, stripeapi.Unavailable) || ctx.Err() != nil {
		t.Errorf("%v", err)
	}
}
