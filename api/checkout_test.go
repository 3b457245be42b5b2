package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/checkout"
	"github.com/daybookhq/daybook/intake/stripeapi/stripetest"
)

// sells lets the rig's Stripe have a monthly price of the tier basic.
func (r *rig) sells() {
	r.stripe.Put("/v1/prices", []byte(`{"id": "price_basic", "object": "price", "created": 1, "livemode": false, "active": true, "type": "recurring",
		"currency": "usd", "lookup_key": "basic", "product": "prod_basic", "unit_amount": 2900, "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"}}`))
}

const (
	goodURLs  = `"success_url":"https://app.example.com/done?s={CHECKOUT_SESSION_ID}","cancel_url":"https://app.example.com/plans"`
	goodOrder = `{"account":"team-1","tier":"basic",` + goodURLs + `}`
)

// order posts a body, with headers as name and value in turn.
func (r *rig) order(path, key, body string, headers ...string) answer {
	r.Helper()
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i < len(headers); i += 2 {
		h[headers[i]] = append(h[headers[i]], headers[i+1])
	}
	return r.do(http.MethodPost, path, key, []byte(body), h)
}

// problemIn decodes a problem.
func (r *rig) problemIn(a answer) (p Problem) {
	r.Helper()
	if err := json.Unmarshal(a.body, &p); err != nil || a.header.Get("Content-Type") != "application/problem+json" || p.Status != a.status {
		r.Fatalf("%s: %v", a, err)
	}
	return p
}

func TestACheckoutSessionIsMade(t *testing.T) {
	r := newRig(t)
	r.sells()
	for _, key := range []string{opsKey, boundKey} {
		a := r.order(sessionsPath, key, goodOrder)
		sale := r.fields(a)
		id, _ := sale["session_id"].(string)
		if a.status != http.StatusOK || sale["kind"] != "checkout" || !strings.HasPrefix(id, "cs_test_") || sale["url"] != "https://checkout.stripe.com/c/pay/"+id ||
			sale["expires_at"] != noon.Add(24*time.Hour).Format(time.RFC3339) {
			t.Errorf("%s", a)
		}
	}
	if posts := r.stripe.Posts(sessionsPath); len(posts) != 1 || posts[0].Form.Get("success_url") != "https://app.example.com/done?s={CHECKOUT_SESSION_ID}" {
		t.Errorf("%+v", posts)
	}
}

// TestAnIntervalMayBeSeveralMonths, as the description says.
func TestAnIntervalMayBeSeveralMonths(t *testing.T) {
	r := newRig(t)
	r.stripe.Put("/v1/prices", []byte(`{"id": "price_basic", "object": "price", "created": 1, "livemode": false, "active": true, "type": "recurring",
		"currency": "usd", "product": "prod_basic", "recurring": {"interval": "month", "interval_count": 3, "usage_type": "licensed"}}`))
	if a := r.order(sessionsPath, opsKey, strings.Replace(goodOrder, `"basic"`, `"basic","interval":"3 months"`, 1)); a.status != http.StatusOK {
		t.Errorf("%s", a)
	}
}

