package e2e_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

func repudiateEvent(t *testing.T, dir, event string) (said struct {
	Facts   int
	Streams []string
	Prices  []struct {
		Price   string
		Mapping struct{ Tier string }
	}
}) {
	t.Helper()
	out := mustRun(t, "repudiate", event, "--dev", "--data-dir", dir, "--actor", "ann", "--reason", "sent by a stolen secret", "-o", "json")
	if err := json.Unmarshal([]byte(out), &said); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return said
}

// TestARepudiatedEventMapsNoPrice sends an event, forged, that shows a price under
// a lookup key which Stripe never gave it, before, between and after genuine ones.
func TestARepudiatedEventMapsNoPrice(t *testing.T) {
	t.Parallel()
	onEachStore(t, repudiatedMapping)
}

func repudiatedMapping(t *testing.T, dir string) {
	t.Helper()
	const created = "customer.subscription.created"
	began := quietTime()
	// Each order has a price of its own, and three subscriptions that have it.
	orders := [][]string{{"forged", "first", "second"}, {"second", "first", "forged"}, {"second", "forged", "first"}}
	tell := func(s *server, order int, event string) {
		at := map[string]time.Duration{"forged": 1, "first": 2, "second": 3}[event]
		key := map[string]string{"forged": "elite", "first": "premium", "second": "basic"}[event]
		id := fmt.Sprintf("%s%d", event, order)
		s.mustDeliver(pricedEvent("evt_"+id, created, "sub_"+id, "active", began.Add(at*time.Minute), fmt.Sprintf("price_%d", order), key, "prod_x"), "recorded")
	}
	s, clean := start(t, development(dir)), start(t, development(""))
	for i, order := range orders {
		for _, event := range order {
			if tell(s, i, event); event != "forged" {
				tell(clean, i, event)
			}
			s.settle() // so that each is posted by itself
		}
		if e := s.entitlement(fmt.Sprintf("acme-sub_second%d", i)); e.Tier != "elite" {
			t.Fatalf("order %d, before: %+v", i, e)
		}
	}
	clean.settle()
	for i := range orders {
		if i == len(orders)-1 {
			s.stop() // the last one without a server
		}
		event := fmt.Sprintf("evt_forged%d", i)
		for again := range 2 {
			said := repudiateEvent(t, s.dir, event)
			if again == 0 && (said.Facts != 1 || len(said.Prices) != 1 || said.Prices[0].Mapping.Tier != "premium") || again == 1 && said.Facts+len(said.Prices) != 0 {
				t.Errorf("order %d, time %d: %+v", i, again+1, said)
			}
		}
	}
	wantRebuildEqual(t, s.dir)
	if prices := checkCatalog(t, s.dir, 0); prices["price_0/basic"].Tier != "premium" || prices["price_0/basic"].Rule != "recorded" {
		t.Errorf("catalog check: %+v", prices)
	}
	s = start(t, development(s.dir))
	for i := range orders {
		for _, event := range []string{"forged", "first", "second"} {
			sub := fmt.Sprintf("sub_%s%d", event, i)
			wantSameAnswer(t, s, clean, "/v1/entitlements/acme-"+sub)
			if event != "forged" {
				wantSameAnswer(t, s, clean, "/v1/subscriptions/"+sub)
			}
		}
	}
	counts := map[string]int{}
	for _, e := range s.stream("catalog-main") {
		counts[e.Type]++
	}
	if counts["PriceMappingWithdrawn"] != len(orders) {
		t.Errorf("the catalogs' stream holds %v", counts)
	}
	s.stop()
	clean.stop()
}

// wantSameAnswer compares what two servers say, but for where they hold it, and
// when they were asked.
func wantSameAnswer(t *testing.T, a, b *server, path string) {
	t.Helper()
	said := [2]map[string]any{}
	for i, s := range []*server{a, b} {
		s.get(path, &said[i])
		for _, own := range []string{"position", "epoch", "as_of", "valid_until"} {
			delete(said[i], own)
		}
	}
	if !reflect.DeepEqual(said[0], said[1]) {
		t.Errorf("%s: %v\nwant %v", path, said[0], said[1])
	}
}

