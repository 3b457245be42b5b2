package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/reconcile"
	"github.com/daybookhq/daybook/intake/stripeapi"
	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/redis"
)

// askedPatience bounds how long Stripe may take to answer in all: there are
// permissions to ask for one by one, at the pace that Stripe allows.
const askedPatience = 30 * time.Second

func publishes(p *patient) (bool, string) { return p.usable && p.cfg.RedisURL != "", "" }

func asksStripe(p *patient) (bool, string) { return p.usable && p.cfg.StripeKey != "", "" }

func reachesStripe(p *patient) (bool, string) {
	return p.usable && p.cfg.StripeKey != "", unless(p.stripe != nil, "Stripe could not be asked")
}

// hearsClocks: what comes before it has heard those of Redis and Stripe.
func hearsClocks(p *patient) (bool, string) {
	p.hearEvents(p.cmd.Context())
	return p.usable && (len(p.skews) > 0 || p.cfg.RedisURL != "" || p.cfg.StripeKey != ""), unless(len(p.skews) > 0, "no other clock was heard")
}

// lookAtRedis asks the Redis that entitlements are published to what it is like.
func lookAtRedis(ctx context.Context, p *patient) []finding {
	e, err := redis.Examine(ctx, p.cfg.RedisURL, redis.Options{Keys: p.cfg.EntitlementKeys,
		ConnectTimeout: p.cfg.RedisConnectTimeout, CommandTimeout: p.cfg.RedisCommandTimeout, Now: systemClock})
	switch {
	case errors.Is(err, projections.ErrOutletDenied):
		return found(fault, "set user and password of REDIS_URL right, and give the user the rights that docs/REDIS.md lists", "%v", err)
	case err != nil:
		return found(fault, "see that it is up, and that REDIS_URL names it; meanwhile what was published lapses", "%v", err)
	}
	p.skews = append(p.skews, skew{"Redis", e.Skew})
	var all []finding
	for _, s := range e.Servers {
		all = append(all, p.lookAtRedisServer(s)...)
	}
	if e.Foreign > 0 {
		all = append(all, finding{Grade: note, Do: "give daybook a database, better a server, of its own",
			Found: fmt.Sprintf("%d keys there are not daybook's, as %q: whoever flushes them flushes the entitlements", e.Foreign, e.Example)})
	}
	h, now := e.Heartbeat, systemClock()
	if p.founded && h.Epoch != "" && h.Epoch != p.about.Epoch && now.Sub(h.At) < redis.Silence {
		all = append(all, finding{Grade: fault, Do: "stop the servers of the other store, or name another database",
			Found: "another store is published there, epoch " + h.Epoch + ": two never share one"})
	}
	if len(all) > 0 {
		return all
	}
	return found(fine, "", "%s, %d keys of daybook's", describeServers(e.Servers), e.Ours)
}

func describeServers(servers []redis.ServerFacts) string {
	text := "version " + servers[0].Version + ", " + servers[0].Eviction
	if n := len(servers); n > 1 {
		return fmt.Sprintf("%d servers, the first of %s", n, text)
	}
	return text
}

// lookAtRedisServer compares a server with what docs/REDIS.md asks for.
func (p *patient) lookAtRedisServer(s redis.ServerFacts) (all []finding) {
	add := func(g grade, do, format string, args ...any) { all = append(all, found(g, do, format, args...)...) }
	if s.Before(6, 2) {
		add(fault, "install Redis 6.2 or later", "its version is %s", orDash(s.Version))
	}
	if s.Replica {
		add(fault, "name the master in REDIS_URL, or sentinels that know it", "it is a read-only replica")
	}
	switch {
	case s.Eviction != "noeviction" && s.Limit > 0:
		add(p.grave(), "CONFIG SET maxmemory-policy noeviction", "its eviction policy is %s: entitlements are lost before they lapse", orDash(s.Eviction))
	case s.Eviction != "noeviction":
		add(note, "CONFIG SET maxmemory-policy noeviction, before a limit is set", "its eviction policy is %s, without effect for want of a limit of memory", orDash(s.Eviction))
	case s.Limit > 0 && s.Used > s.Limit/10*9:
		add(note, "raise maxmemory before nothing more can be published", "%d of its %d MiB are used", s.Used>>20, s.Limit>>20)
	}
	if s.SaveFailed {
		add(fault, "make room on its disk, or have it keep nothing there (CONFIG SET save \"\"): daybook needs none of it",
			"it cannot save to its disk, and may refuse to be written to")
	}
	return all
}

