package api

import (
	"context"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

// Limits are what one client, and all together, may ask for.
type Limits struct {
	// PerKey and PerAddress bound the requests with one API key, and those of one
	// client address, webhooks aside; beyond, 429.
	PerKey, PerAddress Rate
	// Webhooks bounds the deliveries of one client address; beyond, 503, after
	// which Stripe sends them again.
	Webhooks Rate
	// Proxies are believed when they say for whom they ask.
	Proxies Proxies
}

// The bounds that are not settings.
const (
	// refusalsPerSecond is how many refusals one address gets in a second, for bad
	// signatures and bad keys. Whoever asks for more waits for each, up to
	// refusalWait: a flood has to wait for itself. What is valid never waits, even
	// from the same address, for it may be that of a proxy.
	refusalsPerSecond = 1000
	refusalWait       = time.Second
	// shunFrom is how long a line of refusals has to be for its address to get no
	// new connections. It is shorter than anybody may wait, so that those let in
	// before count in full.
	shunFrom = refusalWait / 2
	// requestsAtOnce and webhooksAtOnce bound what is being answered, and
	// recorded; beyond, 503.
	requestsAtOnce = 512
	// stripeAtOnce bounds those that wait for Stripe, or for access. They have room
	// of their own: while Stripe is slow, everything else is answered.
	stripeAtOnce   = maxWaits + 64
	webhooksAtOnce = 2048
	// Of each webhook's body smallBody bytes are read whatever comes; the rest of
	// all of them together takes at most largeBodies bytes of memory.
	smallBody   = 64 << 10
	largeBodies = 64 << 20
)

// limits keep clients from taking more than their share.
type limits struct {
	proxies Proxies

	keys      *buckets[string]
	addresses *buckets[netip.Prefix]
	webhooks  *buckets[netip.Prefix]
	refusals  *buckets[netip.Prefix]

	requestsNow, stripeNow, webhooksNow gate
	bodies                              atomic.Int64 // bytes beyond smallBody that are held

	counts limitCounters
}

// limitCounters count what was turned away, by the limit.
type limitCounters struct {
	key, address, webhooks, refusals, requestsAtOnce, webhooksAtOnce, bodies atomic.Uint64
}

func newLimits(l Limits) *limits {
	return &limits{
		proxies:   l.Proxies,
		keys:      newBuckets[string]("key", l.PerKey),
		addresses: newBuckets[netip.Prefix]("address", l.PerAddress),
		webhooks:  newBuckets[netip.Prefix]("webhooks", l.Webhooks),
		refusals:  newBuckets[netip.Prefix]("refusals", Rate{refusalsPerSecond, refusalsPerSecond}),

		requestsNow: gate{most: requestsAtOnce}, stripeNow: gate{most: stripeAtOnce}, webhooksNow: gate{most: webhooksAtOnce},
	}
}

// gateOf is where the requests of a route come in.
func (l *limits) gateOf(rt route) *gate {
	if rt.asksStripe() {
		return &l.stripeNow
	}
	return &l.requestsNow
}

// gate bounds what goes on at once. Nobody waits at it.
type gate struct {
	most int64
	in   atomic.Int64
}

// enter reports whether there is room; whoever gets it must leave.
func (g *gate) enter() bool {
	if g.in.Add(1) > g.most {
		g.in.Add(-1)
		return false
	}
	return true
}

func (g *gate) leave() { g.in.Add(-1) }

// tooMany asks a client to come again when there will be a token.
func tooMany(detail string, wait time.Duration) *Problem {
	p := problem(http.StatusTooManyRequests, detail)
	p.retryAfter = retryAfter(wait)
	return p
}

// The answers to those for whom there is no room.
var (
	errBusy     = unavailable("The server has more requests than it can answer; come again.")
	errShed     = unavailable("The server has more webhooks than it can record; send it again.")
	errShedRate = "More webhooks come from this address than are taken; send it again."
)

// admitAddress counts a request against its address.
func (l *limits) admitAddress(client netip.Prefix, now time.Time) error {
	if wait, ok := l.addresses.take(client, now); !ok {
		l.counts.address.Add(1)
		return tooMany("This address sends more requests than are answered.", wait)
	}
	return nil
}

// admitKey counts a request against its key.
func (l *limits) admitKey(key *Key, now time.Time) error {
	if wait, ok := l.keys.take(key.Name, now); !ok {
		l.counts.key.Add(1)
		return tooMany("More requests come with this key than are answered.", wait)
	}
	return nil
}

// admitWebhook counts a delivery against its address.
func (l *limits) admitWebhook(client netip.Prefix, now time.Time) error {
	if wait, ok := l.webhooks.take(client, now); !ok {
		l.counts.webhooks.Add(1)
		p := problem(http.StatusServiceUnavailable, errShedRate)
		p.retryAfter = retryAfter(wait)
		return p
	}
	return nil
}

// shuns reports an address that has a long line of refusals waiting, and comes
// again: it does not wait for answers, or has a great many connections. While that
// lasts it gets no new ones. A trusted proxy is never shunned for what others did.
func (l *limits) shuns(peer netip.Addr, now time.Time) bool {
	return l.refusals.owes(networkOf(peer), now) >= shunFrom
}

// refuse lets a client wait whose requests are refused too often, and then
// returns the refusal. It returns busy instead where the line is longer than
// anybody waits.
func (l *limits) refuse(ctx context.Context, client netip.Prefix, now time.Time, refusal, busy error) error {
	wait, ok := l.refusals.reserve(client, now, refusalWait)
	if !ok {
		l.counts.refusals.Add(1)
		refusal = busy
	}
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return refusal
}