// TestEveryFaultOfARequestIsListed, those of what cannot be read and of what cannot
// be had together.
func TestEveryFaultOfARequestIsListed(t *testing.T) {
	r := newRig(t)
	r.sells()
	for body, want := range map[string]struct {
		status int
		fields string
	}{
		`{}`: {400, "account cancel_url success_url tier"},
		`{"account":"team-1","tier":"gold","success_url":"https://evil.example","cancel_url":"//evil"}`:                                        {422, "cancel_url success_url tier"},
		`{"account":"team-1","tier":"starter",` + goodURLs + `}`:                                                                               {422, "tier"},
		`{"account":"team-1","price":"price_unknown",` + goodURLs + `}`:                                                                        {422, "price"},
		`{"account":7,"tier":[],"price":{},"interval":1,"quantity":"1","trial_days":0,"success_url":1,"cancel_url":2,"addons":[]}`:             {400, "account addons cancel_url interval price quantity success_url tier trial_days"},
		`{"account":"team-1","tier":"basic","quantity":0,"trial_days":731,` + goodURLs + `}`:                                                   {400, "quantity trial_days"},
		`{"account":"team-1","tier":"basic","quantity":-1,"trial_days":1.5,` + goodURLs + `}`:                                                  {400, "quantity trial_days"},
		`{"account":"team-1","tier":"basic","quantity":1e30,"trial_days":99999999999999999999999,` + goodURLs + `}`:                            {400, "quantity trial_days"},
		`{"account":"team-1","tier":"basic","quantity":1000000,"addons":{"seats":0,"a\u0000":1e9},` + goodURLs + `}`:                           {400, "addons.a\x00 addons.seats quantity"},
		`{"account":"team-1","tier":"basic","quantity":1,"quantity":2,"qty":1,"teir":"basic","addons":{"seats":1,"seats":2},` + goodURLs + `}`: {400, "addons.seats qty quantity teir"},
		`{"account":"a\u0000","tier":"gold",` + goodURLs + `}`:                                                                                 {400, "account tier"},
		`{"account":"` + strings.Repeat("a", 513) + `","tier":"basic",` + goodURLs + `}`:                                                       {400, "account"},
		`{"account":"team-1","tier":"basic","success_url":"https://app.example.com/` + strings.Repeat("a", 3000) + `","cancel_url":""}`:        {422, "cancel_url success_url"},
		`{"account":"team-1","tier":"basic","addons":` + manyAddons(20, 0) + `,` + goodURLs + `}`:                                              {400, "addons"},
		`[]`: {400, "body"}, `null`: {400, "body"}, `{"account":"team-1"`: {400, "body"},
	} {
		a := r.order(sessionsPath, opsKey, body)
		p := r.problemIn(a)
		var fields []string
		for _, f := range p.Errors {
			fields = append(fields, f.Field)
		}
		slices.Sort(fields)
		if got := strings.Join(slices.Compact(fields), " "); p.Status != want.status || got != want.fields {
			t.Errorf("%.200s:\n%d %s, want %d %s", body, p.Status, got, want.status, want.fields)
		}
	}
	if len(r.stripe.Posts(sessionsPath)) > 0 {
		t.Error("something was made all the same")
	}
	for header, status := range map[string]int{"text/plain": 415, "application/json; charset=latin1": 415} {
		if a := r.do(http.MethodPost, sessionsPath, opsKey, []byte(goodOrder), http.Header{"Content-Type": {header}}); a.status != status {
			t.Errorf("%s: %s", header, a)
		}
	}
	if a := r.order(sessionsPath, opsKey, `{"account":"`+strings.Repeat("a", 70<<10)+`"}`); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("%s", a)
	}
	if a := r.order(sessionsPath+"?dry=1", opsKey, goodOrder); r.problemIn(a).Errors[0].Field != "dry" {
		t.Errorf("%s", a)
	}
}

// manyAddons is an object of so many.
func manyAddons(n, quantity int) string {
	addons := map[string]int{}
	for i := range n {
		addons[fmt.Sprintf("/%d", i)] = quantity
	}
	raw, _ := json.Marshal(addons)
	return string(raw)
}

// liftable is an answer whose connection has deadlines.
type liftable struct {
	*httptest.ResponseRecorder
	lifted atomic.Bool
}

func (l *liftable) SetReadDeadline(at time.Time) error { l.lifted.Store(at.IsZero()); return nil }
func (l *liftable) SetWriteDeadline(time.Time) error   { return nil }

