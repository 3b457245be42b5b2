package client_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/api/client"
	"github.com/daybookhq/daybook/projections/published"
	"github.com/daybookhq/daybook/projections/redis/redistest"
)

var (
	signingKey = []byte("a key of thirty-two bytes or more")
	otherKey   = []byte("another key that is long enough..")
)

// publish puts the entitlement of an account into Redis, as the publisher does.
func (d *daybook) publish(t testing.TB, server *redistest.Server, account string, at time.Time, keys published.Keys) {
	t.Helper()
	e, err := d.answers.Entitlement(t.Context(), account, d.now())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := aggregate.EncodeEntitlement(e)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := published.Seal(account, doc, published.Order{Founded: at, Position: 7, At: at}, time.Minute, keys)
	if err != nil {
		t.Fatal(err)
	}
	server.Do("SET", sealed.Key, sealed.Value)
}

func newGetter(t testing.TB, server *redistest.Server) client.Getter {
	t.Helper()
	options, err := redis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	options.ContextTimeoutEnabled = true
	c := redis.NewClient(options)
	t.Cleanup(func() { _ = c.Close() })
	return goRedis{c}
}

// TestRedisIsReadFirst: what stands there allows without the API.
func TestRedisIsReadFirst(t *testing.T) {
	d, server := newDaybook(t), redistest.Start(t)
	d.publish(t, server, "acme", time.Now(), published.Keys{otherKey})
	came := d.asked.Load()
	c := newClient(t, d.url, readKey, client.FailClosed, client.Redis(newGetter(t, server), signingKey, otherKey))
	e, err := c.Entitlement(t.Context(), "acme")
	if err != nil || e.Tier != "basic" || e.Account != "acme" {
		t.Errorf("%+v, %v", e, err)
	}
	feature, err := c.Feature(t.Context(), "acme", "custom_nym")
	if err != nil || !feature.Allowed || feature.CurrentTier != "basic" || feature.Reason != aggregate.ReasonWaiver || feature.Unknown != nil {
		t.Errorf("%+v, %v", feature, err)
	}
	check, err := c.Check(t.Context(), "acme", []string{"custom_nym", "discord_bot"}, map[string]client.Limit{"members": 500})
	if err != nil || !check.Allowed || len(check.Features) != 2 || len(check.Limits) != 1 || check.Limits[0].Maximum != 500 {
		t.Errorf("%+v, %v", check, err)
	}
	if n := d.asked.Load() - came; n != 0 {
		t.Errorf("the API was asked %d times", n)
	}
}

// TestADenialIsAskedAbout: the API tells what would give the feature, and knows
// which there are; if it cannot be reached, what Redis has stands.
func TestADenialIsAskedAbout(t *testing.T) {
	d, server := newDaybook(t), redistest.Start(t)
	for _, account := range []string{"acme", "mallory"} {
		d.publish(t, server, account, time.Now(), published.Keys{signingKey})
	}
	redis := client.Redis(newGetter(t, server), signingKey)
	with, without := newClient(t, d.url, readKey, client.FailOpen, redis), newClient(t, nobody(t), readKey, client.FailOpen, redis)
	if feature, err := with.Feature(t.Context(), "acme", "white_label"); err != nil || feature.Allowed || feature.RequiredTier != "enterprise" || feature.UpgradeURL == "" {
		t.Errorf("%+v, %v", feature, err)
	}
	if _, err := with.Feature(t.Context(), "acme", "custom_gnome"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a misspelt feature: %v", err)
	}
	if feature, err := without.Feature(t.Context(), "acme", "white_label"); err != nil || feature.Allowed || feature.Unknown != nil || feature.CurrentTier != "basic" {
		t.Errorf("%+v, %v", feature, err)
	}
	for limit, want := range map[client.Limit]bool{500: true, 501: false, client.Unlimited: false} {
		for name, c := range map[string]*client.Client{"with": with, "without": without} {
			check, err := c.Check(t.Context(), "acme", nil, map[string]client.Limit{"members": limit})
			if err != nil || check.Allowed != want || check.Unknown != nil || check.Limits[0].Maximum != 500 {
				t.Errorf("%d members, %s the API: %+v, %v", limit, name, check, err)
			}
		}
	}
	// Not even none: a limit of 0 does not let a blocked account through.
	for name, c := range map[string]*client.Client{"with": with, "without": without} {
		check, err := c.Check(t.Context(), "mallory", nil, map[string]client.Limit{"members": 0})
		if err != nil || check.Allowed || check.Reason != aggregate.ReasonBlocked {
			t.Errorf("%s the API: %+v, %v", name, check, err)
		}
	}
}

