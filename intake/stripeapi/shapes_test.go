package stripeapi_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/stripeapi"
)

// specification is the server that checks requests against Stripe's own
// description of its API, and answers with examples.
const specification = "github.com/stripe/stripe-mock@v0.203.0"

// startSpecification builds and runs it, and returns its address.
func startSpecification(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "install", specification)
	build.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", specification, err, out)
	}
	server := exec.CommandContext(t.Context(), filepath.Join(dir, "stripe-mock"), "-http-addr", "127.0.0.1:0")
	said, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait() // killed, so it ends with an error
	})
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if _, address, found := strings.Cut(lines.Text(), "Listening for HTTP at address: "); found {
			go func() {
				for lines.Scan() { // let it go on writing
				}
			}()
			return "http://" + strings.TrimSpace(address)
		}
	}
	t.Fatalf("%s does not serve", specification)
	return ""
}

// sales makes everything that is ever made of a sale.
func sales(t *testing.T, client, portals *stripeapi.Client) {
	t.Helper()
	ctx := t.Context()
	made, err := client.CreateCustomer(ctx, map[string]string{"account_id": "team 1"}, "key-customer")
	if err != nil || made.ID == "" {
		t.Errorf("customer %+v, %v", made, err)
	}
	customer := made.ID
	order := stripeapi.SessionOrder{
		Customer: customer, Lines: []stripeapi.Line{{Price: "price_1", Quantity: 3}, {Price: "price_2"}}, TrialDays: 730,
		SuccessURL: "https://app.example.com/done?s={CHECKOUT_SESSION_ID}", CancelURL: "https://app.example.com/plans",
		ClientReference: "team-1", Metadata: map[string]string{"account_id": "team 1"}, SubscriptionMetadata: map[string]string{"account_id": "team 1"},
	}
	session, err := client.CreateSession(ctx, order, "key-session")
	if err != nil || session.ID == "" || session.URL == "" {
		t.Errorf("session %+v, %v", session, err)
	}
	if _, err := client.Session(ctx, session.ID); err != nil {
		t.Error(err)
	}
	if sessions, err := client.SessionsOf(ctx, customer); err != nil || len(sessions) == 0 {
		t.Errorf("sessions %+v, %v", sessions, err)
	}
	if customers, err := client.CustomersNaming(ctx, []string{"account_id", "community_id"}, `team "1"`); err != nil || len(customers) == 0 {
		t.Errorf("customers %+v, %v", customers, err)
	}
	if subscriptions, err := client.SubscriptionsOf(ctx, customer); err != nil || len(subscriptions) == 0 || subscriptions[0].Status == "" {
		t.Errorf("subscriptions %+v, %v", subscriptions, err)
	}
	if err := client.ExpireSession(ctx, session.ID); err != nil {
		t.Error(err)
	}
	if url, err := portals.CreatePortal(ctx, customer, "https://app.example.com/account", "key-portal"); err != nil || url == "" {
		t.Errorf("portal %q, %v", url, err)
	}
	if p, err := client.Price(ctx, "price_1"); err != nil || p.Product == "" {
		t.Errorf("price %+v, %v", p, err)
	}
	if prices, err := client.PricesByKey(ctx, "a", "b"); err != nil || len(prices) == 0 {
		t.Errorf("prices %+v, %v", prices, err)
	}
	if prices, err := client.PricesOf(ctx, "prod_1"); err != nil || len(prices) == 0 {
		t.Errorf("prices %+v, %v", prices, err)
	}
}

// TestRequestsHaveTheShapeThatStripeDescribes asks everything that is ever
// asked. A parameter that Stripe does not know would be refused.
func TestRequestsHaveTheShapeThatStripeDescribes(t *testing.T) {
	config := stripeapi.Config{Key: "sk_test_123", Base: startSpecification(t), PerSecond: 1e6}
	client := stripeapi.New(config)
	if _, err := client.Check(t.Context(), stripeapi.Resource{Path: stripeapi.Prices.Path + "?nonsense=1"}); !stripeapi.IsKind(err, stripeapi.Refused) {
		t.Errorf("a parameter that Stripe does not know: %v", err)
	}
	all := []stripeapi.Resource{stripeapi.Customers, stripeapi.Subscriptions, stripeapi.Invoices, stripeapi.Sessions,
		stripeapi.Events, stripeapi.Products, stripeapi.Prices, stripeapi.Endpoints}
	if now, err := client.Check(t.Context(), all...); err != nil || time.Since(now) > time.Minute {
		t.Errorf("%s, %v", now, err)
	}
	created := stripeapi.Range{From: time.Unix(1_700_000_000, 0), Until: time.Now()}
	for _, listing := range []stripeapi.Listing{
		{Resource: stripeapi.Subscriptions, Where: map[string]string{"status": "all"}, Created: created},
		{Resource: stripeapi.Invoices, Where: map[string]string{"status": "open"}, Created: created},
		{Resource: stripeapi.Customers, Created: created},
		{Resource: stripeapi.Sessions, Where: map[string]string{"status": "complete"}},
		{Resource: stripeapi.Events, Created: created, After: stripeapi.Place{ID: "evt_1"}},
		{Resource: stripeapi.Prices, Where: map[string]string{"active": "true", "type": "recurring"}},
		{Resource: stripeapi.Products, Where: map[string]string{"active": "true"}},
	} {
		for page, err := range client.List(t.Context(), listing) {
			if err != nil || len(page.Objects) == 0 || page.Objects[0].Kind != listing.Kind {
				t.Errorf("%s: %+v, %v", listing.Name, page.Objects, err)
			}
			break
		}
	}
	// The description is older than the version that is pinned, and knows every
	// type of event.
	types := intake.ToldTypes(false)
	made, err := client.CreateEndpoint(t.Context(), "https://billing.example.com/webhooks/stripe", "2025-11-17.clover", types)
	if err != nil || made.ID == "" || len(made.EnabledEvents) != len(types) {
		t.Errorf("%+v, %v", made, err)
	}
	if endpoints, err := client.Endpoints(t.Context()); err != nil || len(endpoints) == 0 || endpoints[0].URL == "" {
		t.Errorf("%+v, %v", endpoints, err)
	}
	config.Livemode = true // the example of a portal session is of that mode
	sales(t, client, stripeapi.New(config))
	if o, err := client.Fetch(t.Context(), stripeapi.Subscriptions, "sub_123"); err != nil || o.Kind != "subscription" {
		t.Errorf("%+v, %v", o, err)
	}
}