// TestNoConnectionEndsWhileStripeIsAsked: Stripe may take longer than the deadlines
// that connections have.
func TestNoConnectionEndsWhileStripeIsAsked(t *testing.T) {
	r := newRig(t)
	r.sells()
	for _, req := range []*http.Request{
		httptest.NewRequest(http.MethodPost, sessionsPath, strings.NewReader(goodOrder)),
		httptest.NewRequest(http.MethodGet, sessionsPath+"/cs_test_none", nil),
		httptest.NewRequest(http.MethodPost, portalPath, strings.NewReader(`{"account":"team-1","return_url":"https://app.example.com/"}`)),
	} {
		req.Header.Set("Authorization", "Bearer "+opsKey)
		req.Header.Set("Content-Type", "application/json")
		w := &liftable{ResponseRecorder: httptest.NewRecorder()}
		r.stripe.SetBefore(func(*http.Request) {
			if !w.lifted.Load() {
				t.Errorf("%s %s asks Stripe on a connection that may end", req.Method, req.URL)
			}
		})
		r.server.ServeHTTP(w, req)
	}
}

// TestFault25NoSessionSendsBuyersElsewhere, by any of the three addresses.
func TestFault25NoSessionSendsBuyersElsewhere(t *testing.T) {
	r := newRig(t)
	r.sells()
	for _, form := range []string{"https://evil.example/", "//evil.example", `https:\\evil.example`, "https://app.example.com@evil.example/", "https://app.example.com:8443/",
		"https://app.example.com.", "http://app.example.com/", "javascript:alert(1)", "https://{CHECKOUT_SESSION_ID}.example.com/", "https://app.example.com\u3002evil.example/"} {
		quoted, _ := json.Marshal(form)
		for _, body := range []string{`{"account":"team-1","tier":"basic","success_url":%s,"cancel_url":"https://app.example.com/"}`, `{"account":"team-1","tier":"basic","success_url":"https://app.example.com/","cancel_url":%s}`} {
			if a := r.order(sessionsPath, opsKey, fmt.Sprintf(body, quoted)); a.status != http.StatusUnprocessableEntity || len(r.problemIn(a).Errors) != 1 {
				t.Errorf("%s: %s", form, a)
			}
		}
		if a := r.order(portalPath, opsKey, fmt.Sprintf(`{"account":"team-1","return_url":%s}`, quoted)); a.status != http.StatusUnprocessableEntity || r.problemIn(a).Errors[0].Field != "return_url" {
			t.Errorf("%s: %s", form, a)
		}
	}
	if asked := r.stripe.Requests(); len(asked) != 0 {
		t.Errorf("Stripe was asked %q", asked)
	}
	r.server.Checkout.Redirects.Hosts = nil
	if a := r.order(sessionsPath, opsKey, goodOrder); a.status != http.StatusUnprocessableEntity || !strings.Contains(string(a.body), "DAYBOOK_REDIRECT_HOSTS") {
		t.Errorf("without a list: %s", a)
	}
}

// TestAnIdempotencyKeyIsScopedAndChecked.
func TestAnIdempotencyKeyIsScopedAndChecked(t *testing.T) {
	r := newRig(t)
	r.sells()
	for _, bad := range []string{"", strings.Repeat("k", 256), "schlüssel", "a\tb"} {
		if a := r.order(sessionsPath, opsKey, goodOrder, idempotencyHeader, bad); a.status != http.StatusBadRequest || r.problemIn(a).Errors[0].Field != idempotencyHeader {
			t.Errorf("%q: %s", bad, a)
		}
	}
	if a := r.order(sessionsPath, opsKey, goodOrder, idempotencyHeader, "a", idempotencyHeader, "b"); a.status != http.StatusBadRequest {
		t.Errorf("two keys: %s", a)
	}
	other := strings.Replace(goodOrder, "team-1", "team-2", 1)
	longest := strings.Repeat("k", 255)
	for _, want := range []struct {
		key, body string
		status    int
	}{{boundKey, goodOrder, 200}, {boundKey, goodOrder, 200}, {opsKey, other, 200}, {opsKey, strings.Replace(other, `"basic"`, `"basic","quantity":2`, 1), 409}} {
		if a := r.order(sessionsPath, want.key, want.body, idempotencyHeader, longest); a.status != want.status {
			t.Errorf("%s: %s", want.body, a)
		}
	}
	keys := map[string]bool{}
	for _, p := range r.stripe.Posts(sessionsPath) {
		keys[p.Key] = true
	}
	if len(keys) != 2 {
		t.Errorf("keys %v", keys)
	}
}

