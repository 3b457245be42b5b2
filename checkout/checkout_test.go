package checkout_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/checkout"
	"github.com/daybookhq/daybook/intake/stripeapi"
	"github.com/daybookhq/daybook/intake/stripeapi/stripetest"
)

// TestWhatStripeIsAskedFor: each member of the request, and none that is not
// listed.
func TestWhatStripeIsAskedFor(t *testing.T) {
	r := newRig(t)
	o := order("acme", "basic")
	o.Quantity, o.TrialDays = 3, 14
	r.mustSell(o)
	posts := r.stripe.Posts(sessionsPath)
	if len(posts) != 1 || len(posts[0].Form.Get("metadata[daybook_wish]")) != 32 || posts[0].Key == "" {
		t.Fatalf("%+v", posts)
	}
	form := posts[0].Form
	form.Del("metadata[daybook_wish]")
	want := map[string]string{
		"mode": "subscription", "customer": "cus_000002", "client_reference_id": "acme",
		"line_items[0][price]": "price_basic", "line_items[0][quantity]": "3", "subscription_data[trial_period_days]": "14",
		"metadata[account_id]": "acme", "subscription_data[metadata][account_id]": "acme",
		"success_url": "https://app.example.com/done?s={CHECKOUT_SESSION_ID}", "cancel_url": "https://app.example.com/plans",
	}
	got := map[string]string{}
	for name := range form {
		got[name] = form.Get(name)
	}
	if !maps.Equal(got, want) {
		t.Errorf("asked for %v\nwant %v", got, want)
	}
	if made := r.stripe.Posts(customersPath); len(made) != 1 || made[0].Form.Encode() != "metadata%5Baccount_id%5D=acme" {
		t.Errorf("%+v", made)
	}
}

func TestAReferenceIsOneThatStripeTakes(t *testing.T) {
	for account, want := range map[string]string{"team-1_A": "team-1_A", "team 1": "", "ünit": "", "a/b": "", strings.Repeat("a", 200): strings.Repeat("a", 200), strings.Repeat("a", 201): ""} {
		r := newRig(t)
		r.mustSell(order(account, "basic"))
		form := r.stripe.Posts(sessionsPath)[0].Form
		if form.Get("client_reference_id") != want || form.Has("client_reference_id") != (want != "") || form.Get("metadata[account_id]") != account {
			t.Errorf("%q: %v", account, form)
		}
	}
	r := newRig(t)
	r.refused(order(strings.Repeat("é", 501), "basic"), "account", "500 characters")
}

// TestADoubleClickMakesOneSession: many requests of two servers at the same
// moment, and one long after.
func TestADoubleClickMakesOneSession(t *testing.T) {
	r := newRig(t)
	desks := []*checkout.Desk{r.desk, r.newDesk()}
	sales := make([]checkout.Sale, 16)
	var clicking sync.WaitGroup
	for i := range sales {
		clicking.Go(func() {
			var err error
			if sales[i], err = desks[i%2].Sell(t.Context(), order("acme", "basic")); err != nil {
				t.Error(err)
			}
		})
	}
	clicking.Wait()
	sales = append(sales, r.mustSell(order("acme", "basic")))
	if all := slices.Compact(sales); len(all) != 1 || len(r.made()) != 1 {
		t.Errorf("sales %+v, by the keys %q", all, r.made())
	}
	if other := r.mustSell(order("other", "basic")); other.SessionID == sales[0].SessionID {
		t.Error("two accounts got one session")
	}
}

// TestAnotherWishEndsTheOpenSession, whatever the wish differs by; a session that
// is none of ours stays.
func TestAnotherWishEndsTheOpenSession(t *testing.T) {
	r := newRig(t)
	r.sell("price_premium", "premium", "prod_premium", "month", 1, "usd")
	last := r.mustSell(order("acme", "basic"))
	r.stripe.Put(sessionsPath, []byte(`{"id": "cs_test_foreign", "object": "checkout.session", "created": 1, "livemode": false, "status": "open", "customer": "cus_000002", "metadata": {"account_id": "acme"}, "url": "https://x"}`))
	for name, change := range map[string]func(*checkout.Order){
		"tier":     func(o *checkout.Order) { o.Tier = "premium" },
		"quantity": func(o *checkout.Order) { o.Quantity = 2 },
		"trial":    func(o *checkout.Order) { o.TrialDays = 7 },
		"success":  func(o *checkout.Order) { o.SuccessURL = "https://app.example.com/other" },
		"cancel":   func(o *checkout.Order) { o.CancelURL = "https://app.example.com/other" },
	} {
		o := order("acme", "basic")
		change(&o)
		next := r.mustSell(o)
		if next.SessionID == last.SessionID || r.status(last.SessionID) != stripeapi.SessionExpired || r.status(next.SessionID) != stripeapi.SessionOpen {
			t.Errorf("%s: %s (%s) after %s (%s)", name, next.SessionID, r.status(next.SessionID), last.SessionID, r.status(last.SessionID))
		}
		if again := r.mustSell(o); again != next {
			t.Errorf("%s: %+v, then %+v", name, next, again)
		}
		last = next
	}
	if r.status("cs_test_foreign") != stripeapi.SessionOpen {
		t.Error("a session of somebody else's was ended")
	}
}

