package posting_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
)

// itemed is a subscription event, with what decides where its price maps.
func itemed(id, sub, price, key, product string, when time.Time) delivery {
	d := keyed(id, price, key, when)
	d.object["id"] = sub
	d.object["items"].(map[string]any)["data"].([]any)[0].(map[string]any)["price"].(map[string]any)["product"] = product
	return d
}

func ofAccount(d delivery, account string) delivery {
	d.account = account
	return d
}

func unsigned(d delivery) delivery {
	d.unsigned = true
	return d
}

// importCase is an event that was imported before, or after, Stripe signed another
// content, and other events that show its price.
type importCase struct {
	imported, signed delivery
	others           []delivery
}

// importCases has a case for each way in which the two may differ, and in which
// others may have been seen. Each is of a price and of subscriptions of its own.
func importCases() []importCase {
	const none = ""
	var cases []importCase
	for _, imported := range []string{"elite", none} {
		for others := range 3 {
			for differs := range 11 {
				n := len(cases)
				when := now.Add(time.Hour)
				show := func(event, sub int, price, key, product string, when time.Time) delivery {
					return itemed(fmt.Sprintf("evt_%d_%d", n, event), fmt.Sprintf("sub_%d_%d", n, sub), fmt.Sprintf("%s_%d", price, n), key, product, when)
				}
				c := importCase{imported: unsigned(show(1, 1, "price_x", imported, "prod_1", when)), signed: [...]delivery{
					show(1, 1, "price_x", "basic", "prod_1", when), // another key
					show(1, 1, "price_x", none, "prod_1", when),
					show(1, 1, "price_x", "of_nobody", "prod_1", when),
					show(1, 1, "price_y", "elite", "prod_1", when),
					show(1, 1, "price_x", "elite", "prod_premium", when), // a product of the catalog
					show(1, 1, "price_x", "elite", none, when),
					show(1, 1, "price_x", "elite", "prod_1", when.Add(3*time.Hour)),
					show(1, 2, "price_x", "basic", "prod_1", when), // another subscription
					show(1, 1, "price_x", "elite", "prod_1", when), // perhaps the same
					failedInvoice(fmt.Sprintf("evt_%d_1", n), when),
					ofAccount(show(1, 1, "price_x", "basic", "prod_1", when), "acct_other"), // none of ours
				}[differs]}
				switch others {
				case 1:
					c.others = append(c.others, show(2, 3, "price_x", "premium", "prod_1", now))
				case 2:
					c.others = append(c.others, show(2, 3, "price_x", "premium", "prod_1", when.Add(time.Hour)),
						show(3, 3, "price_x", "enterprise", "prod_1", when.Add(2*time.Hour)))
				}
				cases = append(cases, c)
			}
		}
	}
	return cases
}

// TestAnUnsignedEntryMapsNoPriceOnceASignedOneSupersedesIt in whatever order they
// come, with other events that show the price before or after, or none.
func TestAnUnsignedEntryMapsNoPriceOnceASignedOneSupersedesIt(t *testing.T) {
	cases := importCases()
	var want []string
	for order, steps := range map[string]string{
		"signed first": "sio", "unsigned first": "iso", "others between": "ios", "others first": "ois", "others first, signed": "osi",
	} {
		for _, together := range []bool{false, true} {
			store, b := sqlitetest.Open(t), newPriceBook()
			b.adoptIn(t, store)
			var prices []string
			for _, step := range steps {
				var told []delivery
				for i, c := range cases {
					told = append(told, map[rune][]delivery{'i': {c.imported}, 's': {c.signed}, 'o': c.others}[step]...)
					prices = append(prices, fmt.Sprintf("price_x_%d", i), fmt.Sprintf("price_y_%d", i))
				}
				if last := record(t, store, told...); !together {
					postUpTo(t, b.poster(store), last)
				}
			}
			postAllAgain(t, store, b)
			got := b.concluded(t, store, prices...)
			if want == nil {
				want = got
			}
			for i := range max(len(got), len(want)) {
				if i >= len(got) || i >= len(want) || got[i] != want[i] {
					t.Fatalf("%s, together %v, at %d: %q\nand in another order: %q", order, together, i, got[i:], want[i:])
				}
			}
		}
	}
}

// postAllAgain posts the whole journal, as if nobody ever had.
func postAllAgain(t *testing.T, store eventstore.Store, b *priceBook) {
	t.Helper()
	head, err := store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again := b.poster(store)
	again.Epoch = "another"
	postUpTo(t, again, head)
}

// concluded is what follows from everything: what is in force, where prices map,
// and what subscriptions are worth.
func (b *priceBook) concluded(t *testing.T, store eventstore.Store, prices ...string) []string {
	t.Helper()
	all := inForce(t, store)
	subscriptions := map[string]bool{}
	for _, fact := range all {
		if stream, _, _ := strings.Cut(fact, ":"); eventstore.Stream(stream).Category() == "subscription" {
			subscriptions[eventstore.Stream(stream).ID()] = true
		}
	}
	for _, price := range slices.Compact(slices.Sorted(slices.Values(prices))) {
		all = append(all, fmt.Sprintf("%s: %+v", price, b.standing(price)))
	}
	for _, id := range slices.Sorted(maps.Keys(subscriptions)) {
		truth := fold(t, store, id).Derive(b.history)
		all = append(all, fmt.Sprintf("%s: tier %s, %s, items %v, flags %v", id, truth.Tier, truth.Status, truth.Items, truth.Flags))
	}
	return all
}