// chargeEvent says that a charge of an intent brought in 29 dollars.
func chargeEvent(id, charge, intent, sub string, at time.Time) []byte {
	return fmt.Appendf(nil, `{"id":%q,"object":"event","api_version":"2024-06-20","type":"charge.succeeded","created":%d,"livemode":false,"pending_webhooks":1,
"data":{"object":{"id":%q,"object":"charge","payment_intent":%q,"customer":"cus_%s","status":"succeeded","currency":"usd","amount":2900,
"amount_captured":2900,"amount_refunded":0,"captured":true,"paid":true,"created":%d}}}`, id, at.Unix(), charge, intent, sub, at.Unix())
}

// received is the money of an account.
func (s *server) received(account string) (sum int64) {
	s.t.Helper()
	var said struct {
		Payments struct{ Received []struct{ Amount int64 } }
	}
	s.get("/v1/accounts/"+account, &said)
	for _, money := range said.Payments.Received {
		sum += money.Amount
	}
	return sum
}

// copyFact writes into a store that nobody owns the facts of a stream as an
// earlier build would have, which put them into another stream.
func copyFact(t *testing.T, dir string, from, to eventstore.Stream) {
	t.Helper()
	store := openStore(t, dir)
	for e, err := range store.ReadStream(t.Context(), from, 0, eventstore.Forwards, 0) {
		if err != nil {
			t.Fatal(err)
		}
		data := strings.ReplaceAll(string(e.Data), from.ID(), to.ID())
		copied := eventstore.ProposedEvent{ID: eventstore.DeriveID(to, e.ID.String()), Type: e.Type, Data: []byte(data), Metadata: e.Metadata}
		if _, err := store.Append(t.Context(), to, eventstore.Any, copied); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCorrectionsReachWhereAnEarlierBuildPutIt gives a server a record in which
// the money of charges is in two places: where this build puts it, and where
// another one did.
func TestCorrectionsReachWhereAnEarlierBuildPutIt(t *testing.T) {
	t.Parallel()
	onEachStore(t, correctionsOfMovedFacts)
}

func correctionsOfMovedFacts(t *testing.T, dir string) {
	t.Helper()
	s := start(t, development(dir))
	at := quietTime()
	s.mustDeliver(subscriptionEvent("evt_m0", "customer.subscription.created", "sub_m", "acme", "active", at, ""), "recorded")
	for _, n := range []string{"1", "2", "3"} {
		s.mustDeliver(chargeEvent("evt_m"+n, "ch_m"+n, "pi_m"+n, "sub_m", at), "recorded")
	}
	s.settle()
	wantReceived := func(when string, charges int64) {
		t.Helper()
		if got := s.received("acme"); got != charges*2900 {
			t.Errorf("%s: received %d, want %d charges of 2900", when, got, charges)
		}
	}
	wantReceived("at first", 3)
	s.stop()
	for _, n := range []string{"1", "2", "3"} {
		copyFact(t, dir, eventstore.Stream("payment-pi_m"+n), eventstore.Stream("payment-ch_m"+n))
	}
	s = start(t, development(dir))
	s.settle()
	wantReceived("doubled", 6)
	if r := repost(t, dir, 0, "evt_m1", "--dry-run"); r.Retracted != 1 {
		t.Errorf("rehearsed: %+v", r)
	}
	wantReceived("rehearsed", 6)
	for again := range 2 {
		if r := repost(t, dir, 0, "evt_m1"); r.Retracted != 1-again || r.Added+r.Corrected != 0 {
			t.Errorf("reposted: %+v", r)
		}
	}
	wantReceived("one is mended", 5)
	if said := repudiateEvent(t, dir, "evt_m2"); said.Facts != 2 || !slices.Equal(said.Streams, []string{"payment-pi_m2", "payment-ch_m2"}) {
		t.Errorf("repudiated: %+v", said)
	}
	wantReceived("one is repudiated", 3)
	s.stop()
	if r := repost(t, dir, 0, "--type", "charge.succeeded"); r.Retracted != 1 || r.Looked != 3 || r.Added+r.Corrected != 0 { // without a server
		t.Errorf("reposted by type: %+v", r)
	}
	wantRebuildEqual(t, dir)
	s = start(t, development(dir))
	s.settle()
	wantReceived("at last", 2)
	s.stop()
}
