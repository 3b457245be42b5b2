package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/reconcile"
	"github.com/daybookhq/daybook/intake/stripeapi"
	"github.com/daybookhq/daybook/intake/stripeapi/stripetest"
)

func TestFault21ASweepFindsWhatNoWebhookBrought(t *testing.T) {
	r := newRig(t)
	r.deliver(r.happen("evt_1", "sub_1", "active", r.ago(3*time.Hour)))
	r.happen("evt_2", "sub_1", "past_due", r.ago(20*time.Minute)) // lost
	report := r.sweep(reconcile.Plan{})
	if report.Events != 2 || report.Found != 1 || report.Missing != 1 || report.MissingEvents[0].ID != "evt_2" || report.Complete() {
		t.Errorf("%+v", report)
	}
	if truth := r.truth("sub_1"); truth.Status != aggregate.PastDue || truth.Delinquency == nil || truth.Delinquency.Anchor.Unix() != r.ago(20*time.Minute) {
		t.Errorf("%+v", truth)
	}
	if again := r.sweep(reconcile.Plan{}); !again.Complete() || again.Found != 1 || r.entries("") != 2 {
		t.Errorf("again: %+v, %d entries", again, r.entries(""))
	}
	if st := r.Status(); st.Sweeps != 2 || st.Missed != 0 || len(st.Alerts) != 0 {
		t.Errorf("what was from before the first sweep raised an alarm: %+v", st)
	}
}

func TestWebhooksThatAreMissedRaiseAnAlarm(t *testing.T) {
	r := newRig(t)
	r.sweep(reconcile.Plan{})
	r.pass(time.Hour)
	r.happen("evt_1", "sub_1", "active", r.ago(30*time.Minute))
	onTheWay := strings.Replace(string(r.happen("evt_2", "sub_1", "active", r.ago(20*time.Minute))), `"pending_webhooks": 0`, `"pending_webhooks": 1`, 1)
	r.stripe.Put("/v1/events", []byte(onTheWay))
	report := r.sweep(reconcile.Plan{})
	if report.Missing != 2 || report.Missed != 1 {
		t.Errorf("%+v", report)
	}
	st := r.Status()
	if st.Missed != 1 || !slices.ContainsFunc(st.Alerts, func(a string) bool { return strings.Contains(a, "webhooks are being missed") }) {
		t.Errorf("%+v", st)
	}
	r.sweep(reconcile.Plan{})
	if st := r.Status(); st.Missed != 1 || len(st.Alerts) != 0 {
		t.Errorf("after a sweep that found nothing: %+v", st)
	}
}

// TestEventsThatAppearLateOrShareASecondAreNotSkipped: each sweep ends a minute
// before the present, and the next begins well before that.
func TestEventsThatAppearLateOrShareASecondAreNotSkipped(t *testing.T) {
	r := newRig(t)
	r.stripe.SetLag(10 * time.Minute) // worse than Stripe's
	n := 0
	for range 6 {
		second := r.ago(0)
		for range 150 { // more than a page
			n++
			r.happen(fmt.Sprintf("evt_%d", n), fmt.Sprintf("sub_%d", n%7), "active", second)
		}
		r.pass(20 * time.Minute)
		r.sweep(reconcile.Plan{})
	}
	r.pass(time.Hour)
	r.sweep(reconcile.Plan{})
	if got := r.entries(intake.SourceAPI); got < n {
		t.Errorf("%d entries of %d events", got, n)
	}
	for i := range n {
		if _, err := read(t.Context(), r.store, fmt.Sprintf("evt_%d", i+1)); err != nil {
			t.Fatalf("evt_%d: %v", i+1, err)
		}
	}
}

func read(ctx context.Context, store eventstore.Reader, id string) (eventstore.RecordedEvent, error) {
	for e, err := range store.ReadStream(ctx, intake.JournalStream(id), 0, eventstore.Forwards, 1) {
		return e, err
	}
	return eventstore.RecordedEvent{}, errors.New("nothing there")
}

