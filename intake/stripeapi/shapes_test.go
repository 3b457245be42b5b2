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

// TestRequestsHaveTheShapeThatStripeDescribes asks everything that is ever
// asked. A parameter that Stripe does not know would be refused.
func TestRequestsHaveTheShapeThatStripeDescribes(t *testing.T) {
	client := stripeapi.New(stripeapi.Config{Key: "sk_test_123", Base: startSpecification(t), PerSecond: 1e6})
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
	if o, err := client.Fetch(t.Context(), stripeapi.Subscriptions, "sub_123"); err != nil || o.Kind != "subscription" {
		t.Errorf("%+v, %v", o, err)
	}
}
