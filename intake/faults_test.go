package intake_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
	"github.com/daybookhq/daybook/intake"
)

// The tests named TestFaultNN… each fail on the fault of that number in
// docs/FAULTS.md. Those here are of what Stripe says, and of recording it.

// TestFault01WhatFailedIsNotSeen: what could not be recorded is told so, and
// counts as new when it comes again.
func TestFault01WhatFailedIsNotSeen(t *testing.T) {
	real := sqlitetest.Open(t)
	store := &faultyStore{Store: real}
	store.onAppend = func(n int64, next func() (eventstore.AppendResult, error)) (eventstore.AppendResult, error) {
		if n == 1 {
			return eventstore.AppendResult{}, eventstore.ErrUnavailable
		}
		return next()
	}
	j := intake.NewJournal(store, atClock)
	if outcome, err := j.Record(t.Context(), entry(t, body(1))); err == nil {
		t.Fatalf("%+v of what the store refused", outcome)
	}
	if got := record(t, j, entry(t, body(1))); got.Status != intake.Recorded {
		t.Errorf("sent again: %+v", got)
	}
	if n := len(entriesOf(t, real)); n != 1 {
		t.Errorf("%d entries, want one", n)
	}
}

// TestFault02ADeliveryThatDiesHoldsUpNoOther: one that hangs in the store, and
// then dies, holds nothing that another delivery of the event waits for.
func TestFault02ADeliveryThatDiesHoldsUpNoOther(t *testing.T) {
	store := &faultyStore{Store: sqlitetest.Open(t)}
	hung, dying := make(chan struct{}), make(chan struct{})
	store.onAppend = func(n int64, next func() (eventstore.AppendResult, error)) (eventstore.AppendResult, error) {
		if n == 1 {
			close(hung)
			<-dying
			return eventstore.AppendResult{}, context.Canceled
		}
		return next()
	}
	j := intake.NewJournal(store, atClock)
	deliver := func() <-chan result {
		told, e := make(chan result, 1), entry(t, body(1))
		go func() {
			outcome, err := j.Record(t.Context(), e)
			told <- result{outcome, err}
		}()
		return told
	}
	first := deliver()
	<-hung
	select {
	case second := <-deliver():
		if n := len(entriesOf(t, store)); second.err != nil || second.Status != intake.Recorded || n != 1 {
			t.Errorf("while another hung: %+v, %d entries, want it recorded", second, n)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits for the one that hangs")
	}
	close(dying)
	if died := <-first; !errors.Is(died.err, context.Canceled) {
		t.Errorf("the one that died: %+v", died)
	}
}

// result is what recording a delivery gave.
type result struct {
	intake.Outcome
	err error
}

// TestFault12NothingButTheExpectedRevisionKeepsDeliveriesApart: two journals
// share no memory and no lock, and yet one event has one entry.
func TestFault12NothingButTheExpectedRevisionKeepsDeliveriesApart(t *testing.T) {
	store := sqlitetest.Open(t)
	var journals [2]*intake.Journal
	for i := range journals {
		journals[i] = intake.NewJournal(store, atClock)
	}
	outcomes := make(chan intake.Outcome, 20)
	gate := make(chan struct{})
	var racing sync.WaitGroup
	for i := range cap(outcomes) {
		e := entry(t, body(1))
		racing.Go(func() {
			<-gate
			outcome, err := journals[i%2].Record(t.Context(), e)
			if err != nil {
				t.Error(err)
			}
			outcomes <- outcome
		})
	}
	close(gate)
	racing.Wait()
	close(outcomes)
	entries := entriesOf(t, store)
	if len(entries) != 1 {
		t.Fatalf("%d entries, want one", len(entries))
	}
	recorded := 0
	for outcome := range outcomes {
		if outcome.Status == intake.Recorded {
			recorded++
		}
		if outcome.Position != entries[0].Position {
			t.Errorf("%+v names another entry than the one at %d", outcome, entries[0].Position)
		}
	}
	if recorded != 1 {
		t.Errorf("%d deliveries recorded it, want one", recorded)
	}
}

// TestFault09MetadataTellsNoTier: what metadata calls the tier is
// in no fact, whether there is such a tier or not.
func TestFault09MetadataTellsNoTier(t *testing.T) {
	for _, tier := range []string{"elite", "no such tier"} {
		metadata := `,"metadata":{"account_id":"team-42","tier":"` + tier + `","plan":"` + tier + `"}`
		got := subscriptionTruth("sub_1", translated(t, created, sub(plainItems+metadata)))
		if got.Tier != "basic" || got.Link.Account != "team-42" {
			t.Errorf("metadata says %q: tier %q of %q, want that of the price", tier, got.Tier, got.Link.Account)
		}
		plain := one(t, created, sub(plainItems+`,"metadata":{"account_id":"team-42"}`))
		if told := one(t, created, sub(plainItems+metadata)); !reflect.DeepEqual(told, plain) {
			t.Errorf("metadata says %q: %+v, want the fact without it", tier, told.Fact.Subscription)
		}
	}
}

func translated(t *testing.T, kind, object string) []aggregate.Fact {
	t.Helper()
	return []aggregate.Fact{one(t, kind, object).Fact}
}

// TestFault11PaymentStatusIsReadFromTheCheckout: the policy that waits for the
// payment has what it needs.
func TestFault11PaymentStatusIsReadFromTheCheckout(t *testing.T) {
	session := func(status string) string {
		return `{"object":"checkout.session","id":"cs_1","mode":"subscription","subscription":"sub_1","customer":"cus_1","status":"complete","payment_status":"` + status + `"}`
	}
	facts := append(translated(t, created, sub(plainItems)), translated(t, completed, session("unpaid"))...)
	facts[1].Key.StripeEventID = "evt_2"
	if !subscriptionTruth("sub_1", facts).PaymentPending {
		t.Error("a checkout that is unpaid is not pending")
	}
	facts[1] = translated(t, completed, session("paid"))[0]
	facts[1].Key.StripeEventID = "evt_2"
	if subscriptionTruth("sub_1", facts).PaymentPending {
		t.Error("a checkout that is paid is pending")
	}
}

// TestFault20TwoSecretsOverlapAtRotation: for as long as Stripe signs with the
// old secret, both are accepted, and neither longer than it is listed.
func TestFault20TwoSecretsOverlapAtRotation(t *testing.T) {
	payload := []byte(`{"id":"evt_1"}`)
	v := intake.NewVerifier([]string{oldSecret}, atClock)
	for _, step := range []struct {
		listed   []string
		old, new bool
	}{
		{[]string{oldSecret}, true, false},
		{[]string{oldSecret, newSecret}, true, true},
		{[]string{newSecret}, false, true},
	} {
		v.SetSecrets(step.listed)
		for secret, want := range map[string]bool{oldSecret: step.old, newSecret: step.new} {
			if _, err := v.Verify(payload, sign(payload, secret, clock)); (err == nil) != want {
				t.Errorf("signed with %s, while %v are listed: %v", secret, step.listed, err)
			}
		}
	}
}

// TestFault22FieldsAreFoundInEveryVersion: one subscription and its failed
// invoice, as three generations of the API write them, are the same facts.
func TestFault22FieldsAreFoundInEveryVersion(t *testing.T) {
	subscriptions := []string{
		`"plan":{"id":"price_basic"},"quantity":1,"current_period_start":100,"current_period_end":200`,
		`"items":{"data":[{"price":{"id":"price_basic"},"quantity":1}]},"current_period_start":100,"current_period_end":200`,
		`"items":{"data":[{"price":{"id":"price_basic"},"quantity":1,"current_period_start":100,"current_period_end":200}]}`,
	}
	invoices := []string{
		`"lines":{"data":[{"id":"sub_1","type":"subscription"}]}`,
		`"subscription":"sub_1"`,
		`"parent":{"subscription_details":{"subscription":"sub_1"}}`,
	}
	wantSub, wantInvoice := one(t, created, sub(subscriptions[0])), one(t, failed, inv(invoices[0]))
	item := wantSub.Fact.Subscription.Items[0]
	if item.Price != "price_basic" || !item.PeriodEnd.Equal(at(200)) || wantInvoice.Fact.Invoice.Subscription != "sub_1" {
		t.Fatalf("the oldest shape: item %+v, invoice of %q", item, wantInvoice.Fact.Invoice.Subscription)
	}
	for i := range subscriptions {
		if got := one(t, created, sub(subscriptions[i])); !reflect.DeepEqual(got, wantSub) {
			t.Errorf("shape %d: %+v, want %+v", i, got.Fact.Subscription, wantSub.Fact.Subscription)
		}
		if got := one(t, failed, inv(invoices[i])); !reflect.DeepEqual(got, wantInvoice) {
			t.Errorf("shape %d: %+v, want %+v", i, got.Fact.Invoice, wantInvoice.Fact.Invoice)
		}
	}
	// What is in none of the places is no zero.
	if facts, err := translator.Translate(created, event(created, `{"object":"subscription","id":"sub_1","customer":"cus_1"}`)); err == nil {
		t.Errorf("a subscription without a status gives %+v", facts)
	}
}

// TestFault24OldEventsAreTaken: Stripe sends an event again for days, and signs
// each delivery anew. Only the age of the signature counts.
func TestFault24OldEventsAreTaken(t *testing.T) {
	delivery := entry(t, body(1)) // created in 2023, in the world of the tests years ago
	if age := clock.Sub(delivery.Envelope.Created); age < 72*time.Hour {
		t.Fatalf("the event is only %s old", age)
	}
	v := intake.NewVerifier([]string{newSecret}, atClock)
	if _, err := v.Verify(delivery.Body, sign(delivery.Body, newSecret, clock)); err != nil {
		t.Errorf("signed now: %v", err)
	}
	if got := record(t, intake.NewJournal(sqlitetest.Open(t), atClock), delivery); got.Status != intake.Recorded {
		t.Errorf("%+v", got)
	}
	_, err := v.Verify(delivery.Body, sign(delivery.Body, newSecret, clock.Add(-time.Hour)))
	checkFault(t, err, intake.SignatureStale)
}