// TestTroubleWithStripeIsAnswered, each kind by a status and a sentence, in the time
// that a caller has.
func TestTroubleWithStripeIsAnswered(t *testing.T) {
	stripeError := func(kind, code, param string) string {
		return fmt.Sprintf(`{"error":{"type":%q,"code":%q,"param":%q,"message":"about sk_test_secret and somebody@example.com"}}`, kind, code, param)
	}
	for name, test := range map[string]struct {
		fault  stripetest.Fault
		status int
		says   string
		retry  string
	}{
		"a wrong key":       {stripetest.Fault{Status: 401}, 502, "STRIPE_API_KEY", ""},
		"no permission":     {stripetest.Fault{Status: 403}, 502, "permission", ""},
		"a declined card":   {stripetest.Fault{Status: 402, Body: stripeError("card_error", "card_declined", "")}, 402, "card_declined", ""},
		"a refusal":         {stripetest.Fault{Status: 400, Body: stripeError("invalid_request_error", "url_invalid", "success_url")}, 422, "400, url_invalid, at success_url", ""},
		"too many requests": {stripetest.Fault{Status: 429, RetryAfter: 40}, 503, "refuses further requests", "40"},
		"trouble":           {stripetest.Fault{Status: 500}, 503, "in trouble (500)", "5"},
		"another conflict":  {stripetest.Fault{Status: 409}, 409, "409", ""},
		"no JSON":           {stripetest.Fault{Status: 200, Body: "<html>"}, 502, "STRIPE_API_BASE", ""},
		"another mode":      {stripetest.Fault{Status: 200, Body: `{"id":"cs_live_1","object":"checkout.session","livemode":true,"url":"https://x"}`}, 502, "mode", ""},
		"silence":           {stripetest.Fault{Hang: true}, 504, "does not answer in time", "5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.sells()
			r.stripe.SetBefore(func(req *http.Request) {
				if req.Method == http.MethodPost && req.URL.Path == sessionsPath {
					r.stripe.Fail(test.fault)
				}
			})
			a := r.order(sessionsPath, opsKey, goodOrder)
			if p := r.problemIn(a); a.status != test.status || !strings.Contains(p.Detail, test.says) || a.header.Get("Retry-After") != test.retry {
				t.Errorf("%s, Retry-After %q", a, a.header.Get("Retry-After"))
			}
			for _, secret := range []string{"sk_test", "somebody@", "<html>"} {
				if strings.Contains(string(a.body)+r.log.String(), secret) {
					t.Errorf("%q is told:\n%s\n%s", secret, a, r.log)
				}
			}
			if logged := strings.Contains(r.log.String(), "Stripe's API cannot be used"); logged != (test.status == 502) {
				t.Errorf("log: %s", r.log)
			}
			if logged := strings.Contains(r.log.String(), "Stripe refuses"); logged != (test.status == 422) {
				t.Errorf("log: %s", r.log)
			}
		})
	}
}

func TestWithoutAKeyOfStripesNothingIsSold(t *testing.T) {
	r := newRig(t)
	r.server.Checkout = nil
	for _, a := range []answer{r.order(sessionsPath, opsKey, goodOrder), r.order(portalPath, opsKey, `{"account":"team-1","return_url":"x"}`),
		r.do(http.MethodGet, sessionsPath+"/cs_test_1", opsKey, nil, nil)} {
		if p := r.problemIn(a); a.status != http.StatusNotImplemented || !strings.Contains(p.Detail, "STRIPE_API_KEY") {
			t.Errorf("%s", a)
		}
	}
}

