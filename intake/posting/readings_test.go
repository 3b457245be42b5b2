package posting_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake/posting"
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
			store, b := openStore(t), newPriceBook()
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

// cluster is a record of catalogs that nodes share, each with what it knows of it.
type cluster struct {
	book  *priceBook
	store eventstore.Store
	nodes []*clusterNode
	// told and repudiated are the events that were.
	told       []string
	repudiated map[string]bool
}

// clusterNode posts, and may be interrupted by whatever happens elsewhere.
type clusterNode struct {
	eventstore.Store
	*cluster
	name    string
	history aggregate.Catalogs
	poster  *posting.Poster
	// meanwhile are what happens at the next writes, in order; nil for nothing.
	meanwhile []func() error
	mu        sync.Mutex
}

// start begins anew, at the checkpoint if this node wrote the last one.
func (n *clusterNode) start() {
	n.refresh()
	n.poster = newPoster(n)
	n.poster.Epoch = n.name
	n.poster.Catalogs = func() aggregate.Catalogs { return n.history }
	n.poster.MapPrices = func(ctx context.Context, mappings []aggregate.PriceMapping) error {
		return n.write(func() error { return n.book.record(ctx, mappings) })
	}
	n.poster.WithdrawPrices = func(ctx context.Context, withdrawals []aggregate.MappingWithdrawal, instead []aggregate.PriceMapping) error {
		return n.write(func() error { return n.book.withdraw(ctx, withdrawals, instead) })
	}
}

func (n *clusterNode) refresh() { n.history = n.book.history }

func (n *clusterNode) write(do func() error) error {
	if err := n.interrupt(); err != nil {
		return err
	}
	err := do()
	n.refresh()
	return err
}

func (n *clusterNode) interrupt() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.meanwhile) == 0 {
		return nil
	}
	happen := n.meanwhile[0]
	n.meanwhile = n.meanwhile[1:]
	if happen == nil {
		return nil
	}
	return happen()
}

func (n *clusterNode) Append(ctx context.Context, stream eventstore.Stream, expected eventstore.ExpectedRevision, events ...eventstore.ProposedEvent) (eventstore.AppendResult, error) {
	if stream.Category() == "subscription" {
		if err := n.interrupt(); err != nil {
			return eventstore.AppendResult{}, err
		}
	}
	return n.Store.Append(ctx, stream, expected, events...)
}

// TestNodesAgreeOnPricesWhateverTheyPostWhen: several nodes post the same journal,
// each knowing of the others' mappings sooner or later; they are interrupted by
// each other, by deliveries and by repudiations, they crash and begin anew. Prices
// map as if only what is posted at last had ever come.
func TestNodesAgreeOnPricesWhateverTheyPostWhen(t *testing.T) {
	fewer(t, 40)
	rapid.Check(t, func(r *rapid.T) {
		c := &cluster{book: newPriceBook(), store: openStore(t), repudiated: map[string]bool{}}
		c.book.adoptIn(t, c.store)
		for _, name := range []string{"one", "two"} {
			n := &clusterNode{Store: c.store, cluster: c, name: name}
			n.start()
			c.nodes = append(c.nodes, n)
		}
		deliveries, signed := drawDeliveries(r)
		for _, d := range rapid.Permutation(deliveries).Draw(r, "order") {
			record(t, c.store, d)
			c.told = append(c.told, d.id)
			c.drawSteps(t, r)
		}
		for _, n := range c.nodes {
			n.meanwhile = nil
			n.refresh()
			postUpTo(t, n.poster, c.head(t))
		}

		clean, other := openStore(t), newPriceBook()
		other.adoptIn(t, clean)
		kept := slices.DeleteFunc(signed, func(d delivery) bool { return c.repudiated[d.id] })
		if len(kept) > 0 {
			postUpTo(t, other.poster(clean), record(t, clean, kept...))
		}
		got, want := c.book.concluded(t, c.store, "price_x", "price_y"), other.concluded(t, clean, "price_x", "price_y")
		if !slices.Equal(got, want) {
			r.Fatalf("concluded\n%q\nwant\n%q", got, want)
		}
	})
}