// status is how a session stands at Stripe.
func (r *rig) status(id string) stripeapi.SessionStatus {
	r.Helper()
	s, err := r.desk.Stripe.Session(r.Context(), id)
	if err != nil {
		r.Fatal(err)
	}
	return s.Status
}

// complete lets a buyer pay.
func (r *rig) complete(id, subscription string) {
	r.stripe.Change(sessionsPath, id, map[string]any{"status": "complete", "payment_status": "paid", "url": nil, "subscription": subscription})
}

// open counts the sessions that are open.
func (r *rig) open() (n int) {
	r.Helper()
	ids := map[string]bool{}
	for _, p := range r.stripe.Posts(sessionsPath) {
		sessions, err := r.desk.Stripe.SessionsOf(r.Context(), p.Form.Get("customer"))
		if err != nil {
			r.Fatal(err)
		}
		for _, s := range sessions {
			if s.Status == stripeapi.SessionOpen && !ids[s.ID] {
				ids[s.ID] = true
				n++
			}
		}
	}
	return n
}

// TestASessionThatIsOverIsNotGivenOut: neither one that has expired, nor one that
// is about to, nor one that Stripe only repeats.
func TestASessionThatIsOverIsNotGivenOut(t *testing.T) {
	r := newRig(t)
	first := r.mustSell(order("acme", "basic"))
	r.stripe.Change(sessionsPath, first.SessionID, map[string]any{"status": "expired", "url": nil})
	second := r.mustSell(order("acme", "basic"))
	if second.SessionID == first.SessionID {
		t.Fatal("an expired session was given out")
	}
	r.stripe.SetClock(func() time.Time { return noon.Add(24*time.Hour - 5*time.Minute) })
	third := r.mustSell(order("acme", "basic"))
	if third.SessionID == second.SessionID {
		t.Fatal("a session was given out that ends in five minutes")
	}
	// A list that lags shows none of them: the keys then name sessions that are over.
	for _, id := range []string{first.SessionID, second.SessionID, third.SessionID} {
		r.stripe.Change(sessionsPath, id, map[string]any{"status": "expired", "url": nil, "customer": "cus_hidden"})
	}
	fourth := r.mustSell(order("acme", "basic"))
	if r.status(fourth.SessionID) != stripeapi.SessionOpen || slices.Contains([]string{first.SessionID, second.SessionID, third.SessionID}, fourth.SessionID) {
		t.Errorf("%+v", fourth)
	}
}

func TestACustomerThatIsThereIsUsed(t *testing.T) {
	r := newRig(t)
	for _, id := range []string{"cus_old", "cus_new", "cus_deleted", "cus_gone"} {
		r.model.has("acme", id, "sub_"+id, aggregate.Canceled)
	}
	r.customer("cus_old")
	r.customer("cus_new")
	r.model.has("acme", "acct_1/cus_connected", "", "")
	r.model.change("acme", func(a *record) { a.DeletedCustomers = []string{"cus_deleted"} })
	r.mustSell(order("acme", "basic")) // cus_gone is deleted too, but nobody has heard of it
	posts := r.stripe.Posts(sessionsPath)
	if got := posts[len(posts)-1].Form.Get("customer"); got != "cus_new" || len(r.stripe.Posts(customersPath)) != 0 {
		t.Errorf("sold to %q", got)
	}
	for _, p := range posts {
		if c := p.Form.Get("customer"); c == "cus_deleted" || strings.HasPrefix(c, "acct_") {
			t.Errorf("Stripe was asked to sell to %s", c)
		}
	}
}

