package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/stripeapi/stripetest"
)

// newSeller is a Stripe that sells the tier basic, and a server before it.
func newSeller(t *testing.T, more ...string) (*stripetest.Server, *server) {
	t.Helper()
	stripe := newStripe(t)
	stripe.Put("/v1/prices", []byte(`{"id": "price_1Basic", "object": "price", "created": 1, "livemode": false, "active": true, "type": "recurring", "currency": "usd", "lookup_key": "basic", "product": "prod_1", "unit_amount": 2900, "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"}}`))
	env := append(withStripe(stripe), "DAYBOOK_REDIRECT_HOSTS=app.example.com,localhost:3000")
	return stripe, start(t, launch{args: []string{"--dev"}, env: append(env, more...)})
}

// order posts a body with the server's API key.
func (s *server) order(path, body string) (answer, map[string]any) {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodPost, s.base+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Content-Type", "application/json")
	a, err := do(client, req)
	if err != nil {
		s.t.Fatal(err)
	}
	var said map[string]any
	if err := json.Unmarshal(a.body, &said); err != nil {
		s.t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return a, said
}

const basicOrder = `{"account":"acme","tier":"basic","success_url":"http://localhost:3000/done?s={CHECKOUT_SESSION_ID}","cancel_url":"https://app.example.com/plans"}`

// TestFromACheckoutToAccess goes the whole way: two clicks, a payment, the webhooks
// of it, the success page, and what the account may do then.
func TestFromACheckoutToAccess(t *testing.T) {
	t.Parallel()
	stripe, s := newSeller(t)
	_, sale := s.order("/v1/checkout/sessions", basicOrder)
	id := fmt.Sprint(sale["session_id"])
	if _, again := s.order("/v1/checkout/sessions", basicOrder); sale["kind"] != "checkout" || again["session_id"] != id || !strings.HasSuffix(fmt.Sprint(sale["url"]), id) {
		t.Fatalf("%v, then %v", sale, again)
	}
	made := stripe.Posts("/v1/checkout/sessions")[0].Form
	if made.Get("success_url") != "http://localhost:3000/done?s={CHECKOUT_SESSION_ID}" || made.Get("subscription_data[metadata][account_id]") != "acme" || made.Get("line_items[0][price]") != "price_1Basic" {
		t.Errorf("Stripe was asked for %v", made)
	}

	// The buyer pays; the success page asks before the webhooks come.
	customer, at := made.Get("customer"), time.Now().Unix()
	stripe.Change("/v1/checkout/sessions", id, map[string]any{"status": "complete", "payment_status": "paid", "url": nil, "subscription": "sub_bought"})
	var waited map[string]any
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for range 4 { // a success page asks again
			a := s.ask("/v1/checkout/sessions/"+id+"?wait=30s", s.key)
			if err := json.Unmarshal(a.body, &waited); err != nil || waited["status"] != "pending" {
				return
			}
		}
	})
	if _, said := s.order("/v1/checkout/sessions", basicOrder); said["kind"] != "portal" {
		t.Errorf("a click behind the payment: %v", said)
	}
	subscription, session := bought(id, "sub_bought", customer, "paid", at)
	s.mustDeliver(eventOf(t, "evt_session", "checkout.session.completed", at, session), "recorded")
	s.mustDeliver(eventOf(t, "evt_subscription", "customer.subscription.created", at, subscription), "recorded")
	waiting.Wait()
	e, _ := waited["entitlement"].(map[string]any)
	if waited["status"] != "granted" || waited["subscription_id"] != "sub_bought" || e["tier"] != "basic" || e["customer"] != customer {
		t.Errorf("the success page got %v", waited)
	}

	if _, said := s.order("/v1/checkout/sessions", basicOrder); said["kind"] != "portal" {
		t.Errorf("a second checkout: %v", said)
	}
	if a, said := s.order("/v1/portal/sessions", `{"account":"acme","return_url":"https://app.example.com/account"}`); a.status != http.StatusOK || said["url"] == "" {
		t.Errorf("the portal: %d %v", a.status, said)
	}

	// Once it is over, the same customer buys again.
	subscription["status"] = "canceled"
	s.mustDeliver(eventOf(t, "evt_over", "customer.subscription.deleted", at+60, subscription), "recorded")
	s.settle()
	_, sale = s.order("/v1/checkout/sessions", basicOrder)
	posts := stripe.Posts("/v1/checkout/sessions")
	if last := posts[len(posts)-1].Form; sale["kind"] != "checkout" || sale["session_id"] == id || last.Get("customer") != customer {
		t.Errorf("%v, as %s", sale, last.Get("customer"))
	}
	for _, secret := range []string{stripeKey, "checkout.stripe.com", "billing.stripe.com"} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log tells %q", secret)
		}
	}
	s.stop()
}

