package redis_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/redis"
)

// subscribed is the entitlement of an account that pays for a tier of the
// built-in catalog, with names as long as ours and Stripe's are.
func subscribed(t testing.TB, i int, tier string) projections.Publication {
	t.Helper()
	now := time.Now()
	account := fmt.Sprintf("workspace-%026d", i)
	sub := aggregate.SubscriptionTruth{ID: fmt.Sprintf("sub_%024d", i), Customer: fmt.Sprintf("cus_%014d", i), Status: aggregate.Active, Tier: tier,
		Items: []aggregate.Item{{Price: fmt.Sprintf("price_%024d", i), Quantity: 1}}, CurrentPeriodEnd: now.Add(720 * time.Hour).Truncate(time.Second).UTC(),
		Position: 123456789}
	e, _ := aggregate.Entitle(account, aggregate.Holding{Subscriptions: []aggregate.SubscriptionTruth{sub}}, projections.OrBuiltin(aggregate.Catalogs{}), now)
	e.Epoch, e.Livemode = "0b0c7c5e-6a1f-4d4e-9d0a-3f8a1f1f2c3d", true
	text, err := aggregate.EncodeEntitlement(e)
	if err != nil {
		t.Fatal(err)
	}
	if e.Tier != tier {
		t.Fatalf("%s: on %s", tier, e.Tier)
	}
	return projections.Publication{Account: account, Doc: text, Position: 123456789, AsOf: now}
}

// many are accounts over which the tiers are spread evenly.
func many(t testing.TB, n int) []projections.Publication {
	t.Helper()
	tiers := aggregate.BuiltinCatalog().Tiers
	entries := make([]projections.Publication, n)
	for i := range entries {
		entries[i] = subscribed(t, i, tiers[i%len(tiers)].ID)
	}
	return entries
}

// usedMemory is how many bytes a server has allocated for what it holds.
func usedMemory(t testing.TB, info string) (bytes int) {
	t.Helper()
	_, rest, _ := strings.Cut(info, "used_memory:")
	if _, err := fmt.Sscanf(rest, "%d", &bytes); err != nil {
		t.Fatal(err)
	}
	return bytes
}

// TestMemoryOfAnAccount: docs/REDIS.md promises at most 1.2 KB for each account,
// signed, with all that Redis needs beside the value, where accounts are spread
// over the tiers of the built-in catalog; those of the highest tier take more.
func TestMemoryOfAnAccount(t *testing.T) {
	const accounts, most, mostOfOne = 5_000, 1200, 1500
	s, c := server(t)
	o := open(t, s.URL(), signed(keyA))
	tiers, sum := aggregate.BuiltinCatalog().Tiers, 0
	for _, tier := range tiers {
		c.FlushAll(t.Context())
		before := usedMemory(t, c.Info(t.Context(), "memory").Val())
		entries := make([]projections.Publication, accounts)
		for i := range entries {
			entries[i] = subscribed(t, i, tier.ID)
		}
		if _, err := o.Publish(t.Context(), entries); err != nil {
			t.Fatal(err)
		}
		each := (usedMemory(t, c.Info(t.Context(), "memory").Val()) - before) / accounts
		t.Logf("%s: %d bytes for each account", tier.ID, each)
		if sum += each; each > mostOfOne {
			t.Errorf("%s: %d bytes for each account", tier.ID, each)
		}
	}
	if mean := sum / len(tiers); mean > most {
		t.Errorf("%d bytes for each account, want at most %d", mean, most)
	}
}

// BenchmarkPublish publishes 100,000 accounts to an empty server, and renews them
// all. Beside the rate, which depends on who else is busy, it tells what an entry
// costs in processor time: ours, and the server's.
func BenchmarkPublish(b *testing.B) {
	const accounts = 100_000
	entries := many(b, accounts)
	s, c := server(b)
	for _, kind := range []struct {
		name   string
		change []func(*redis.Options)
	}{{"unsigned", nil}, {"signed", []func(*redis.Options){signed(keyA)}}} {
		o := open(b, s.URL(), kind.change...)
		now := time.Now()
		run := func(name string, before func()) {
			b.Run(kind.name+"/"+name, func(b *testing.B) {
				var ours, theirs time.Duration
				for range b.N {
					b.StopTimer()
					before()
					now = now.Add(time.Millisecond)
					for i := range entries {
						entries[i].AsOf = now
					}
					our, their := ownCPU(b), serverCPU(b, c)
					b.StartTimer()
					if _, err := o.Publish(b.Context(), entries); err != nil {
						b.Fatal(err)
					}
					ours, theirs = ours+ownCPU(b)-our, theirs+serverCPU(b, c)-their
				}
				each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(accounts*b.N) }
				b.ReportMetric(float64(accounts*b.N)/b.Elapsed().Seconds(), "entries/s")
				b.ReportMetric(each(ours), "own-µs/entry")
				b.ReportMetric(each(theirs), "redis-µs/entry")
			})
		}
		run("new", func() { c.FlushAll(b.Context()) })
		run("renewed", func() {})
	}
}

// ownCPU is the processor time that this process has used.
func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// serverCPU is the processor time that a server has used.
func serverCPU(b *testing.B, c *client.Client) (used time.Duration) {
	b.Helper()
	for line := range strings.Lines(c.Info(b.Context(), "cpu").Val()) {
		name, seconds, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_user" || name == "used_cpu_sys" {
			d, err := time.ParseDuration(seconds + "s")
			if err != nil {
				b.Fatal(err)
			}
			used += d
		}
	}
	return used
}