// pay lets the buyer of a session pay: Stripe has it complete, and the webhook of
// the subscription comes with deliver.
func (r *rig) pay(id, account string) (deliver func()) {
	r.stripe.Change(sessionsPath, id, map[string]any{"status": "complete", "payment_status": "paid", "url": nil, "subscription": "sub_" + id})
	return func() {
		r.send(subscriptionEvent("evt_"+id, subCreated, noon, "sub_"+id, account, string(aggregate.Active), "price_basic"))
	}
}

func TestASuccessPageWaitsForAccess(t *testing.T) {
	r := newRig(t)
	r.sells()
	id, _ := r.fields(r.order(sessionsPath, opsKey, goodOrder))["session_id"].(string)
	path := sessionsPath + "/" + id
	if s := r.get(path); s["status"] != "pending" || s["account"] != "team-1" || s["entitlement"] != nil || s["payment_status"] != "unpaid" {
		t.Errorf("open: %v", s)
	}
	deliver := r.pay(id, "team-1")
	if s := r.get(path + "?wait=10ms"); s["status"] != "pending" || s["subscription_id"] != "sub_"+id || s["payment_status"] != "paid" {
		t.Errorf("paid, and not told of: %v", s)
	}
	answers := make(chan map[string]any)
	var waiting sync.WaitGroup
	for _, key := range []string{opsKey, boundKey} {
		waiting.Go(func() {
			a := r.do(http.MethodGet, path+"?wait=30s", key, nil, nil)
			var s map[string]any
			if err := json.Unmarshal(a.body, &s); err != nil {
				t.Errorf("%s: %v", a, err)
			}
			answers <- s
		})
	}
	deliver()
	for range 2 {
		s := <-answers
		e, _ := s["entitlement"].(map[string]any)
		if s["status"] != "granted" || e["tier"] != "basic" || e["valid_until"] == nil {
			t.Errorf("%v", s)
		}
	}
	waiting.Wait()
	// Now there is something to change, and nothing to buy.
	r.stripe.Put("/v1/customers", fmt.Appendf(nil, `{"id": "cus_sub_%s", "object": "customer", "created": 1, "livemode": false}`, id))
	if sale := r.fields(r.order(sessionsPath, opsKey, goodOrder)); sale["kind"] != "portal" || sale["session_id"] != nil || !strings.HasPrefix(fmt.Sprint(sale["url"]), "https://billing.stripe.com/") {
		t.Errorf("%v", sale)
	}
	a := r.order(portalPath, boundKey, `{"account":"team-1","return_url":"https://app.example.com/account"}`)
	if a.status != http.StatusOK || !strings.HasPrefix(fmt.Sprint(r.fields(a)["url"]), "https://billing.stripe.com/") {
		t.Errorf("%s", a)
	}
}

// TestWhatWasBoughtAndIsOverIsNotWaitedFor, and the answer says why.
func TestWhatWasBoughtAndIsOverIsNotWaitedFor(t *testing.T) {
	for payment, want := range map[string]string{"paid": "ended", "unpaid": "failed"} {
		r := newRig(t)
		r.sells()
		id, _ := r.fields(r.order(sessionsPath, opsKey, goodOrder))["session_id"].(string)
		r.pay(id, "team-1")
		r.stripe.Change(sessionsPath, id, map[string]any{"payment_status": payment})
		r.send(subscriptionEvent("evt_over", subDeleted, noon, "sub_"+id, "team-1", string(aggregate.Canceled), "price_basic"))
		s := r.get(sessionsPath + "/" + id + "?wait=30s")
		e, _ := s["entitlement"].(map[string]any)
		if detail, _ := s["detail"].(string); s["status"] != want || detail == "" || e["reason"] != "canceled" {
			t.Errorf("%s: %v", payment, s)
		}
	}
}

