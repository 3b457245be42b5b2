package e2e_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybookhq/daybook/cmd/daybook/simulate"
	"github.com/daybookhq/daybook/intake/stripeapi/stripetest"
)

var stripeAccounts = flag.Int("stripe-accounts", 116, "accounts of the simulated year that is lost in part, or altogether")

const stripeKey = "rk_test_e2e"

// manyMinutes bounds what takes the longer the more accounts there are.
const manyMinutes = 15 * time.Minute

// year is a simulated year, in the order in which it happened.
func year(accounts int) *simulate.Run {
	end := time.Now().UTC().Truncate(time.Second).Add(-3 * time.Minute)
	return simulate.Generate(simulate.Options{Seed: 20, Accounts: accounts, Start: end.AddDate(-1, 0, 0), End: end})
}

// stripeAfter is Stripe as a year has left it: each object as its last event
// shows it, and all events.
func stripeAfter(t *testing.T, run *simulate.Run) *stripetest.Server {
	t.Helper()
	s := stripetest.New(stripeKey)
	t.Cleanup(s.Close)
	for _, d := range run.Deliveries {
		putEvent(t, s, d.Body)
	}
	return s
}

// putEvent lets an event and what it shows be had from Stripe. Those of connected
// accounts and of the other mode are elsewhere.
func putEvent(t *testing.T, s *stripetest.Server, body []byte) {
	t.Helper()
	var e struct {
		ID, Type, Account string
		Livemode          bool
		Data              struct{ Object json.RawMessage }
	}
	var o struct{ ID, Object string }
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(e.Data.Object, &o); err != nil {
		t.Fatal(err)
	}
	if e.Account != "" || e.Livemode {
		return
	}
	s.Put("/v1/events", body)
	path := map[string]string{"subscription": "/v1/subscriptions", "customer": "/v1/customers",
		"invoice": "/v1/invoices", "checkout.session": "/v1/checkout/sessions"}[o.Object]
	switch {
	case path == "":
	case e.Type == "customer.deleted", e.Type == "invoice.deleted":
		s.Remove(path, o.ID)
	default:
		s.Put(path, e.Data.Object)
	}
}

// withStripe is what a command or a server needs to ask Stripe.
func withStripe(s *stripetest.Server) []string {
	return []string{"STRIPE_API_KEY=" + stripeKey, "STRIPE_API_BASE=" + s.URL}
}