func TestEventsAreRecordedTheOldestWindowFirst(t *testing.T) {
	r := newRig(t)
	for i := range 300 {
		r.happen(fmt.Sprintf("evt_%d", i), "sub_1", "active", r.ago(20*24*time.Hour-time.Duration(i)*time.Hour))
	}
	r.sweep(reconcile.Plan{})
	var created []int64
	for e, err := range r.store.ReadAll(t.Context(), 0, eventstore.Forwards, eventstore.Filter{Prefixes: []string{"stripeEvent-evt"}}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		receipt, err := intake.DecodeReceipt(e.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		created = append(created, receipt.EventCreated.Unix())
	}
	// Those of one window are recorded together, in no order.
	for i, at := range created {
		if i >= 100 && at < slices.Min(created[:i-99]) {
			t.Fatalf("entry %d is older than all of those long before it", i)
		}
	}
	if len(created) != 300 {
		t.Errorf("%d entries", len(created))
	}
}

func TestAManyEventedWindowIsCut(t *testing.T) {
	r := newRig(t)
	object := subscription("sub_1", r.ago(60*24*time.Hour), "active")
	r.stripe.Put("/v1/subscriptions", object)
	for i := range 2600 {
		r.stripe.Put("/v1/events", event(fmt.Sprintf("evt_%d", i), "customer.tax_id.created", r.ago(25*time.Hour-time.Duration(i)*time.Second), object))
	}
	r.deliver(r.happen("evt_told", "sub_1", "active", r.ago(24*time.Hour)))
	if report := r.sweep(reconcile.Plan{}); report.Events != 1 || report.Found != 1 || r.entries("") != 1 {
		t.Errorf("%+v", report)
	}
}

func TestObjectsThatDifferAreRecorded(t *testing.T) {
	r := newRig(t)
	for i, status := range []string{"active", "past_due", "active"} {
		r.deliver(r.happen(fmt.Sprintf("evt_%d", i), fmt.Sprintf("sub_%d", i), status, r.ago(3*time.Hour)))
	}
	// Two change without an event, one of them for good; one is gone.
	r.stripe.Put("/v1/subscriptions", subscription("sub_0", r.ago(60*24*time.Hour), "canceled"))
	r.stripe.Put("/v1/subscriptions", subscription("sub_1", r.ago(60*24*time.Hour), "active"))
	r.stripe.Remove("/v1/subscriptions", "sub_2")
	report := r.sweep(reconcile.Plan{})
	var differing []string
	for _, o := range report.DifferingObjects {
		differing = append(differing, o.ID)
	}
	if !slices.Equal(differing, []string{"sub_1", "sub_0"}) { // the one in doubt first
		t.Errorf("differing %v", differing)
	}
	if !slices.Equal(report.Unknown, []string{"sub_2"}) || report.Recorded != 2 {
		t.Errorf("%+v", report)
	}
	if a, b := r.truth("sub_0").Status, r.truth("sub_1").Status; a != aggregate.Canceled || b != aggregate.Active {
		t.Errorf("%s and %s", a, b)
	}
	before := r.entries("")
	if again := r.sweep(reconcile.Plan{}); again.Differing != 0 || again.Recorded != 0 || r.entries("") != before {
		t.Errorf("again: %+v", again)
	}
}

// TestAnAnswerThatWasGivenBeforeCountsAgain: there and back, unseen.
func TestAnAnswerThatWasGivenBeforeCountsAgain(t *testing.T) {
	r := newRig(t)
	for i, status := range []string{"active", "unpaid", "active", "unpaid"} {
		r.stripe.Put("/v1/subscriptions", subscription("sub_1", r.ago(0), status))
		r.pass(time.Hour)
		r.sweep(reconcile.Plan{})
		if got := r.truth("sub_1").Status; got != aggregate.Status(status) {
			t.Fatalf("answer %d: %s, want %s", i, got, status)
		}
	}
}

// TestWhatSomebodyElseAskedForIsTaken, once, and beside a sweep; what cannot be read
// is an error.
func TestWhatSomebodyElseAskedForIsTaken(t *testing.T) {
	r := newRig(t)
	r.stripe.Put("/v1/subscriptions", subscription("sub_1", r.ago(60*24*time.Hour), "active"))
	answer, err := r.API.Fetch(t.Context(), stripeapi.Subscriptions, "sub_1")
	if err != nil {
		t.Fatal(err)
	}
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			if err := r.Take(t.Context(), answer); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	if truth := r.truth("sub_1"); truth.Status != aggregate.Active || truth.Link.Account != "team-1" || r.entries(intake.SourceAPI) != 1 {
		t.Errorf("%+v, by %d entries", truth, r.entries(""))
	}
	r.sweep(reconcile.Plan{})
	if n := r.entries(""); n != 1 {
		t.Errorf("%d entries after a sweep", n)
	}
	answer.ID, answer.Raw = "sub_2", []byte(`{"id": "sub_2", "object": "subscription"}`)
	if err := r.Take(t.Context(), answer); err == nil || !strings.Contains(err.Error(), "sub_2") || r.entries("") != 1 {
		t.Errorf("%v, %d entries", err, r.entries(""))
	}
}

func TestABackfillRecordsEverythingOnce(t *testing.T) {
	r := newRig(t)
	for i := range 250 {
		r.stripe.Put("/v1/subscriptions", subscription(fmt.Sprintf("sub_%d", i), r.ago(time.Duration(i)*time.Hour), []string{"active", "canceled"}[i%2]))
	}
	r.stripe.Put("/v1/customers", []byte(`{"id": "cus_1", "object": "customer", "created": 1700000000, "livemode": false, "metadata": {"account_id": "team-1"}}`))
	r.stripe.Put("/v1/checkout/sessions", []byte(`{"id": "cs_1", "object": "checkout.session", "created": 1700000000, "livemode": false, "mode": "subscription", "status": "complete", "payment_status": "paid", "subscription": "sub_0", "customer": "cus_1"}`))
	r.stripe.Put("/v1/checkout/sessions", []byte(`{"id": "cs_2", "object": "checkout.session", "created": 1700000000, "livemode": false, "mode": "subscription", "status": "open"}`))
	r.stripe.Put("/v1/invoices", fmt.Appendf(nil, `{"id": "in_1", "object": "invoice", "created": %d, "livemode": false, "status": "paid", "total": 2900, "amount_due": 2900, "amount_paid": 2900, "currency": "usd", "subscription": "sub_0"}`, r.ago(time.Hour)))
	r.deliver(r.happen("evt_1", "sub_0", "active", r.ago(time.Hour)))
	told := int64(0)
	b, err := r.Backfill(t.Context(), func(done, _ int64) { told = done })
	if err != nil || b.Objects != 253 || b.Recorded != 253 || b.Found != 1 || b.Missing != 0 || told != 254 || len(b.Unreadable) > 0 {
		t.Fatalf("%+v, %d, %v", b.Report, told, err)
	}
	if truth := r.truth("sub_0"); truth.Status != aggregate.Active || len(truth.Paid) != 1 || truth.Link.Account != "team-1" {
		t.Errorf("%+v", truth)
	}
	before := r.entries("")
	if again, err := r.Backfill(t.Context(), func(_, _ int64) {}); err != nil || again.Recorded != 0 || r.entries("") != before {
		t.Errorf("again: %+v, %v", again.Report, err)
	}
	if st := r.Status(); !st.Backfilled {
		t.Errorf("%+v", st)
	}
	fresh := r.with(testKey)
	if err := fresh.Load(t.Context()); err != nil || !fresh.Status().Backfilled {
		t.Errorf("another process does not know: %+v, %v", fresh.Status(), err)
	}
}

func TestAnInterruptedBackfillGoesOn(t *testing.T) {
	r := newRig(t)
	for i := range 950 {
		r.stripe.Put("/v1/subscriptions", subscription(fmt.Sprintf("sub_%03d", i), r.ago(time.Duration(i)*time.Hour), "active"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var pages atomic.Int64
	r.stripe.SetBefore(func(req *http.Request) {
		if req.URL.Path == "/v1/subscriptions" && pages.Add(1) == 6 {
			cancel()
		}
	})
	if _, err := r.Backfill(ctx, func(_, _ int64) {}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if r.Status().Backfilled {
		t.Error("half of it counts as done")
	}
	r.stripe.SetBefore(nil)
	b, err := r.with(testKey).Backfill(t.Context(), func(_, _ int64) {})
	if err != nil || !b.Resumed || b.Objects >= 950 || b.Recorded >= 950 {
		t.Errorf("%+v, %v", b.Report, err)
	}
	if n := r.entries(intake.SourceAPI); n != 950 {
		t.Errorf("%d entries", n)
	}
}

// TestASweepBesideWebhooksPostsNothingTwice has every event come both ways at
// once, and differently rendered.
func TestASweepBesideWebhooksPostsNothingTwice(t *testing.T) {
	r := newRig(t)
	var bodies [][]byte
	for i := range 400 {
		bodies = append(bodies, r.happen(fmt.Sprintf("evt_%d", i), fmt.Sprintf("sub_%d", i%5), "active", r.ago(time.Hour+time.Duration(i)*time.Second)))
	}
	var work sync.WaitGroup
	for i := range 4 {
		work.Go(func() {
			for j := i; j < len(bodies); j += 4 {
				envelope, err := intake.ParseEnvelope(bodies[j])
				if err == nil {
					_, err = r.journal.Record(t.Context(), intake.Entry{Body: append([]byte(" "), bodies[j]...), Envelope: envelope, Source: intake.SourceWebhook, Secret: "0123abcd"})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		if _, err := r.Reconcile(t.Context(), reconcile.Plan{}); err != nil {
			t.Error(err)
		}
	}
	work.Wait()
	if err := r.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for e, err := range r.store.ReadAll(t.Context(), 0, eventstore.Forwards, eventstore.Filter{Prefixes: []string{"subscription-"}}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if event, err := aggregate.Decode(e.Type, e.Data); err == nil && event.Fact != nil && event.Fact.Epoch == 0 {
			seen[event.Fact.Key.StripeEventID]++
		}
	}
	for _, body := range bodies {
		envelope, _ := intake.ParseEnvelope(body)
		if seen[envelope.ID] != 1 {
			t.Errorf("%s: posted %d times", envelope.ID, seen[envelope.ID])
		}
	}
}

func TestTheThirtyDayCliff(t *testing.T) {
	r := newRig(t)
	r.sweep(reconcile.Plan{})
	r.pass(21 * 24 * time.Hour)
	if st := r.Status(); len(st.Alerts) != 1 || !strings.Contains(st.Alerts[0], "21 days ago") {
		t.Errorf("after 21 days: %q", st.Alerts)
	}
	r.pass(20 * 24 * time.Hour)
	r.happen("evt_new", "sub_1", "active", r.ago(time.Hour))
	r.happen("evt_gone", "sub_2", "unpaid", r.ago(35*24*time.Hour))
	report := r.sweep(reconcile.Plan{})
	if report.LostFrom.IsZero() || report.Complete() || report.Missing != 1 {
		t.Errorf("%+v", report)
	}
	if r.truth("sub_2").Status != aggregate.Unpaid {
		t.Error("the object whose event is gone was not compared")
	}
}

func TestASweepOfAChosenTimeLeavesNoGap(t *testing.T) {
	r := newRig(t)
	r.sweep(reconcile.Plan{})
	swept := r.Status().SweptUntil
	r.pass(5 * time.Hour)
	r.happen("evt_1", "sub_1", "active", r.ago(4*time.Hour))
	if report := r.sweep(reconcile.Plan{Since: r.clock().Add(-time.Hour)}); report.Missing != 0 || !r.Status().SweptUntil.Equal(swept) {
		t.Errorf("%+v, swept until %s", report, r.Status().SweptUntil)
	}
	if report := r.sweep(reconcile.Plan{}); report.Missing != 1 || !r.Status().SweptUntil.After(swept) {
		t.Errorf("%+v", report)
	}
}

// TestWhatMayNotBeAskedBeginsNothing: every refusal is a sentence, and neither
// the journal nor the state is touched.
func TestWhatMayNotBeAskedBeginsNothing(t *testing.T) {
	r := newRig(t)
	r.stripe.Allow("rk_test_few", "/v1/invoices", "/v1/events")
	r.stripe.Put("/v1/subscriptions", subscription("sub_1", r.ago(time.Hour), "active"))
	noKey := reconcile.New(reconcile.Config{Store: r.store, Now: r.clock})
	for name, c := range map[string]struct {
		with *reconcile.Reconciler
		says []string
	}{
		"no key":      {noKey, []string{"STRIPE_API_KEY is not set"}},
		"restricted":  {r.with("rk_test_few"), []string{"list invoices", "rak_invoice_read", "rak_event_read"}},
		"unknown key": {r.with("sk_test_revoked"), []string{"does not accept the API key"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, backfill := c.with.Backfill(t.Context(), func(_, _ int64) {})
			_, sweep := c.with.Reconcile(t.Context(), reconcile.Plan{})
			for _, err := range []error{backfill, sweep} {
				for _, want := range c.says {
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("%v: want %q", err, want)
					}
				}
			}
			if head, err := r.store.Head(t.Context()); err != nil || head != 0 {
				t.Errorf("the store was written to: %d, %v", head, err)
			}
		})
	}
	r.stripe.Put("/v1/customers", []byte(`{"id": "cus_live", "object": "customer", "created": 1700000000, "livemode": true}`))
	if _, err := r.Backfill(t.Context(), func(_, _ int64) {}); !stripeapi.IsKind(err, stripeapi.WrongMode) || r.entries("") != 0 {
		t.Errorf("answers of live mode: %v", err)
	}
}

func TestASweepThatFailsIsRepeatedWhole(t *testing.T) {
	r := newRig(t)
	r.sweep(reconcile.Plan{})
	swept := r.Status().SweptUntil
	r.pass(3 * time.Hour)
	r.happen("evt_1", "sub_1", "active", r.ago(time.Hour))
	var once sync.Once
	r.stripe.SetBefore(func(req *http.Request) {
		if req.URL.Path == "/v1/invoices" && req.URL.Query().Get("status") == "open" {
			once.Do(func() { r.stripe.Fail(slices.Repeat([]stripetest.Fault{{Status: 500}}, 8)...) })
		}
	})
	if _, err := r.Reconcile(t.Context(), reconcile.Plan{}); !stripeapi.IsKind(err, stripeapi.Unavailable) {
		t.Fatal(err)
	}
	if st := r.Status(); st.LastError == "" || !st.SweptUntil.Equal(swept) || len(st.Alerts) == 0 {
		t.Errorf("%+v", st)
	}
	r.stripe.SetBefore(nil)
	if report := r.sweep(reconcile.Plan{}); report.Found != 1 || r.Status().LastError != "" {
		t.Errorf("%+v, %+v", report, r.Status())
	}
}

func TestAStoreOfLiveModeSaysThatItIsNotBackfilled(t *testing.T) {
	r := newRig(t)
	live := reconcile.New(reconcile.Config{Store: r.store, Livemode: true, Now: r.clock})
	if st := live.Status(); len(st.Alerts) != 1 || !strings.HasPrefix(st.Alerts[0], "not backfilled") || st.Configured {
		t.Errorf("%+v", st)
	}
}

// TestAServerSweepsTheGapAndSaysSo: the store may be one from a backup.
func TestAServerSweepsTheGapAndSaysSo(t *testing.T) {
	r := newRig(t)
	r.sweep(reconcile.Plan{})
	r.pass(10 * time.Hour)
	r.happen("evt_1", "sub_1", "active", r.ago(9*time.Hour))
	r.stripe.Put("/v1/webhook_endpoints", []byte(`{"id": "we_1", "object": "webhook_endpoint", "created": 1, "livemode": false, "status": "disabled", "url": "https://a.example/webhooks/stripe"}`))
	log, said := test.NewNullLogger()
	r.Log = log
	ctx, stop := context.WithCancel(t.Context())
	r.stripe.SetBefore(func(req *http.Request) {
		if req.URL.Path == "/v1/webhook_endpoints" {
			go stop() // the last that a sweep asks for
		}
	})
	r.Run(ctx)
	messages := ""
	for _, entry := range said.AllEntries() {
		messages += entry.Message + "\n"
	}
	for _, want := range []string{"restored from a backup; sweeping the gap", "webhooks are being missed"} {
		if !strings.Contains(messages, want) {
			t.Errorf("does not say %q:\n%s", want, messages)
		}
	}
	if _, err := read(t.Context(), r.store, "evt_1"); err != nil {
		t.Error(err)
	}
}

// TestAGapIsWaitedForOnce: until an attempt to sweep it has ended, well or not.
func TestAGapIsWaitedForOnce(t *testing.T) {
	r := newRig(t)
	if r.Gap() {
		t.Error("a store that was never swept has a gap")
	}
	r.sweep(reconcile.Plan{})
	noticed := r.clock()
	r.pass(10 * time.Hour)
	restarted := r.with(testKey)
	if err := restarted.Load(t.Context()); err != nil || !restarted.Gap() || restarted.SweptSince(noticed) {
		t.Errorf("gap %t, swept since %t, %v", restarted.Gap(), restarted.SweptSince(noticed), err)
	}
	r.stripe.Fail(stripetest.Fault{Status: 401})
	asked := make(chan struct{}, 1)
	restarted.Log = failing(asked)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); restarted.Run(ctx) }()
	<-asked
	if restarted.Gap() || restarted.SweptSince(noticed) {
		t.Error("after an attempt that failed")
	}
	// The next attempt would be minutes later; whoever needs it asks for it.
	restarted.Hurry()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !restarted.SweptSince(noticed); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it does not sweep when asked to")
		}
	}
	stop()
	<-done
}

// failing is a log that tells of the first error.
func failing(told chan struct{}) logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.AddHook(errorHook(told))
	return log
}

type errorHook chan struct{}

func (errorHook) Levels() []logrus.Level { return []logrus.Level{logrus.ErrorLevel} }

func (h errorHook) Fire(*logrus.Entry) error {
	select {
	case h <- struct{}{}:
	default:
	}
	return nil
}

// TestASweepOfAChosenTimeMakesNoLossGood: what lies before it is as it was.
func TestASweepOfAChosenTimeMakesNoLossGood(t *testing.T) {
	r := newRig(t)
	r.sweep(reconcile.Plan{})
	r.pass(10 * time.Hour)
	noticed := r.clock()
	r.pass(time.Minute)
	r.sweep(reconcile.Plan{Since: r.clock().Add(-time.Hour)})
	if r.SweptSince(noticed) {
		t.Error("a sweep that left a gap counts")
	}
	r.sweep(reconcile.Plan{})
	if !r.SweptSince(noticed) {
		t.Error("a sweep of everything does not count")
	}
}

func TestADisabledEndpointRaisesAnAlarm(t *testing.T) {
	r := newRig(t)
	endpoint := `{"id": "we_1", "object": "webhook_endpoint", "created": 1, "livemode": false, "status": "disabled", "url": "https://a.example/webhooks/stripe"}`
	r.stripe.Put("/v1/webhook_endpoints", []byte(endpoint))
	r.LookAtEndpoints(t.Context())
	if st := r.Status(); len(st.Alerts) != 1 || !strings.Contains(st.Alerts[0], "https://a.example/webhooks/stripe is disabled") {
		t.Errorf("%q", st.Alerts)
	}
	r.stripe.Put("/v1/webhook_endpoints", []byte(strings.ReplaceAll(strings.Replace(endpoint, "disabled", "enabled", 1), "we_1", "we_2")))
	r.LookAtEndpoints(t.Context())
	if st := r.Status(); len(st.Alerts) != 0 {
		t.Errorf("another is enabled: %q", st.Alerts)
	}
	few := r.with("rk_test_few")
	r.stripe.Allow("rk_test_few", "/v1/webhook_endpoints")
	few.LookAtEndpoints(t.Context())
	if st := few.Status(); len(st.Alerts) != 0 {
		t.Errorf("a key that may not look: %q", st.Alerts)
	}
}
