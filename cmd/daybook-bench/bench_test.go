package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/intake"
)

func newMaker(t *testing.T, accounts int) *eventMaker {
	t.Helper()
	m, err := newEventMaker("test", accounts, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestEventsAreStripeEvents translates what is sent: a payload that Daybook
// passed over would make it look fast.
func TestEventsAreStripeEvents(t *testing.T) {
	m := newMaker(t, 2)
	translator := &intake.Translator{AccountKeys: []string{"account_id"}}
	want := []aggregate.FactType{
		aggregate.SubscriptionStarted, aggregate.SubscriptionStarted,
		aggregate.SubscriptionChanged, aggregate.SubscriptionChanged,
		aggregate.PaymentSucceeded, aggregate.PaymentSucceeded,
	}
	for i, fact := range want {
		body := []byte(m.body(i))
		envelope, err := intake.ParseEnvelope(body)
		if err != nil {
			t.Fatal(err)
		}
		if envelope.ID != m.eventID(i) || envelope.Livemode {
			t.Errorf("event %d: envelope %+v", i, envelope)
		}
		facts, err := translator.Translate(envelope.Type, body)
		if err != nil {
			t.Fatal(err)
		}
		if len(facts) != 1 || facts[0].Fact.Type != fact {
			t.Errorf("event %d gives %+v: want one %s", i, facts, fact)
		}
		if s := facts[0].Fact.Subscription; s != nil && (s.Account != m.account(i) || s.Items[0].LookupKey != "basic") {
			t.Errorf("event %d: subscription %+v", i, s)
		}
		if strings.Contains(strings.ReplaceAll(string(body), "payer@example.com", ""), "@") {
			t.Errorf("event %d: a placeholder is left:\n%s", i, body)
		}
	}
}

func TestLoadSendsEachRequestOnce(t *testing.T) {
	const n = 300
	seen := make(chan string, 2*n)
	ceiling := ceilingHandler(devSecret)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Stripe-Signature")
		ceiling.ServeHTTP(w, r)
	}))
	defer server.Close()
	requests := newMaker(t, 7).requests(n, time.Now())
	o, err := load{addr: server.Listener.Addr().String(), connections: 8}.run(t.Context(), requests)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(o.latencies, 0) || len(seen) != n {
		t.Errorf("%d requests arrived, latencies %v: want %d", len(seen), o.latencies, n)
	}
	close(seen)
	signatures := map[string]bool{}
	for s := range seen {
		signatures[s] = true
	}
	if len(signatures) != n {
		t.Errorf("%d different requests: want %d", len(signatures), n)
	}
}

func TestLoadFailsOnARefusal(t *testing.T) {
	server := httptest.NewServer(ceilingHandler("whsec_another_secret"))
	defer server.Close()
	_, err := load{addr: server.Listener.Addr().String(), connections: 2}.run(t.Context(), newMaker(t, 1).requests(3, time.Now()))
	if err == nil || !strings.Contains(err.Error(), "400") || !strings.Contains(err.Error(), "signature") {
		t.Errorf("error %v: want the refusal", err)
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	server := httptest.NewServer(ceilingHandler(devSecret))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	// At this rate the second request is due after a second.
	l := load{addr: server.Listener.Addr().String(), connections: 1, rate: 1, sent: func(i int, _ time.Time) { cancel() }}
	if _, err := l.run(ctx, newMaker(t, 1).requests(3600, time.Now())); err == nil {
		t.Error("a cancelled load reports no error")
	}
}

func TestPercentiles(t *testing.T) {
	var times []time.Duration
	for i := 100; i >= 1; i-- {
		times = append(times, time.Duration(i))
	}
	for p, want := range map[float64]time.Duration{50: 50, 99: 99, 100: 100, 0.1: 1} {
		if got := percentile(slices.Clone(times), p); got != want {
			t.Errorf("p%v is %d: want %d", p, got, want)
		}
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("median %v", got)
	}
}

func TestStatusSaysHowFarTheModelIs(t *testing.T) {
	var s serverStatus
	s.Store.Head, s.Model.Position = 100, 40
	s.Followers = append(s.Followers, struct {
		Name     string `json:"name"`
		Position uint64 `json:"position"`
		CaughtUp bool   `json:"caught_up"`
	}{"posting", 90, true}, struct {
		Name     string `json:"name"`
		Position uint64 `json:"position"`
		CaughtUp bool   `json:"caught_up"`
	}{"projection", 60, true})
	if model, every := s.reached(); model != 60 || every != 60 {
		t.Errorf("reached %d and %d: want 60 and 60", model, every)
	}
}