// TestACustomerIsMadeOnce: until the read model hears of it, and again once it was
// deleted.
func TestACustomerIsMadeOnce(t *testing.T) {
	r := newRig(t)
	r.sell("price_premium", "premium", "prod_premium", "month", 1, "usd")
	r.mustSell(order("acme", "basic"))
	r.mustSell(order("acme", "premium"))
	customers := func() []string {
		var all []string
		for _, p := range r.stripe.Posts(sessionsPath) {
			all = append(all, p.Form.Get("customer"))
		}
		return slices.Compact(all)
	}
	first := customers()
	if len(first) != 1 {
		t.Fatalf("customers %q", first)
	}
	r.stripe.Remove(customersPath, first[0])
	r.mustSell(order("acme", "basic"))
	if all := customers(); all[len(all)-1] == first[0] {
		t.Errorf("customers %q", all)
	}
}

// TestWhoHasASubscriptionIsSentToThePortal, by its status.
func TestWhoHasASubscriptionIsSentToThePortal(t *testing.T) {
	for status, portal := range map[aggregate.Status]bool{aggregate.Active: true, aggregate.Trialing: true, aggregate.PastDue: true,
		aggregate.Unpaid: true, aggregate.Paused: true, aggregate.Incomplete: false, aggregate.IncompleteExpired: false, aggregate.Canceled: false} {
		r := newRig(t)
		r.customer("cus_1")
		r.model.has("acme", "cus_1", "sub_1", status)
		o := order("acme", "basic")
		o.CancelURL = "https://app.example.com/plans?s={CHECKOUT_SESSION_ID}&x=1"
		sale, err := r.desk.Sell(t.Context(), o)
		if err != nil || (sale.Kind == checkout.KindPortal) != portal || sale.URL == "" {
			t.Errorf("%s: %+v, %v", status, sale, err)
		}
		if posts := r.stripe.Posts(portalPath); portal && (len(posts) != 1 || posts[0].Form.Get("customer") != "cus_1" || posts[0].Form.Get("return_url") != "https://app.example.com/plans?s=&x=1") {
			t.Errorf("%s: %+v", status, posts)
		}
	}
}

func TestASubscriptionOfACustomerThatIsGoneIsBoughtAnew(t *testing.T) {
	r := newRig(t)
	r.model.has("acme", "cus_gone", "sub_1", aggregate.Active)
	r.mustSell(order("acme", "basic"))
	r.model.change("acme", func(a *record) { a.DeletedCustomers = a.Customers })
	r.mustSell(order("acme", "basic"))
	if posts := r.stripe.Posts(portalPath); len(posts) != 1 {
		t.Errorf("%+v", posts)
	}
}

// TestWhoJustBoughtIsSentToThePortal, though no webhook has told of it yet.
func TestWhoJustBoughtIsSentToThePortal(t *testing.T) {
	r := newRig(t)
	sale := r.mustSell(order("acme", "basic"))
	r.complete(sale.SessionID, "sub_new")
	if again, err := r.desk.Sell(t.Context(), order("acme", "basic")); err != nil || again.Kind != checkout.KindPortal {
		t.Errorf("%+v, %v", again, err)
	}
	// What the same customer buys for another account is that one's.
	r.model.has("other", "cus_000002", "", "")
	r.mustSell(order("other", "basic"))
	// Once it is known, it counts for what it is.
	r.model.has("acme", "cus_000002", "sub_new", aggregate.Canceled)
	r.mustSell(order("acme", "basic"))
}

func TestABlockedAccountBuysNothing(t *testing.T) {
	r := newRig(t)
	r.model.change("acme", func(a *record) { a.Block = &aggregate.Block{Reason: "fraud"} })
	if _, err := r.desk.Sell(t.Context(), order("acme", "basic")); !errors.Is(err, checkout.ErrBlocked) || len(r.stripe.Requests()) != 0 {
		t.Errorf("%v after %q", err, r.stripe.Requests())
	}
}

// TestAModelThatIsNotFoldedSellsNothing: it would not know of a subscription.
func TestAModelThatIsNotFoldedSellsNothing(t *testing.T) {
	r := newRig(t)
	r.model.folded = false
	if _, err := r.desk.Sell(t.Context(), order("acme", "basic")); !errors.Is(err, errNotFolded) || len(r.stripe.Requests()) != 0 {
		t.Errorf("%v after %q", err, r.stripe.Requests())
	}
}