func TestWaitingIsBounded(t *testing.T) {
	r := newRig(t)
	r.sells()
	id, _ := r.fields(r.order(sessionsPath, opsKey, goodOrder))["session_id"].(string)
	for _, wait := range []string{"31s", "-1s", "10", "soon", "1h", "10s&wait=10s"} {
		if a := r.do(http.MethodGet, sessionsPath+"/"+id+"?wait="+wait, opsKey, nil, nil); a.status != http.StatusBadRequest || r.problemIn(a).Errors[0].Field != "wait" {
			t.Errorf("%s: %s", wait, a)
		}
	}
	for range maxWaits { // who comes when so many wait is answered at once
		r.server.waits <- struct{}{}
	}
	if s := r.get(sessionsPath + "/" + id + "?wait=30s"); s["status"] != "pending" {
		t.Errorf("%v", s)
	}
	for range maxWaits {
		<-r.server.waits
	}
	r.server.EndTails() // a server that ends lets nobody wait
	if s := r.get(sessionsPath + "/" + id + "?wait=30s"); s["status"] != "pending" {
		t.Errorf("%v", s)
	}
	r.stripe.Change(sessionsPath, id, map[string]any{"status": "expired", "url": nil})
	if s := r.get(sessionsPath + "/" + id + "?wait=30s"); s["status"] != "expired" {
		t.Errorf("%v", s)
	}
}

// TestABoundKeySellsAndSeesForItsAccountOnly; what is another's and what is not
// there look alike to it.
func TestABoundKeySellsAndSeesForItsAccountOnly(t *testing.T) {
	r := newRig(t)
	r.sells()
	other := strings.Replace(goodOrder, "team-1", "team-2", 1)
	id, _ := r.fields(r.order(sessionsPath, opsKey, other))["session_id"].(string)
	r.stripe.Put(sessionsPath, []byte(`{"id": "cs_test_nameless", "object": "checkout.session", "created": 1, "livemode": false, "status": "open", "metadata": {}, "client_reference_id": "team-1"}`))
	var bodies []string
	for _, a := range []answer{
		r.order(sessionsPath, boundKey, other), r.order(portalPath, boundKey, `{"account":"team-2","return_url":"https://app.example.com/"}`),
		r.do(http.MethodGet, sessionsPath+"/"+id, boundKey, nil, nil), r.do(http.MethodGet, sessionsPath+"/cs_test_none", boundKey, nil, nil),
		r.do(http.MethodGet, sessionsPath+"/nonsense", boundKey, nil, nil), r.do(http.MethodGet, sessionsPath+"/cs_test_nameless?wait=1s", boundKey, nil, nil),
	} {
		if a.status != http.StatusForbidden {
			t.Errorf("%s", a)
		}
		bodies = append(bodies, string(a.body))
	}
	if len(slices.Compact(bodies)) != 1 {
		t.Errorf("answers differ: %q", bodies)
	}
	for _, missing := range []string{"cs_test_none", "nonsense", "..%2fcustomers", "cs_test_1%3fexpand"} {
		if a := r.do(http.MethodGet, sessionsPath+"/"+missing, opsKey, nil, nil); a.status != http.StatusNotFound {
			t.Errorf("%s: %s", missing, a)
		}
	}
}

func TestABlockedAccountIsRefused(t *testing.T) {
	r := newRig(t)
	r.sells()
	if a := r.order("/v1/accounts/team-1/block", opsKey, `{"reason":"a stolen card"}`); a.status != http.StatusOK {
		t.Fatalf("%s", a)
	}
	if a := r.order(sessionsPath, opsKey, goodOrder); a.status != http.StatusConflict || !strings.Contains(r.problemIn(a).Detail, "blocked") {
		t.Errorf("%s", a)
	}
}

// TestAnOrderTooManyMayComeAgain: it is told when.
func TestAnOrderTooManyMayComeAgain(t *testing.T) {
	p, expected := problemOf(newRig(t).server.saleProblem(fmt.Errorf("sell: %w", checkout.ErrBusy)))
	if !expected || p.Status != http.StatusServiceUnavailable || p.retryAfter < 1 {
		t.Errorf("%+v", p)
	}
}