// lookAtStripeKey asks for one object of each kind that is read.
func lookAtStripeKey(ctx context.Context, p *patient) []finding {
	ctx, cancel := context.WithTimeout(ctx, askedPatience)
	defer cancel()
	client := stripeapi.New(stripeapi.Config{Key: p.cfg.StripeKey, Base: p.cfg.StripeBase, Livemode: p.cfg.Livemode, Timeout: doctorPatience})
	asked := append([]stripeapi.Resource{}, reconcile.Needed...)
	theirs, err := client.Check(ctx, append(asked, stripeapi.Products, stripeapi.Prices, stripeapi.Endpoints)...)
	var all []finding
	for _, e := range faultsOf(err) {
		do := "set STRIPE_API_KEY right: Stripe's dashboard lists the keys"
		switch e.Kind {
		case stripeapi.Forbidden:
			do = "add the permission to the restricted key in Stripe's dashboard"
		case stripeapi.Unavailable, stripeapi.RateLimited, stripeapi.Unreadable:
			do = "see that Stripe, or STRIPE_API_BASE, can be reached, and run daybook doctor again"
		}
		all = append(all, finding{Grade: fault, Found: e.Error(), Do: do})
	}
	if !theirs.IsZero() {
		p.stripe = client
		// Stripe tells whole seconds, cut off: half of one is to be expected.
		p.skews = append(p.skews, skew{"Stripe", systemClock().Sub(theirs.Add(time.Second / 2))})
	}
	if strings.HasPrefix(p.cfg.StripeKey, "sk_") {
		all = append(all, finding{Grade: note, Found: "it is a secret key, which may do everything",
			Do: "make a restricted one that may only read, see the README"})
	}
	if len(all) > 0 {
		return all
	}
	return found(fine, "", "a restricted key of %s mode, which may read all that is needed", modeName(p.cfg.Livemode))
}

// faultsOf takes what stripeapi.Client.Check found apart.
func faultsOf(err error) (all []*stripeapi.Error) {
	if several, is := err.(interface{ Unwrap() []error }); is {
		for _, each := range several.Unwrap() {
			all = append(all, faultsOf(each)...)
		}
		return all
	}
	var e *stripeapi.Error
	if errors.As(err, &e) {
		all = append(all, e)
	}
	return all
}

// lookAtEndpoint is daybook endpoint check.
func lookAtEndpoint(ctx context.Context, p *patient) []finding {
	ctx, cancel := context.WithTimeout(ctx, askedPatience)
	defer cancel()
	checked, others, err := checkEndpoints(ctx, p.stripe, p.cfg, "")
	switch {
	case stripeapi.IsKind(err, stripeapi.Forbidden):
		return found(note, "", "not looked at: the key may not read webhook endpoints")
	case err != nil:
		return found(fault, "see that Stripe can be reached, and run daybook doctor again", "%v", err)
	case len(checked) == 0:
		return found(p.grave(), "make one with daybook endpoint create; if its path is another, see daybook endpoint check URL",
			"none of the %d endpoints at Stripe is daybook's: no event is sent", others)
	}
	var all []finding
	for _, e := range checked {
		for _, f := range e.Faults {
			all = append(all, finding{Grade: fault, Found: e.URL + ": " + f, Do: "change the endpoint " + e.ID + " in Stripe's dashboard"})
		}
	}
	if len(all) > 0 {
		return all
	}
	return found(fine, "", "%s is sent all that is used", checked[0].URL)
}

// skew is how far our clock is ahead of another one.
type skew struct {
	of    string
	ahead time.Duration
}

// The skews at which something is said. Redis refuses beyond one that is the
// lesser of the two faults; the other is that signatures are refused.
const (
	oddSkew   = 3 * time.Second
	wrongSkew = projections.MaxSkew
)

// lookAtClock compares our clock with every other that was heard.
func lookAtClock(_ context.Context, p *patient) []finding {
	var all []finding
	var heard []string
	for _, s := range p.skews {
		heard = append(heard, s.of)
		g := note
		switch {
		case s.ahead.Abs() < oddSkew:
			continue
		case s.ahead.Abs() >= wrongSkew:
			g = fault
		}
		direction := "ahead of"
		if s.ahead < 0 {
			direction = "behind"
		}
		all = append(all, found(g, "keep the clock with NTP (timedatectl set-ntp true)", "this machine's clock is %s %s that of %s; %s apart, webhooks are refused, and beyond %s nothing is published",
			s.ahead.Abs().Round(time.Second), direction, s.of, intake.Tolerance, projections.MaxSkew)...)
	}
	if len(all) > 0 {
		return all
	}
	return found(fine, "", "this machine's clock agrees with that of %s", strings.Join(heard, " and "))
}

// newestEvents are those of which the times are compared with when they came.
const newestEvents = 50

// hearEvents learns from the newest events how far our clock was behind Stripe's
// at least: none comes before it was created. In test mode clocks may be moved.
func (p *patient) hearEvents(ctx context.Context) {
	if !p.founded || !p.cfg.Livemode {
		return
	}
	var behind time.Duration
	filter := eventstore.Filter{Prefixes: []string{intake.JournalCategory + "-"}}
	for e, err := range p.store.ReadAll(ctx, eventstore.End, eventstore.Backwards, filter, newestEvents) {
		if err != nil {
			return // the store's own check tells of it
		}
		if r, err := intake.DecodeReceipt(e.Metadata); err == nil && r.Source == intake.SourceWebhook {
			behind = max(behind, r.EventCreated.Sub(r.ReceivedAt))
		}
	}
	if behind >= oddSkew {
		p.skews = append(p.skews, skew{"the events that came", -behind})
	}
}