// TestACallersKeyIsPassedOn: under it Stripe repeats, refuses another request, and
// keeps callers apart.
func TestACallersKeyIsPassedOn(t *testing.T) {
	r := newRig(t)
	with := func(name, key string, o checkout.Order) checkout.Order {
		o.Caller = checkout.Caller{Name: name, Key: key}
		return o
	}
	first := r.mustSell(with("a", "k1", order("acme", "basic")))
	if again := r.mustSell(with("a", "k1", order("acme", "basic"))); again != first {
		t.Errorf("%+v, then %+v", first, again)
	}
	other := order("acme", "basic")
	other.Quantity = 2
	if _, err := r.desk.Sell(t.Context(), with("a", "k1", other)); !stripeapi.IsKind(err, stripeapi.KeyReused) {
		t.Errorf("another order with the same key: %v", err)
	}
	if r.status(first.SessionID) != stripeapi.SessionOpen {
		t.Error("an order that was refused has ended a session")
	}
	r.mustSell(with("b", "k1", order("another", "basic")))
	r.stripe.Change(sessionsPath, first.SessionID, map[string]any{"status": "expired", "url": nil})
	if _, err := r.desk.Sell(t.Context(), with("a", "k1", order("acme", "basic"))); !errors.Is(err, checkout.ErrKeySpent) {
		t.Errorf("a key whose session is over: %v", err)
	}
	for _, p := range r.stripe.Posts(sessionsPath) {
		if len(p.Key) > 255 || strings.Contains(p.Key, "k1") {
			t.Errorf("key %q", p.Key)
		}
	}
}

func TestThePortal(t *testing.T) {
	r := newRig(t)
	const back = "https://app.example.com/account"
	_, err := r.desk.OpenPortal(t.Context(), "acme", back, checkout.Caller{})
	if faults := (checkout.Faults{}); !errors.As(err, &faults) || faults[0].Field != "account" || !strings.Contains(faults[0].Reason, "no customer") {
		t.Errorf("an account that bought nothing: %v", err)
	}
	r.model.has("acme", "cus_paying", "sub_1", aggregate.PastDue)
	r.model.has("acme", "cus_other", "sub_2", aggregate.Canceled)
	r.customer("cus_paying")
	r.customer("cus_other")
	url, err := r.desk.OpenPortal(t.Context(), "acme", back, checkout.Caller{})
	if posts := r.stripe.Posts(portalPath); err != nil || url == "" || len(posts) != 1 || posts[0].Form.Get("customer") != "cus_paying" || posts[0].Form.Get("return_url") != back {
		t.Errorf("%s, %v: %+v", url, err, posts)
	}
	r.stripe.Remove(customersPath, "cus_paying")
	if _, err := r.desk.OpenPortal(t.Context(), "acme", back, checkout.Caller{}); err != nil {
		t.Errorf("one of two customers is gone: %v", err)
	}
	if _, err := r.desk.OpenPortal(t.Context(), "acme", "https://evil.example/", checkout.Caller{}); err == nil || !strings.Contains(err.Error(), "evil.example") {
		t.Errorf("%v", err)
	}
}

// TestNoSessionIsGivenOutBesideOneThatIsOpen: while Stripe cannot end that, the
// order is in vain; then it gives out what was made.
func TestNoSessionIsGivenOutBesideOneThatIsOpen(t *testing.T) {
	r := newRig(t)
	first := r.mustSell(order("acme", "basic"))
	o := order("acme", "basic")
	o.Quantity = 2
	var once sync.Once
	r.stripe.SetBefore(func(req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/expire") {
			once.Do(func() { r.stripe.Fail(slices.Repeat([]stripetest.Fault{{Status: 500}}, 8)...) })
		}
	})
	if sale, err := r.desk.Sell(t.Context(), o); !stripeapi.IsKind(err, stripeapi.Unavailable) || sale.URL != "" {
		t.Errorf("%+v, %v", sale, err)
	}
	second := r.mustSell(o)
	if r.status(first.SessionID) != stripeapi.SessionExpired || len(r.made()) != 2 {
		t.Errorf("%+v beside %s, after %q", second, r.status(first.SessionID), r.made())
	}
}