// bought are a subscription of acme's to the tier basic, and the session by which it
// was bought, as Stripe tells of them.
func bought(sessionID, id, customer, payment string, at int64) (subscription, session map[string]any) {
	metadata := map[string]string{"account_id": "acme"}
	subscription = map[string]any{"id": id, "object": "subscription", "created": at, "livemode": false, "status": "active", "customer": customer,
		"metadata": metadata, "items": map[string]any{"object": "list", "data": []any{map[string]any{"id": "si_1", "quantity": 1, "current_period_start": at, "current_period_end": at + 2592000,
			"price": map[string]any{"id": "price_1Basic", "object": "price", "lookup_key": "basic", "product": "prod_1"}}}}}
	session = map[string]any{"id": sessionID, "object": "checkout.session", "created": at, "livemode": false, "mode": "subscription", "status": "complete", "payment_status": payment,
		"customer": customer, "subscription": id, "client_reference_id": "acme", "metadata": metadata, "currency": "usd", "amount_total": 2900}
	return subscription, session
}

// TestADelayedPaymentThatFailsIsTold follows a bank debit that fails days after the
// checkout, where access waits for it, and is paid after all by its invoice.
func TestADelayedPaymentThatFailsIsTold(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "catalog.yaml")
	if err := os.WriteFile(file, []byte("async_payment: wait\nfree_tier: starter\ntiers:\n  - {id: starter}\n  - {id: basic, prices: [\"lookup:basic\"]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stripe, s := newSeller(t, "DAYBOOK_CATALOG="+file)
	_, sale := s.order("/v1/checkout/sessions", basicOrder)
	id, at := fmt.Sprint(sale["session_id"]), time.Now().Unix()-600
	subscription, session := bought(id, "sub_debit", stripe.Posts("/v1/checkout/sessions")[0].Form.Get("customer"), "unpaid", at)
	stripe.Change("/v1/checkout/sessions", id, map[string]any{"status": "complete", "url": nil, "subscription": "sub_debit"})
	told := func(wait string) (status, detail, reason string) {
		t.Helper()
		var said struct {
			Status, Detail string
			Entitlement    struct{ Reason string }
		}
		s.get("/v1/checkout/sessions/"+id+"?wait="+wait, &said)
		return said.Status, said.Detail, said.Entitlement.Reason
	}
	s.mustDeliver(eventOf(t, "evt_subscription", "customer.subscription.created", at, subscription), "recorded")
	s.mustDeliver(eventOf(t, "evt_session", "checkout.session.completed", at, session), "recorded")
	s.settle()
	if status, detail, reason := told("0s"); status != "pending" || detail != "" || reason != "payment_pending" {
		t.Errorf("on its way: %s, %q, %s", status, detail, reason)
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if status, detail, reason := told("30s"); status != "failed" || !strings.Contains(detail, "its payment failed") || reason != "checkout_failed" {
			t.Errorf("failed: %s, %q, %s", status, detail, reason)
		}
	})
	s.mustDeliver(eventOf(t, "evt_failed", "checkout.session.async_payment_failed", at+300, session), "recorded")
	waiting.Wait()
	invoice := map[string]any{"id": "in_1", "object": "invoice", "created": at, "livemode": false, "status": "paid", "paid": true, "customer": subscription["customer"],
		"subscription": "sub_debit", "currency": "usd", "total": 2900, "amount_due": 2900, "amount_paid": 2900, "billing_reason": "subscription_create"}
	s.mustDeliver(eventOf(t, "evt_paid", "invoice.paid", at+500, invoice), "recorded")
	s.settle()
	if status, detail, reason := told("0s"); status != "granted" || detail != "" || reason != "subscription" {
		t.Errorf("paid after all: %s, %q, %s", status, detail, reason)
	}
	subscription["status"] = "canceled"
	s.mustDeliver(eventOf(t, "evt_over", "customer.subscription.deleted", at+590, subscription), "recorded")
	s.settle()
	if status, detail, _ := told("30s"); status != "ended" || detail == "" {
		t.Errorf("over: %s, %q", status, detail)
	}
	s.stop()
}