// deliverAll sends those deliveries that keep chooses, many at once.
func deliverAll(t *testing.T, s *server, run *simulate.Run, keep func() bool) {
	t.Helper()
	var senders sync.WaitGroup
	bodies := make(chan []byte)
	for range 64 {
		senders.Go(func() {
			for body := range bodies {
				if err := s.deliverUntilTaken(body); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, d := range run.Deliveries {
		if keep() {
			bodies <- d.Body
		}
	}
	close(bodies)
	senders.Wait()
	s.settle()
}

// deliverUntilTaken tries again where the server says that it could not make the
// event durable in time, as Stripe does.
func (s *server) deliverUntilTaken(body []byte) error {
	for deadline := time.Now().Add(patience); ; {
		a, err := s.deliver(body)
		if err != nil || a.status == 200 {
			return err
		}
		if a.status != 503 || time.Now().After(deadline) {
			return fmt.Errorf("answered %d %s", a.status, a.body)
		}
	}
}

// entitlements asks for those of every account of a run: all of each that does
// not tell on what it rests. When a grace began that has run out is no part of
// it: Stripe does not tell of it for longer than thirty days.
func entitlements(t *testing.T, s *server, run *simulate.Run) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	for _, want := range run.Expect {
		var e map[string]any
		s.get("/v1/entitlements/"+url.PathEscape(want.Account), &e)
		for _, name := range []string{"position", "epoch", "as_of", "valid_until", "flags"} {
			delete(e, name)
		}
		if e["in_grace"] != true {
			delete(e, "grace_until")
		}
		all[want.Account] = e
	}
	return all
}

func wantEntitlements(t *testing.T, run *simulate.Run, got, want map[string]map[string]any) {
	t.Helper()
	for _, x := range run.Expect {
		if g, w := got[x.Account], want[x.Account]; !reflect.DeepEqual(g, w) {
			t.Errorf("%s (%s):\n got %v\nwant %v", x.Account, x.Lifecycle, g, w)
		}
	}
}

// TestWhatIsLostIsFoundAgain plays a year to four servers: one gets every
// webhook and never asks Stripe; one loses a fifth of them and reconciles; one
// gets none at all and backfills; one gets all of them, sweeps and is backfilled
// at once. In the end all say the same of every account, and to repeat what was
// done adds nothing.
func TestWhatIsLostIsFoundAgain(t *testing.T) {
	t.Parallel()
	run := year(*stripeAccounts)
	stripe := stripeAfter(t, run)
	whole := start(t, development(""))
	deliverAll(t, whole, run, func() bool { return true })
	want := entitlements(t, whole, run)

	t.Run("a fifth of the webhooks", func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		lossy := start(t, development(""))
		deliverAll(t, lossy, run, func() bool { return rng.Float64() >= 0.2 })
		lossy.stop()
		o := commandWithin(t, manyMinutes, withStripe(stripe), "reconcile", "--dev", "--data-dir", lossy.dir, "-o", "json")
		var found struct{ Missing, Missed, Differing, Recorded int }
		if err := json.Unmarshal([]byte(o.stdout), &found); err != nil || o.code != 1 || found.Missing == 0 || found.Differing == 0 || found.Missed != 0 {
			t.Fatalf("ended with %d: %+v, %v\n%s", o.code, found, err, o.stderr)
		}
		again := start(t, development(lossy.dir))
		wantEntitlements(t, run, entitlements(t, again, run), want)
		again.stop()
		wantNothingNew(t, stripe, lossy.dir, "reconcile")
	})
	t.Run("all of them", func(t *testing.T) {
		dir := dataDir(t)
		o := commandWithin(t, manyMinutes, withStripe(stripe), "backfill", "--dev", "--data-dir", dir)
		if o.code != 0 || !strings.Contains(o.stdout, "recorded") {
			t.Fatalf("ended with %d:\n%s%s", o.code, o.stdout, o.stderr)
		}
		s := start(t, development(dir))
		got, known := entitlements(t, s, run), maps.Clone(want)
		for _, x := range run.Expect {
			if x.Lifecycle == "upgraded in grace" {
				// While a payment is owed the tier of before counts, and of that
				// neither objects nor thirty days of events tell.
				known[x.Account] = maps.Clone(want[x.Account])
				for _, name := range []string{"tier", "tier_name", "features", "limits"} {
					delete(known[x.Account], name)
					delete(got[x.Account], name)
				}
			}
		}
		wantEntitlements(t, run, got, known)
		wantRebuildSame(t, s)
		s.stop()
		wantNothingNew(t, stripe, dir, "backfill")
	})
	t.Run("none, beside a backfill and a sweep", func(t *testing.T) {
		s := start(t, launch{args: []string{"--dev"}, env: withStripe(stripe)}) // it sweeps at once
		var backfilling sync.WaitGroup
		backfilling.Go(func() {
			if o := commandWithin(t, manyMinutes, nil, "backfill", "--dev", "--data-dir", s.dir); o.code != 0 {
				t.Errorf("ended with %d:\n%s%s", o.code, o.stdout, o.stderr)
			}
		})
		deliverAll(t, s, run, func() bool { return true })
		backfilling.Wait()
		s.settle()
		wantEntitlements(t, run, entitlements(t, s, run), want)
		wantRebuildSame(t, s)
		s.stop()
	})
	whole.stop()
}

// wantNothingNew repeats a command, and wants the journal to stay as it is.
func wantNothingNew(t *testing.T, stripe *stripetest.Server, dir, name string) {
	t.Helper()
	before := len(journal(t, dir))
	if o := commandWithin(t, manyMinutes, withStripe(stripe), name, "--dev", "--data-dir", dir); o.code != 0 {
		t.Errorf("%s again ended with %d:\n%s%s", name, o.code, o.stdout, o.stderr)
	}
	if after := len(journal(t, dir)); after != before || before == 0 {
		t.Errorf("%s again: %d entries became %d", name, before, after)
	}
}