// TestEntriesThatDoNotCount: the API is asked instead, and if it is not there
// nothing is known, and the reason is told.
func TestEntriesThatDoNotCount(t *testing.T) {
	d, server := newDaybook(t), redistest.Start(t)
	put := func(change func(string) string) {
		d.publish(t, server, "acme", time.Now(), published.Keys{signingKey})
		server.Do("SET", published.Key("acme"), change(server.Do("GET", published.Key("acme")).(string)))
	}
	signed := client.Redis(newGetter(t, server), signingKey)
	for name, c := range map[string]struct {
		prepare func()
		option  client.Option
		want    error
	}{
		"missing": {func() { server.Do("DEL", published.Key("acme")) }, signed, redis.Nil},
		"lapsed":  {func() { d.publish(t, server, "acme", time.Now().Add(-2*time.Minute), published.Keys{signingKey}) }, signed, published.ErrLapsed},
		"forged": {func() {
			put(func(entry string) string { return strings.Replace(entry, `"tier":"basic"`, `"tier":"elite"`, 1) })
		}, signed, published.ErrForged},
		"signed by another": {func() { d.publish(t, server, "acme", time.Now(), published.Keys{otherKey}) }, signed, published.ErrForged},
		"unsigned":          {func() { d.publish(t, server, "acme", time.Now(), nil) }, signed, published.ErrForged},
		"another's": {func() {
			d.publish(t, server, "someone", time.Now(), published.Keys{signingKey})
			server.Do("SET", published.Key("acme"), server.Do("GET", published.Key("someone")))
		}, signed, published.ErrForged},
		"of a newer schema": {func() {
			put(func(entry string) string { return strings.Replace(entry, `"schema":1`, `"schema":2`, 1) })
		}, client.RedisUnsigned(newGetter(t, server)), published.ErrNewerSchema},
		"foreign": {func() { server.Do("SET", published.Key("acme"), "hello") }, client.RedisUnsigned(newGetter(t, server)), published.ErrForeign},
		"empty":   {func() { server.Do("SET", published.Key("acme"), "") }, client.RedisUnsigned(newGetter(t, server)), nil},
		"no string": {func() {
			server.Do("DEL", published.Key("acme"))
			server.Do("LPUSH", published.Key("acme"), "x")
		}, signed, nil},
	} {
		t.Run(name, func(t *testing.T) {
			server.Do("DEL", published.Key("acme"))
			c.prepare()
			came := d.asked.Load()
			feature, err := newClient(t, d.url, readKey, client.FailClosed, c.option).Feature(t.Context(), "acme", "custom_nym")
			if err != nil || !feature.Allowed || feature.Unknown != nil || d.asked.Load() == came {
				t.Errorf("with the API: %+v, %v", feature, err)
			}
			alone := newClient(t, nobody(t), readKey, client.FailClosed, c.option)
			feature, err = alone.Feature(t.Context(), "acme", "custom_nym")
			if err != nil || feature.Allowed || !errors.Is(feature.Unknown, client.ErrUnknown) || !errors.Is(feature.Unknown, client.ErrUnavailable) ||
				c.want != nil && !errors.Is(feature.Unknown, c.want) || !strings.Contains(feature.Unknown.Error(), "in Redis: ") {
				t.Errorf("without: %+v, %v", feature, err)
			}
		})
	}
}

// TestUnsignedEntriesCountWhereThatIsDeclared, and nowhere else.
func TestUnsignedEntriesCountWhereThatIsDeclared(t *testing.T) {
	d, server := newDaybook(t), redistest.Start(t)
	d.publish(t, server, "acme", time.Now(), nil)
	c := newClient(t, nobody(t), readKey, client.FailClosed, client.RedisUnsigned(newGetter(t, server)))
	if feature, err := c.Feature(t.Context(), "acme", "custom_nym"); err != nil || !feature.Allowed {
		t.Errorf("%+v, %v", feature, err)
	}
}

// TestARedisThatDoesNotAnswer is not waited for.
func TestARedisThatDoesNotAnswer(t *testing.T) {
	d, server := newDaybook(t), redistest.Start(t)
	c := newClient(t, d.url, readKey, client.FailClosed, client.Redis(newGetter(t, server), signingKey))
	server.Pause()
	feature, err := c.Feature(t.Context(), "acme", "custom_nym")
	server.Resume()
	if err != nil || !feature.Allowed {
		t.Errorf("it hangs: %+v, %v", feature, err)
	}
	server.Kill()
	if feature, err := c.Feature(t.Context(), "acme", "custom_nym"); err != nil || !feature.Allowed {
		t.Errorf("it is gone: %+v, %v", feature, err)
	}
}
