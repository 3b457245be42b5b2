package checkout_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/checkout"
	"github.com/daybookhq/daybook/intake/stripeapi"
	"github.com/daybookhq/daybook/intake/stripeapi/stripetest"
)

// wantPortal wants an order to lead to a customer's portal, and nothing to be made.
func (r *rig) wantPortal(o checkout.Order, customer string) {
	r.Helper()
	sale, err := r.desk.Sell(r.Context(), o)
	portals := r.stripe.Posts(portalPath)
	if err != nil || sale.Kind != checkout.KindPortal || len(portals) == 0 || portals[len(portals)-1].Form.Get("customer") != customer {
		r.Errorf("%+v, %v: want the portal of %s", sale, err, customer)
	}
	if made := r.made(); len(made) != 0 {
		r.Errorf("sessions were made: %q", made)
	}
}

// TestASubscriptionThatNoWebhookToldOfIsNotBoughtAgain: given a customer that the
// read model knows, and a subscription of it that it does not know to live.
func TestASubscriptionThatNoWebhookToldOfIsNotBoughtAgain(t *testing.T) {
	type given struct {
		status  aggregate.Status
		names   string           // the account in the metadata at Stripe
		ours    aggregate.Status // what the read model has; "none" if it does not know it
		account string           // whose it is there
	}
	const none = "none"
	for name, test := range map[string]struct {
		given
		portal bool
	}{
		"active":                   {given{aggregate.Active, "acme", none, ""}, true},
		"trialing":                 {given{aggregate.Trialing, "acme", none, ""}, true},
		"past due":                 {given{aggregate.PastDue, "acme", none, ""}, true},
		"unpaid":                   {given{aggregate.Unpaid, "acme", none, ""}, true},
		"paused":                   {given{aggregate.Paused, "acme", none, ""}, true},
		"incomplete":               {given{aggregate.Incomplete, "acme", none, ""}, false},
		"incomplete, expired":      {given{aggregate.IncompleteExpired, "acme", none, ""}, false},
		"canceled":                 {given{aggregate.Canceled, "acme", none, ""}, false},
		"of nobody":                {given{aggregate.Active, "", none, ""}, true},
		"of another":               {given{aggregate.Active, "other", none, ""}, false},
		"of another, by the model": {given{aggregate.Active, "", aggregate.Active, "other"}, false},
		"moved here since":         {given{aggregate.Active, "acme", aggregate.Active, "other"}, true},
		"paid since":               {given{aggregate.Active, "", aggregate.Incomplete, "acme"}, true},
		"over, as is known":        {given{aggregate.Active, "acme", aggregate.Canceled, "acme"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.customer("cus_1")
			r.model.has("acme", "cus_1", "sub_old", aggregate.Canceled)
			r.subscribed("sub_1", "cus_1", test.names, test.status)
			if test.ours != none {
				r.model.has(test.account, "cus_1", "sub_1", test.ours)
			}
			if !test.portal {
				r.mustSell(order("acme", "basic"))
			} else {
				r.wantPortal(order("acme", "basic"), "cus_1")
			}
			var want []string
			if test.portal && test.names == "" {
				want = append(want, "cus_1") // it may name the account
			}
			if test.portal {
				want = append(want, "sub_1")
			}
			if !slices.Equal(r.learned, want) {
				t.Errorf("handed on %q, want %q", r.learned, want)
			}
		})
	}
}

// TestEveryCustomerOfAnAccountIsAskedFor, but those that only a buyer calls the
// account's; those that are gone keep nobody from buying.
func TestEveryCustomerOfAnAccountIsAskedFor(t *testing.T) {
	r := newRig(t)
	for _, id := range []string{"cus_first", "cus_gone_1", "cus_second", "cus_gone_2", "cus_stranger"} {
		r.customer(id)
		r.model.has("acme", id, "sub_"+id, aggregate.Canceled)
	}
	r.model.change("acme", func(a *record) { a.Links[4].Rank = aggregate.LinkClientReference })
	r.stripe.Fail(slices.Repeat([]stripetest.Fault{{Status: 400, Body: `{"error": {"type": "invalid_request_error", "code": "resource_missing", "param": "customer", "message": "No such customer"}}`,
		For: func(req *http.Request) bool {
			return req.URL.Path == subscriptionsPath && strings.HasPrefix(req.URL.Query().Get("customer"), "cus_gone")
		}}}, 4)...)
	r.subscribed("sub_theirs", "cus_stranger", "", aggregate.Active)
	r.mustSell(order("acme", "basic"))
	if posts := r.stripe.Posts(sessionsPath); posts[len(posts)-1].Form.Get("customer") != "cus_second" {
		t.Errorf("sold to %s", posts[len(posts)-1].Form.Get("customer"))
	}
	r.subscribed("sub_lost", "cus_first", "acme", aggregate.PastDue)
	sale, err := r.desk.Sell(t.Context(), order("acme", "basic"))
	if posts := r.stripe.Posts(portalPath); err != nil || sale.Kind != checkout.KindPortal || posts[0].Form.Get("customer") != "cus_first" {
		t.Errorf("%+v, %v: %+v", sale, err, posts)
	}
}

