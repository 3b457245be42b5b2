package posting_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
	"github.com/daybookhq/daybook/intake/posting"
)

// cluster is a record of catalogs that nodes share, each with what it knows of it.
type cluster struct {
	book  *priceBook
	store eventstore.Store
	nodes []*clusterNode
	// coming are deliveries yet to come. Told and repudiated are the events that
	// were; of cutShort the repudiation is yet to be completed.
	coming         []delivery
	told, cutShort []string
	repudiated     map[string]bool
}

// newCluster has two nodes.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{book: newPriceBook(), store: sqlitetest.Open(t), repudiated: map[string]bool{}}
	c.book.adoptIn(t, c.store)
	for _, name := range []string{"one", "two"} {
		n := &clusterNode{Store: c.store, cluster: c, name: name}
		n.start()
		c.nodes = append(c.nodes, n)
	}
	return c
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

// TestANodeThatLagsRepudiatesWhatItDoesNotKnowToBeMapped: to it, what was withdrawn
// elsewhere still stands before it.
func TestANodeThatLagsRepudiatesWhatItDoesNotKnowToBeMapped(t *testing.T) {
	c := newCluster(t)
	ahead, lags := c.nodes[0], c.nodes[1]
	postUpTo(t, ahead.poster, record(t, c.store, keyed("evt_1", "price_x", "premium", now), keyed("evt_2", "price_x", "basic", now.Add(time.Hour))))
	lags.refresh()
	ahead.repudiate(t.Context(), t, "evt_1")
	if m := c.book.standing("price_x"); m.StripeEventID != "evt_2" {
		t.Fatalf("%+v stands in the place of the first", m)
	}
	lags.repudiate(t.Context(), t, "evt_2")
	if m := c.book.standing("price_x"); m.Price != "" {
		t.Errorf("%+v stands", m)
	}
}

// TestANodeThatLagsFindsWhatIsNotWithdrawnElsewhere: what it finds first to take the
// place of a mapping is withdrawn already, and in force until the facts follow.
func TestANodeThatLagsFindsWhatIsNotWithdrawnElsewhere(t *testing.T) {
	c := newCluster(t)
	posts, lags := c.nodes[0], c.nodes[1]
	postUpTo(t, posts.poster, record(t, c.store, keyed("evt_1", "price_x", "premium", now),
		unsigned(keyed("evt_2", "price_x", "elite", now.Add(time.Hour))), keyed("evt_3", "price_x", "basic", now.Add(2*time.Hour))))
	lags.refresh()
	posts.meanwhile = []func() error{nil, func() error {
		lags.repudiate(t.Context(), t, "evt_1")
		return nil
	}}
	postUpTo(t, posts.poster, record(t, c.store, keyed("evt_2", "price_x", "", now.Add(time.Hour))))
	if m := c.book.standing("price_x"); m.StripeEventID != "evt_3" {
		t.Errorf("%+v stands", m)
	}
}

// TestNodesAgreeOnPricesWhateverTheyPostWhen: several nodes post the same journal,
// each knowing of the others' mappings sooner or later; they are interrupted by
// each other, by deliveries and by repudiations, they crash and begin anew. Prices
// map as if only what is posted at last had ever come.
func TestNodesAgreeOnPricesWhateverTheyPostWhen(t *testing.T) {
	fewer(t, 30)
	rapid.Check(t, func(r *rapid.T) {
		c := newCluster(t)
		deliveries, signed := drawDeliveries(r)
		c.coming = rapid.Permutation(deliveries).Draw(r, "order")
		for len(c.coming) > 0 {
			c.takeNext(t)
			c.drawSteps(t, r)
		}
		for _, id := range c.cutShort {
			rapid.SampledFrom(c.nodes).Draw(r, "who completes").repudiate(t.Context(), t, id)
		}
		for _, n := range c.nodes {
			n.meanwhile = nil
			n.refresh()
			postUpTo(t, n.poster, c.head(t))
		}

		clean, other := sqlitetest.Open(t), newPriceBook()
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

// takeNext records the next delivery.
func (c *cluster) takeNext(t *testing.T) {
	t.Helper()
	record(t, c.store, c.coming[0])
	c.told, c.coming = append(c.told, c.coming[0].id), c.coming[1:]
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
		otherPosts := func() {
			if len(c.coming) > 0 && rapid.Bool().Draw(r, "one more comes") {
				c.takeNext(t)
			}
			postUpTo(t, other.poster, c.head(t))
		}
		meanwhile := func(happen func()) {
			n.meanwhile = append(make([]func() error, rapid.IntRange(0, 2).Draw(r, "writes before")), func() error {
				other.meanwhile = nil
				happen()
				return nil
			})
		}
		switch rapid.IntRange(0, 10).Draw(r, "step") {
		case 0:
			n.refresh()
		case 1:
			n.start()
		case 2:
			n.crash(t, rapid.IntRange(1, 4).Draw(r, "crash at write"))
		case 3:
			n.drawRepudiation(r)
		case 4:
			meanwhile(otherPosts)
			n.drawRepudiation(r)
		case 5:
			meanwhile(func() { other.drawRepudiation(r) })
			postUpTo(t, n.poster, c.head(t))
		case 6:
			n.drawCutShort(r)
		case 7, 8:
			meanwhile(otherPosts)
			fallthrough
		default:
			postUpTo(t, n.poster, c.head(t))
		}
		n.meanwhile = nil
	}
}

// drawRepudiation repudiates one of the events that were recorded.
func (n *clusterNode) drawRepudiation(r *rapid.T) {
	id := rapid.SampledFrom(n.told).Draw(r, "repudiated")
	n.repudiate(r.Context(), r, id)
	n.repudiated[id] = true
}

// drawCutShort begins to repudiate, and dies at a write: before it is made.
func (n *clusterNode) drawCutShort(r *rapid.T) {
	id := rapid.SampledFrom(n.told).Draw(r, "repudiated")
	ctx, die := context.WithCancel(r.Context())
	defer die()
	n.dieAt(die, rapid.IntRange(1, 4).Draw(r, "crash at write"))
	if _, err := n.poster.Repudiate(ctx, repudiationOf(id)); err != nil {
		n.cutShort = append(n.cutShort, id)
	}
	n.repudiated[id] = true
	n.start()
}

func repudiationOf(id string) posting.RepudiationPlan {
	return posting.RepudiationPlan{StripeEventID: id, Actor: "ann", Reason: forged}
}

func (n *clusterNode) repudiate(ctx context.Context, t rapid.TB, id string) {
	t.Helper()
	if _, err := n.poster.Repudiate(ctx, repudiationOf(id)); err != nil {
		t.Fatal(err)
	}
}

// crash posts until a write, at which the node dies: before it is made.
func (n *clusterNode) crash(t *testing.T, at int) {
	t.Helper()
	ctx, die := context.WithCancel(t.Context())
	defer die()
	n.dieAt(die, at)
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

// dieAt has the node die at a write.
func (n *clusterNode) dieAt(die func(), at int) {
	n.meanwhile = append(make([]func() error, at-1), func() error {
		die()
		return context.Canceled
	})
}