// TestWhatNoWebhookToldOfIsNotSoldTwice: the endpoint was disabled when the account
// bought, so neither its customer nor its subscription is known. It is sent to the
// portal, and has what it paid for, be it the subscription that names it or only its
// customer.
func TestWhatNoWebhookToldOfIsNotSoldTwice(t *testing.T) {
	t.Parallel()
	for named, answers := range map[string]int{"subscription": 2, "customer": 3} {
		t.Run(named, func(t *testing.T) {
			t.Parallel()
			stripe, s := newSeller(t)
			s.awaitSweep()
			_, sale := s.order("/v1/checkout/sessions", basicOrder)
			id, twoDaysAgo := fmt.Sprint(sale["session_id"]), time.Now().Add(-49*time.Hour).Unix()
			customer := stripe.Posts("/v1/checkout/sessions")[0].Form.Get("customer")
			subscription, session := bought(id, "sub_lost", customer, "paid", twoDaysAgo)
			if named == "customer" {
				subscription["metadata"], session["metadata"], session["client_reference_id"] = nil, nil, nil
			}
			stripe.Change("/v1/checkout/sessions", id, session)
			stripe.Put("/v1/subscriptions", encode(t, subscription))

			stripe.Fail(stripetest.Fault{Status: 500, RetryAfter: 60, For: func(r *http.Request) bool { return r.URL.Path == "/v1/subscriptions" }})
			if a, said := s.order("/v1/checkout/sessions", basicOrder); a.status != http.StatusServiceUnavailable || !strings.Contains(fmt.Sprint(said["detail"]), "cannot list subscriptions") {
				t.Errorf("without an answer of Stripe's: %d %v", a.status, said)
			}
			for _, when := range []string{"not known", "known"} {
				if _, said := s.order("/v1/checkout/sessions", basicOrder); said["kind"] != "portal" {
					t.Errorf("%s: %v", when, said)
				}
				s.settle()
			}
			for _, portal := range stripe.Posts("/v1/billing_portal/sessions") {
				if portal.Form.Get("customer") != customer {
					t.Errorf("%+v, want that of %s", portal, customer)
				}
			}
			if made := stripe.Posts("/v1/checkout/sessions"); len(made) != 1 {
				t.Errorf("sold twice: %+v", made)
			}
			var standing map[string]any
			s.get("/v1/checkout/sessions/"+id, &standing)
			if e, _ := standing["entitlement"].(map[string]any); standing["status"] != "granted" || standing["account"] != "acme" || e["tier"] != "basic" {
				t.Errorf("what was paid for: %v", standing)
			}
			s.stop()
			wantAnswers(t, s.dir, answers)
		})
	}
}

// awaitSweep waits until the first sweep is over: the next one is an hour away.
func (s *server) awaitSweep() {
	s.t.Helper()
	eventually(s.t, "the first sweep is over", func() bool {
		var status struct {
			Reconciliation struct {
				SweptAt time.Time `json:"swept_at"`
			}
		}
		s.get("/v1/status", &status)
		return !status.Reconciliation.SweptAt.IsZero()
	})
}

// wantAnswers wants the journal to hold so many answers of Stripe's, and nothing else.
func wantAnswers(t *testing.T, dir string, want int) {
	t.Helper()
	recorded := 0
	for _, entries := range journal(t, dir) {
		for _, e := range entries {
			if receipt, err := intake.DecodeReceipt(e.Metadata); err != nil || receipt.Source != intake.SourceAPI {
				t.Errorf("%s: %+v, %v", e.Stream, receipt, err)
			}
			recorded++
		}
	}
	if recorded != want {
		t.Errorf("%d answers are recorded, want %d", recorded, want)
	}
}

func eventOf(t *testing.T, id, typ string, created int64, object map[string]any) []byte {
	t.Helper()
	return encode(t, map[string]any{"id": id, "object": "event", "type": typ, "created": created, "livemode": false, "pending_webhooks": 1,
		"request": nil, "data": map[string]any{"object": object}})
}

func encode(t *testing.T, object map[string]any) []byte {
	t.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestWhatIsNotSetUpIsSaid: without a key, without hosts, with a key that Stripe
// does not take, and with one that may not sell.
func TestWhatIsNotSetUpIsSaid(t *testing.T) {
	t.Parallel()
	want := func(s *server, body string, status int, says string) {
		t.Helper()
		if a, said := s.order("/v1/checkout/sessions", body); a.status != status || !strings.Contains(string(a.body), says) || said["title"] == "" {
			t.Errorf("%d %s: want %d and %q", a.status, a.body, status, says)
		}
	}
	want(start(t, development("")), basicOrder, http.StatusNotImplemented, "STRIPE_API_KEY")
	stripe, s := newSeller(t)
	want(start(t, launch{args: []string{"--dev"}, env: withStripe(stripe)}), basicOrder, http.StatusUnprocessableEntity, "DAYBOOK_REDIRECT_HOSTS")
	want(s, strings.Replace(basicOrder, `"basic"`, `"gold"`, 1), http.StatusUnprocessableEntity, "basic, premium, exclusive, elite, enterprise")
	want(s, strings.Replace(basicOrder, `"basic"`, `"premium"`, 1), http.StatusUnprocessableEntity, "Stripe has no active recurring price among price_premium, lookup:premium, product:prod_premium")
	_, unknown := newSeller(t, "STRIPE_API_KEY=rk_test_unknown")
	want(unknown, basicOrder, http.StatusBadGateway, "does not accept the API key")
	stripe.Allow("rk_test_few", "/v1/customers")
	few := start(t, launch{args: []string{"--dev"}, env: []string{"STRIPE_API_KEY=rk_test_few", "STRIPE_API_BASE=" + stripe.URL, "DAYBOOK_REDIRECT_HOSTS=app.example.com,localhost:3000"}})
	want(few, basicOrder, http.StatusBadGateway, "lacks the permission rak_customer")
}