// of chooses the requests of a path.
func of(path string) func(*http.Request) bool {
	return func(req *http.Request) bool { return req.URL.Path == path }
}

// TestWithoutAnAnswerNothingIsSold: it might be sold twice. Nor is the caller told
// that there is no portal.
func TestWithoutAnAnswerNothingIsSold(t *testing.T) {
	for _, path := range []string{subscriptionsPath, searchPath} {
		r := newRig(t)
		if path == subscriptionsPath {
			r.customer("cus_1")
			r.model.has("acme", "cus_1", "sub_old", aggregate.Canceled)
		}
		r.stripe.Fail(slices.Repeat([]stripetest.Fault{{Status: 500, For: of(path)}}, 16)...)
		sale, err := r.desk.Sell(t.Context(), order("acme", "basic"))
		if !stripeapi.IsKind(err, stripeapi.Unavailable) || sale.URL != "" || len(r.made()) != 0 || len(r.stripe.Posts(customersPath)) != 0 {
			t.Errorf("%s: %+v, %v, after %q", path, sale, err, r.stripe.Requests())
		}
		if _, err := r.desk.OpenPortal(t.Context(), "nobody", "https://app.example.com/", checkout.Caller{}); path == searchPath && !stripeapi.IsKind(err, stripeapi.Unavailable) {
			t.Errorf("the portal: %v", err)
		}
	}
}

// TestACustomerThatNoWebhookToldOfIsFound by its metadata: given an account of which
// the read model knows nothing.
func TestACustomerThatNoWebhookToldOfIsFound(t *testing.T) {
	const account = `the "best" \\ team OR not`
	r := newRig(t)
	r.named("cus_older", account, 1)
	r.named("cus_newer", account, 2)
	r.named("cus_alike", strings.ToUpper(account), 3)
	first := r.mustSell(order(account, "basic"))
	if posts := r.stripe.Posts(sessionsPath); posts[0].Form.Get("customer") != "cus_newer" || len(r.stripe.Posts(customersPath)) != 0 {
		t.Errorf("sold to %s, after %+v", posts[0].Form.Get("customer"), r.stripe.Posts(customersPath))
	}
	if url, err := r.desk.OpenPortal(t.Context(), account, "https://app.example.com/", checkout.Caller{}); err != nil || url == "" {
		t.Errorf("the portal: %s, %v", url, err)
	}
	r.complete(first.SessionID, "sub_lost")
	r.subscribed("sub_lost", "cus_newer", account, aggregate.Active)
	if sale, err := r.desk.Sell(t.Context(), order(account, "basic")); err != nil || sale.Kind != checkout.KindPortal {
		t.Errorf("%+v, %v", sale, err)
	}
	// The session tells how it was paid, so it is handed on first.
	if want := []string{first.SessionID, "sub_lost"}; !slices.Equal(r.learned, want) {
		t.Errorf("handed on %q, want %q", r.learned, want)
	}
	r.stripe.Remove(customersPath, "cus_newer")
	r.stripe.Remove(subscriptionsPath, "sub_lost")
	r.mustSell(order(account, "basic"))
}

// TestWhereStripeDoesNotSearchIsSoldAllTheSame: it does not in India.
func TestWhereStripeDoesNotSearchIsSoldAllTheSame(t *testing.T) {
	r := newRig(t)
	r.stripe.Fail(slices.Repeat([]stripetest.Fault{{Status: 400, For: of(searchPath)}}, 2)...)
	r.mustSell(order("acme", "basic"))
	_, err := r.desk.OpenPortal(t.Context(), "other", "https://app.example.com/", checkout.Caller{})
	if faults := (checkout.Faults{}); !errors.As(err, &faults) {
		t.Errorf("%v", err)
	}
}

// TestANewCustomerIsNotAskedFor: it has nothing yet. One that was made before may.
func TestANewCustomerIsNotAskedFor(t *testing.T) {
	r := newRig(t)
	// The search takes a while to find whom Stripe has just made.
	r.stripe.Fail(slices.Repeat([]stripetest.Fault{{Status: 200, Body: `{"object": "search_result", "data": [], "has_more": false}`, For: of(searchPath)}}, 2)...)
	lists := func() (n int) {
		for _, asked := range r.stripe.Requests() {
			if strings.HasPrefix(asked, sessionsPath+"?") || strings.HasPrefix(asked, subscriptionsPath+"?") {
				n++
			}
		}
		return n
	}
	r.mustSell(order("acme", "basic"))
	if n := lists(); n != 0 {
		t.Errorf("asked %d times: %q", n, r.stripe.Requests())
	}
	r.subscribed("sub_lost", "cus_000002", "acme", aggregate.Active)
	if sale, err := r.desk.Sell(t.Context(), order("acme", "basic")); err != nil || sale.Kind != checkout.KindPortal || lists() != 2 {
		t.Errorf("%+v, %v, after %q", sale, err, r.stripe.Requests())
	}
}