// drawDeliveries draws events, some of them imported as well as they were signed;
// and what is posted of all at last.
func drawDeliveries(r *rapid.T) (all, posted []delivery) {
	draw := func(id, what string) delivery {
		return itemed(id, rapid.SampledFrom([]string{"sub_1", "sub_2", "sub_3"}).Draw(r, what+" subscription"),
			rapid.SampledFrom([]string{"price_x", "price_y"}).Draw(r, what+" price"),
			rapid.SampledFrom([]string{"", "basic", "premium", "elite", "of_nobody"}).Draw(r, what+" key"),
			rapid.SampledFrom([]string{"prod_1", "prod_1", "prod_premium"}).Draw(r, what+" product"),
			now.Add(time.Duration(rapid.IntRange(0, 3).Draw(r, what+" hour"))*time.Hour))
	}
	for i := range rapid.IntRange(1, 5).Draw(r, "events") {
		id := fmt.Sprintf("evt_%d", i)
		last := draw(id, "signed")
		switch rapid.IntRange(0, 3).Draw(r, "delivered") {
		case 0:
			last = unsigned(last)
		case 1:
		default:
			all = append(all, unsigned(draw(id, "imported")))
		}
		all, posted = append(all, last), append(posted, last)
	}
	return all, posted
}

func (c *cluster) head(t *testing.T) eventstore.Position {
	t.Helper()
	head, err := c.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// drawSteps has things happen once an event is recorded.
func (c *cluster) drawSteps(t *testing.T, r *rapid.T) {
	t.Helper()
	for range rapid.IntRange(0, 3).Draw(r, "steps") {
		i := rapid.IntRange(0, 1).Draw(r, "node")
		n, other := c.nodes[i], c.nodes[1-i]
		meanwhile := func(happen func()) {
			n.meanwhile = append(make([]func() error, rapid.IntRange(0, 2).Draw(r, "writes before")), func() error {
				other.meanwhile = nil
				happen()
				return nil
			})
		}
		switch rapid.IntRange(0, 9).Draw(r, "step") {
		case 0:
			n.refresh()
		case 1:
			n.start()
		case 2:
			n.crash(t, rapid.IntRange(1, 4).Draw(r, "crash at write"))
		case 3:
			n.repudiate(r)
		case 4:
			meanwhile(func() { postUpTo(t, other.poster, c.head(t)) })
			n.repudiate(r)
		case 5:
			meanwhile(func() { other.repudiate(r) })
			postUpTo(t, n.poster, c.head(t))
		case 6, 7:
			meanwhile(func() { postUpTo(t, other.poster, c.head(t)) })
			fallthrough
		default:
			postUpTo(t, n.poster, c.head(t))
		}
		n.meanwhile = nil
	}
}

// repudiate repudiates one of the events that were recorded.
func (n *clusterNode) repudiate(r *rapid.T) {
	id := rapid.SampledFrom(n.told).Draw(r, "repudiated")
	if _, err := n.poster.Repudiate(r.Context(), posting.RepudiationPlan{StripeEventID: id, Actor: "ann", Reason: forged}); err != nil {
		r.Fatal(err)
	}
	n.repudiated[id] = true
}

// crash posts until a write, at which the node dies: before it is made.
func (n *clusterNode) crash(t *testing.T, at int) {
	t.Helper()
	ctx, die := context.WithCancel(t.Context())
	defer die()
	n.meanwhile = append(make([]func() error, at-1), func() error {
		die()
		return context.Canceled
	})
	ended := make(chan error, 1)
	go func() { ended <- n.poster.Run(ctx) }()
	if err := n.poster.WaitFor(ctx, n.head(t)); err == nil {
		die() // there were fewer writes
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	n.start()
}