// TestWhoPaysInAnotherTabMeanwhileIsSentToThePortal: what was made for the later
// order is ended again.
func TestWhoPaysInAnotherTabMeanwhileIsSentToThePortal(t *testing.T) {
	r := newRig(t)
	first := r.mustSell(order("acme", "basic"))
	r.stripe.SetBefore(func(req *http.Request) {
		if req.Method == http.MethodPost && req.URL.Path == sessionsPath { // listed as open, paid now
			r.complete(first.SessionID, "sub_new")
		}
	})
	o := order("acme", "basic")
	o.Quantity = 2
	sale, err := r.desk.Sell(t.Context(), o)
	if err != nil || sale.Kind != checkout.KindPortal || r.open() != 0 {
		t.Errorf("%+v, %v; %d are open", sale, err, r.open())
	}
}

// TestASessionThatStripeRepeatsMayBePaid: a list that lags does not show it.
func TestASessionThatStripeRepeatsMayBePaid(t *testing.T) {
	r := newRig(t)
	first := r.mustSell(order("acme", "basic"))
	r.complete(first.SessionID, "sub_new")
	r.stripe.SetBefore(func(req *http.Request) {
		customer := "cus_000002"
		if req.Method == http.MethodGet && req.URL.Path == sessionsPath {
			customer = "cus_hidden"
		}
		r.stripe.Change(sessionsPath, first.SessionID, map[string]any{"customer": customer})
	})
	if sale, err := r.desk.Sell(t.Context(), order("acme", "basic")); err != nil || sale.Kind != checkout.KindPortal || len(r.made()) != 1 {
		t.Errorf("%+v, %v, by the keys %q", sale, err, r.made())
	}
}

// TestACompleteSessionHasBought: though of its subscription no snapshot came yet, or
// one whose payment is on its way.
func TestACompleteSessionHasBought(t *testing.T) {
	r := newRig(t)
	first := r.mustSell(order("acme", "basic"))
	r.complete(first.SessionID, "sub_new")
	r.model.has("acme", "cus_000002", "sub_new", "")
	for _, status := range []aggregate.Status{"", aggregate.Incomplete} {
		r.model.change("acme", func(a *record) { a.Subscriptions[0].Status = status })
		if sale, err := r.desk.Sell(t.Context(), order("acme", "basic")); err != nil || sale.Kind != checkout.KindPortal {
			t.Errorf("%q: %+v, %v", status, sale, err)
		}
	}
	r.model.change("acme", func(a *record) { a.Subscriptions[0].Status = aggregate.IncompleteExpired })
	r.mustSell(order("acme", "basic"))
}

// TestClicksWithAKeyEachLeaveOneSessionOpen: programs like to make a new key for
// each request.
func TestClicksWithAKeyEachLeaveOneSessionOpen(t *testing.T) {
	r := newRig(t)
	var clicking sync.WaitGroup
	for i := range 8 {
		o := order("acme", "basic")
		o.Quantity, o.Caller = int64(i/4+1), checkout.Caller{Name: "shop", Key: string(rune('a' + i))}
		clicking.Go(func() { r.mustSell(o) })
	}
	clicking.Wait()
	if r.open() != 1 {
		t.Errorf("%d sessions are open", r.open())
	}
}

