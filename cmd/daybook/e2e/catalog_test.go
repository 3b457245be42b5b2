package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// checkedPrice is what the tests read of catalog check.
type checkedPrice struct {
	Price         string
	LookupKey     string `json:"lookup_key"`
	Subscriptions int
	InUse         int `json:"in_use"`
	Tier, Addon   string
	Rule          string
}

func checkCatalog(t *testing.T, dir string, code int, file ...string) map[string]checkedPrice {
	t.Helper()
	o := command(t, nil, append([]string{"catalog", "check", "-o", "json", "--dev", "--data-dir", dir}, file...)...)
	var said struct{ Prices []checkedPrice }
	if err := json.Unmarshal([]byte(o.stdout), &said); err != nil || o.code != code {
		t.Fatalf("catalog check %q: want exit %d: %v %+v", file, code, err, o)
	}
	prices := map[string]checkedPrice{}
	for _, p := range said.Prices {
		prices[p.Price+"/"+p.LookupKey] = p
	}
	return prices
}

func writeCatalog(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "catalog.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// pricedEvent is a subscription's event with another price.
func pricedEvent(id, kind, sub, status string, at time.Time, price, lookup, product string) []byte {
	event := string(subscriptionEvent(id, kind, sub, "acme-"+sub, status, at, ""))
	return []byte(strings.Replace(event, `"price":{"id":"price_basic","object":"price","product":"prod_basic"}`,
		`"price":{"id":"`+price+`","object":"price","lookup_key":"`+lookup+`","product":"`+product+`"}`, 1))
}

// TestCatalogCheck shows where the prices of a history map, beside a server: by
// each rule, and nowhere.
func TestCatalogCheck(t *testing.T) {
	t.Parallel()
	onEachStore(t, catalogCheck)
}

func catalogCheck(t *testing.T, dir string) {
	t.Helper()
	s := start(t, development(dir))
	at := quietTime()
	const created, deleted = "customer.subscription.created", "customer.subscription.deleted"
	s.mustDeliver(pricedEvent("evt_k1", created, "sub_k1", "active", at, "price_basic", "", "prod_x"), "recorded")
	s.mustDeliver(pricedEvent("evt_k2", created, "sub_k2", "active", at, "price_2", "premium", "prod_x"), "recorded")
	s.mustDeliver(pricedEvent("evt_k3", created, "sub_k3", "active", at, "price_3", "", "prod_elite"), "recorded")
	s.mustDeliver(pricedEvent("evt_k4", created, "sub_k4", "active", at, "price_4", "", "prod_x"), "recorded")
	s.mustDeliver(pricedEvent("evt_k5", deleted, "sub_k4", "canceled", at.Add(time.Hour), "price_4", "", "prod_x"), "recorded")
	s.settle()
	want := map[string]checkedPrice{
		"price_basic/":    {Price: "price_basic", Subscriptions: 1, InUse: 1, Tier: "basic", Rule: "price"},
		"price_2/premium": {Price: "price_2", LookupKey: "premium", Subscriptions: 1, InUse: 1, Tier: "premium", Rule: "recorded"},
		"price_3/":        {Price: "price_3", Subscriptions: 1, InUse: 1, Tier: "elite", Rule: "product"},
		"price_4/":        {Price: "price_4", Subscriptions: 1}, // nobody has it any more
	}
	wantPrices(t, checkCatalog(t, s.dir, 0), want)

	// The lookup key moves to another price: what was sold keeps its place.
	s.mustDeliver(pricedEvent("evt_k6", created, "sub_k6", "active", at, "price_6", "premium", "prod_x"), "recorded")
	s.mustDeliver(pricedEvent("evt_k7", "customer.subscription.updated", "sub_k2", "active", at.Add(time.Hour), "price_2", "basic", "prod_x"), "recorded")
	s.settle()
	if e := s.entitlement("acme-sub_k2"); e.Tier != "premium" {
		t.Errorf("after the key moved: %+v", e)
	}
	mended := writeCatalog(t, "grace_period: 24h\nfree_tier: free\ntiers:\n- {id: free, name: Free}\n- {id: premium, name: Premium, prices: [price_basic]}\n"+
		"addons:\n- {id: more, prices: [\"product:prod_elite\"]}\n")
	prices := checkCatalog(t, s.dir, 0, mended)
	if p := prices["price_3/"]; p.Addon != "more" || p.Rule != "product" {
		t.Errorf("under the other catalog: %+v", p)
	}
	if p := prices["price_2/basic"]; p.Tier != "premium" || p.Rule != "recorded" {
		t.Errorf("under the other catalog: %+v", p)
	}
	less := writeCatalog(t, "grace_period: 24h\nfree_tier: free\ntiers:\n- {id: free, name: Free}\n- {id: premium, name: Premium, prices: [price_basic]}\n")
	if p := checkCatalog(t, s.dir, 1, less)["price_3/"]; p.Rule != "" || p.InUse != 1 {
		t.Errorf("a price in use that maps nowhere: %+v", p)
	}
	if out := mustRun(t, "catalog", "check", "--dev", "--data-dir", s.dir); !strings.Contains(out, "built-in: a valid catalog, in force;") {
		t.Errorf("which one was checked: %s", out)
	}
	if out := command(t, nil, "catalog", "check", less, "--dev", "--data-dir", s.dir).stdout; !strings.Contains(out, less+": a valid catalog, not in force;") {
		t.Errorf("which one was checked: %s", out)
	}
	o := command(t, nil, "catalog", "check", less, "--dev", "--data-dir", s.dir)
	inUse, past, found := strings.Cut(o.stdout, "\n\nOf the past, as Stripe showed them then:\n")
	if o.code != 1 || !found || !strings.HasPrefix(inUse, "In use:\n") || !strings.Contains(inUse, "tier premium") ||
		!strings.Contains(inUse, "UNMAPPED") || strings.Contains(inUse, "price_4") {
		t.Errorf("as a table: %+v", o)
	}
	if !strings.Contains(past, "price_4 ") || !strings.Contains(past, "unmapped") || !strings.Contains(past, " in use, 1 of them without a place in it; 2 of the past\n") {
		t.Errorf("of the past: %s", past)
	}
	s.stop()
	wantRebuildEqual(t, s.dir)
}

func wantPrices(t *testing.T, got, want map[string]checkedPrice) {
	t.Helper()
	for key, p := range want {
		if got[key] != p {
			t.Errorf("%s: %+v, want %+v", key, got[key], p)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d prices, want %d: %+v", len(got), len(want), got)
	}
}

// TestCatalogCheckListsEveryFault checks files for which there is no history.
func TestCatalogCheckListsEveryFault(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(dataDir(t), "none")
	bad := writeCatalog(t, "free_tier: nosuch\ntiers:\n- {id: a, name: A, prices: [p], colour: red}\n- {id: a, name: B, prices: [p]}\n")
	o := command(t, nil, "catalog", "check", bad, "--dev", "--data-dir", dir, "-o", "json")
	var said struct{ Faults []string }
	if err := json.Unmarshal([]byte(o.stdout), &said); err != nil || o.code != 1 || len(said.Faults) < 3 {
		t.Errorf("%v %+v", err, o)
	}
	checkCatalog(t, dir, 0)
	if o := command(t, nil, "catalog", "check", filepath.Join(dir, "nosuch.yaml"), "--dev", "--data-dir", dir); o.code != 1 || o.stderr == "" {
		t.Errorf("no such file: %+v", o)
	}
	if o := command(t, nil, "catalog", "check", bad, bad); o.code != 2 {
		t.Errorf("two files: %+v", o)
	}
}