// TestOrdersOfAnAccountTakeTurns: one waits no longer than its caller, and no more
// than a few wait; another account's does not wait.
func TestOrdersOfAnAccountTakeTurns(t *testing.T) {
	r := newRig(t)
	r.stripe.Fail(stripetest.Fault{Hang: true})
	asked := make(chan struct{})
	var once sync.Once
	r.stripe.SetBefore(func(*http.Request) { once.Do(func() { close(asked) }) })
	ctx, leave := context.WithCancel(t.Context())
	came := make(chan error)
	sell := func() {
		_, err := r.desk.Sell(ctx, order("acme", "basic"))
		came <- err
	}
	go sell()
	<-asked
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.desk.Sell(impatient, order("acme", "basic")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	for range 17 { // sixteen wait, and one is turned away
		go sell()
	}
	if err := <-came; !errors.Is(err, checkout.ErrBusy) {
		t.Errorf("%v", err)
	}
	r.mustSell(order("other", "basic"))
	leave()
	for range 17 {
		if err := <-came; err == nil || errors.Is(err, checkout.ErrBusy) {
			t.Errorf("an order that was left: %v", err)
		}
	}
	r.mustSell(order("acme", "basic"))
}

// TestAnAccountHasOneTrial, whatever became of it.
func TestAnAccountHasOneTrial(t *testing.T) {
	r := newRig(t)
	r.customer("cus_1")
	r.model.has("acme", "cus_1", "sub_1", aggregate.Canceled)
	o := order("acme", "basic")
	o.TrialDays = 14
	r.mustSell(o)
	r.model.change("acme", func(a *record) { a.Subscriptions[0].TrialEnd = noon })
	r.refused(o, "trial_days", "2026-03-02")
	o.TrialDays = 0
	r.mustSell(o)
}

// TestWhomABuyerCallsTheAccountsIsNotSoldTo: anybody can write a name into a
// payment link, and would then get another's card on file.
func TestWhomABuyerCallsTheAccountsIsNotSoldTo(t *testing.T) {
	r := newRig(t)
	r.customer("cus_own")
	r.customer("cus_stranger")
	r.model.has("acme", "cus_own", "sub_1", aggregate.Canceled)
	r.model.has("acme", "cus_stranger", "sub_2", aggregate.Canceled)
	r.model.has("fresh", "cus_stranger", "sub_3", aggregate.Canceled)
	r.model.change("acme", func(a *record) { a.Links[1].Rank = aggregate.LinkClientReference })
	r.model.change("fresh", func(a *record) { a.Links[0].Rank = aggregate.LinkClientReference })
	for _, account := range []string{"acme", "fresh"} {
		r.mustSell(order(account, "basic"))
		posts := r.stripe.Posts(sessionsPath)
		if got := posts[len(posts)-1].Form.Get("customer"); got == "cus_stranger" {
			t.Errorf("%s was sold to %s", account, got)
		}
	}
	if _, err := r.desk.OpenPortal(t.Context(), "acme", "https://app.example.com/", checkout.Caller{}); err != nil || r.stripe.Posts(portalPath)[0].Form.Get("customer") != "cus_own" {
		t.Errorf("%v: %+v", err, r.stripe.Posts(portalPath))
	}
}

// TestSessionsOfAllCustomersCount: an account may have come to another customer
// since.
func TestSessionsOfAllCustomersCount(t *testing.T) {
	for name, test := range map[string]struct {
		paid bool
		kind checkout.Kind
	}{"open": {false, checkout.KindCheckout}, "paid": {true, checkout.KindPortal}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			first := r.mustSell(order("acme", "basic"))
			r.model.has("acme", "cus_000002", "", "")
			r.customer("cus_newer")
			r.model.has("acme", "cus_newer", "sub_1", aggregate.Canceled)
			if test.paid {
				r.complete(first.SessionID, "sub_new")
			}
			o := order("acme", "basic")
			o.Quantity = 2
			sale, err := r.desk.Sell(t.Context(), o)
			if err != nil || sale.Kind != test.kind || r.status(first.SessionID) == stripeapi.SessionOpen {
				t.Errorf("%+v, %v, beside one that is %s", sale, err, r.status(first.SessionID))
			}
		})
	}
}

// TestALiveSubscriptionOfAnyCustomerLeadsToThePortal, though one of them is gone.
func TestALiveSubscriptionOfAnyCustomerLeadsToThePortal(t *testing.T) {
	r := newRig(t)
	r.customer("cus_1")
	r.model.has("acme", "cus_1", "sub_1", aggregate.Active)
	r.model.has("acme", "cus_gone", "sub_2", aggregate.Active)
	if sale, err := r.desk.Sell(t.Context(), order("acme", "basic")); err != nil || sale.Kind != checkout.KindPortal {
		t.Errorf("%+v, %v", sale, err)
	}
}

// TestAFailureThatStripeKeepsIsNotTheBuyers: under one key Stripe repeats how a
// request failed, for a day.
func TestAFailureThatStripeKeepsIsNotTheBuyers(t *testing.T) {
	for _, path := range []string{customersPath, sessionsPath} {
		for _, status := range []int{400, 500} {
			r := newRig(t)
			const times = 7
			failed := 0
			r.stripe.SetBefore(func(req *http.Request) {
				if req.Method == http.MethodPost && req.URL.Path == path && failed < times && !r.stripe.Keeps(req) {
					failed++
					r.stripe.Fail(stripetest.Fault{Status: status, Kept: true})
				}
			})
			tries := 0
			for ; tries <= times; tries++ {
				if _, err := r.desk.Sell(t.Context(), order("acme", "basic")); err == nil {
					break
				}
			}
			if failed != times || tries > times {
				t.Errorf("%s %d: failed %d times, and %d orders were in vain", path, status, failed, tries)
			}
		}
	}
}
