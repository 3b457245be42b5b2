package redis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/published"
	"github.com/daybookhq/daybook/projections/redis"
)

func TestFault14NoOlderEntryReplacesANewer(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL())
	first := publication(t, "team", "basic", 10)
	want(t, "the first", publish(t, o, first), projections.OutcomeWritten)
	want(t, "the same again", publish(t, o, first), projections.OutcomeRenewed)
	want(t, "a newer", publish(t, o, publication(t, "team", "premium", 11)), projections.OutcomeWritten)
	want(t, "the first, late", publish(t, o, first), projections.OutcomeOlder)
	if got := tier(t, c, "team"); got != "premium" {
		t.Errorf("readers see %s", got)
	}
}

// An entry can be newer although it rests on less, as when a subscription has
// gone to another account: what counts is how far the log was folded.
func TestAnEntryThatRestsOnLessIsStillNewer(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL())
	publish(t, o, publication(t, "team", "premium", 10))
	less := publication(t, "team", "basic", 11)
	less.Doc = []byte(strings.Replace(string(less.Doc), `"position":3`, `"position":1`, 1))
	want(t, "resting on less", publish(t, o, less), projections.OutcomeWritten)
	if e, err := read(t, c, "team"); err != nil || e.Tier != "basic" || e.Position != 1 {
		t.Errorf("readers see %+v, %v", e, err)
	}
}

// At the same position only time can have changed something, so the later
// moment wins; one that says the same renews the lease.
func TestTimeAtTheSamePosition(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL())
	first := publication(t, "team", "premium", 10)
	first.AsOf = time.Now().Add(-time.Minute)
	publish(t, o, first)
	renewal := first
	renewal.AsOf = first.AsOf.Add(10 * time.Second)
	want(t, "renewed", publish(t, o, renewal), projections.OutcomeRenewed)
	if e, err := read(t, c, "team"); err != nil || !e.ValidUntil.Equal(renewal.AsOf.Add(lease).Truncate(time.Second)) {
		t.Errorf("valid until %v, %v", e.ValidUntil, err)
	}
	want(t, "an earlier renewal, late", publish(t, o, first), projections.OutcomeOlder)
	ended := publication(t, "team", "starter", 10)
	ended.AsOf = first.AsOf.Add(20 * time.Second)
	want(t, "grace has ended", publish(t, o, ended), projections.OutcomeWritten)
	want(t, "from before that, late", publish(t, o, renewal), projections.OutcomeOlder)
	same := ended
	same.Doc = doc(t, "team", "premium")
	want(t, "the same position and moment, other content", publish(t, o, same), projections.OutcomeOlder)
	if got := tier(t, c, "team"); got != "starter" {
		t.Errorf("readers see %s", got)
	}
}

// The entry of a store that was founded later is the newer, whatever its position.
func TestTheStoreFoundedLaterWins(t *testing.T) {
	s, c := server(t)
	old := open(t, s.URL())
	next := open(t, s.URL(), func(o *redis.Options) { o.Epoch, o.FoundedAt = "epoch-2", founded.Add(time.Hour) })
	publish(t, old, publication(t, "team", "basic", 1000))
	want(t, "of the next store", publish(t, next, publication(t, "team", "premium", 1)), projections.OutcomeWritten)
	want(t, "of the store before", publish(t, old, publication(t, "team", "basic", 2000)), projections.OutcomeOlder)
	if got := tier(t, c, "team"); got != "premium" {
		t.Errorf("readers see %s", got)
	}
}

// TestTheNewestOfManyWritersWins: many writers, each of which publishes what it
// knows, late and twice. What is left is what the newest of all said.
func TestTheNewestOfManyWritersWins(t *testing.T) {
	s, c := server(t)
	outlets := []*redis.Outlet{open(t, s.URL()), open(t, s.URL()), open(t, s.URL(), signed(keyA)), open(t, s.URL(), signed(keyA))}
	for name, writers := range map[string][]*redis.Outlet{"unsigned": outlets[:2], "signed": outlets[2:]} {
		rapid.Check(t, func(t *rapid.T) {
			c.FlushDB(context.Background())
			base := time.Now().Add(-time.Minute)
			accounts := []string{"a", "b", "c"}
			best := map[string]projections.Publication{}
			batches := make([][]projections.Publication, rapid.IntRange(2, 8).Draw(t, "writes"))
			for i := range batches {
				for _, account := range accounts {
					p := projections.Publication{Account: account,
						Position: eventstore.Position(rapid.Uint64Range(1, 4).Draw(t, "position")) << rapid.SampledFrom([]int{0, 60}).Draw(t, "shift"),
						AsOf:     base.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "moment")) * time.Microsecond)}
					// What an account may do is a function of both.
					p.Doc = []byte(strings.Replace(string(doc(outsideRapid{}, account, "basic")), `"tier":"basic"`,
						fmt.Sprintf(`"tier":"%d-%d"`, p.Position, p.AsOf.Sub(base)), 1))
					batches[i] = append(batches[i], p)
					if b, there := best[account]; !there || p.Position > b.Position || p.Position == b.Position && p.AsOf.After(b.AsOf) {
						best[account] = p
					}
				}
			}
			var all sync.WaitGroup
			for i, batch := range batches {
				all.Go(func() {
					for range 2 {
						if _, err := writers[i%len(writers)].Publish(context.Background(), batch); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			for _, account := range accounts {
				value, err := c.Get(context.Background(), published.Key(account)).Bytes()
				if err != nil {
					t.Fatal(err)
				}
				e, err := published.Read(account, value, nil)
				if want := fmt.Sprintf("%d-%d", best[account].Position, best[account].AsOf.Sub(base)); err != nil || e.Tier != want {
					t.Fatalf("%s: %q is on %s, want %s (%v)", name, account, e.Tier, want, err)
				}
			}
		})
	}
}

// outsideRapid lets helpers that want a test be used within a property.
type outsideRapid struct{ testing.TB }

func (outsideRapid) Helper()           {}
func (outsideRapid) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func TestFault08NoEntryOutlivesItsEnd(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL(), func(o *redis.Options) { o.Lease = 2 * time.Second })
	p := publication(t, "team", "basic", 1)
	publish(t, o, p)
	ends, err := c.PExpireTime(t.Context(), "entitlement:team").Result()
	if want := p.AsOf.Add(2 * time.Second).Truncate(time.Second).UnixMilli(); err != nil || ends.Milliseconds() != want {
		t.Errorf("it expires at %d, %v: want %d", ends.Milliseconds(), err, want)
	}
	// A renewal moves the end.
	p.AsOf = p.AsOf.Add(time.Second)
	want(t, "renewed", publish(t, o, p), projections.OutcomeRenewed)
	if later, _ := c.PExpireTime(t.Context(), "entitlement:team").Result(); later-ends != time.Second {
		t.Errorf("renewed by %v", later-ends)
	}
	until(t, "the entry is gone", func() bool {
		_, err := read(t, c, "team")
		return errors.Is(err, client.Nil)
	})
}

// An entry's own end comes before that of its lease.
func TestAnEntryEndsWithItsGrace(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL())
	grace := time.Now().Add(time.Minute).Truncate(time.Second).UTC()
	p := publication(t, "team", "basic", 1)
	var e aggregate.Entitlement
	p.Doc = []byte(strings.Replace(string(p.Doc), `"epoch"`, `"valid_until":"`+grace.Format(time.RFC3339)+`","epoch"`, 1))
	publish(t, o, p)
	got, err := read(t, c, "team")
	if e = got.Entitlement; err != nil || !e.ValidUntil.Equal(grace) {
		t.Errorf("valid until %v, %v: want %v", e.ValidUntil, err, grace)
	}
	if ends, _ := c.PExpireTime(t.Context(), "entitlement:team").Result(); ends.Milliseconds() != grace.UnixMilli() {
		t.Errorf("it expires at %v", ends)
	}
}

// Clocks that disagree: what would have lapsed, or comes from the future, does
// not replace what is there.
func TestClocksThatDisagree(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL())
	publish(t, o, publication(t, "team", "basic", 1))
	for name, c := range map[string]struct {
		ahead time.Duration
		want  projections.Outcome
	}{
		"an hour slow":       {-time.Hour, projections.OutcomeLapsed},
		"an hour fast":       {time.Hour, projections.OutcomeSkewed},
		"a few seconds fast": {projections.MaxSkew / 2, projections.OutcomeWritten},
	} {
		p := publication(t, name, "basic", 2)
		p.AsOf = p.AsOf.Add(c.ahead)
		want(t, name, publish(t, o, p), c.want)
		p.Account, p.Doc = "team", doc(t, "team", "premium")
		if got := publish(t, o, p); got != c.want {
			t.Errorf("%s: %s over what is there, want %s", name, got, c.want)
		}
	}
	if got := tier(t, c, "team"); got != "premium" {
		t.Errorf("readers see %s", got)
	}
}

// What is there may be anybody's. The others are published all the same.
func TestWhatElseMayBeThere(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL())
	ctx := t.Context()
	entry := func(account, tier string, change ...string) string {
		sealed, err := published.Seal(account, doc(t, account, tier), published.Order{Founded: founded, Position: 50, At: time.Now()}, lease, nil)
		if err != nil {
			t.Fatal(err)
		}
		return strings.NewReplacer(change...).Replace(string(sealed.Value))
	}
	c.RPush(ctx, "entitlement:list", "x")
	c.HSet(ctx, "entitlement:hash", "x", "y")
	c.Set(ctx, "entitlement:text", "hello", 0)
	c.Set(ctx, "entitlement:empty", "", 0)
	c.Set(ctx, "entitlement:other json", `{"account":"other json","schema":1}`, 0)
	c.Set(ctx, "entitlement:short order", entry("short order", "premium", `"order":"0`, `"order":"`), 0)
	c.Set(ctx, "entitlement:newer schema", entry("newer schema", "premium", `"schema":1`, `"schema":2`), 0)
	c.Set(ctx, "entitlement:older schema", entry("older schema", "premium", `"schema":1`, `"schema":0`), 0)
	c.Set(ctx, "entitlement:older schema, newer", entry("older schema, newer", "premium", `"schema":1`, `"schema":0`), 0)

	wanted := map[string]projections.Outcome{
		"list": projections.OutcomeWrongType, "hash": projections.OutcomeWrongType,
		"text": projections.OutcomeReplaced, "empty": projections.OutcomeReplaced, "other json": projections.OutcomeReplaced,
		"short order": projections.OutcomeReplaced, "newer schema": projections.OutcomeNewerSchema,
		"older schema": projections.OutcomeWritten, "older schema, newer": projections.OutcomeOlder, "nothing": projections.OutcomeWritten,
	}
	var entries []projections.Publication
	for account := range wanted {
		position := eventstore.Position(51)
		if strings.HasSuffix(account, ", newer") {
			position = 49
		}
		entries = append(entries, publication(t, account, "basic", position))
	}
	results, err := o.Publish(ctx, entries)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		want(t, e.Account, results[i], wanted[e.Account])
		switch results[i] {
		case projections.OutcomeWritten, projections.OutcomeReplaced:
			if got := tier(t, c, e.Account); got != "basic" {
				t.Errorf("%s: readers see %s", e.Account, got)
			}
		}
	}
}

// Whatever a forger knows of the form, what he left is replaced, and counted.
func TestForgedEntriesAreReplaced(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL(), signed(keyA, keyB))
	ctx := t.Context()
	forge := func(account, tier string, position uint64, keys published.Keys) []byte {
		sealed, err := published.Seal(account, doc(t, account, tier), published.Order{Founded: founded.Add(100 * time.Hour), Position: position, At: time.Now()}, lease, keys)
		if err != nil {
			t.Fatal(err)
		}
		return sealed.Value
	}
	ours := forge("somebody else", "enterprise", 5, published.Keys{keyA})
	newer := []byte(strings.Replace(string(forge("newer schema", "enterprise", 5, published.Keys{keyA})), `"schema":1`, `"schema":2`, 1))
	for account, value := range map[string][]byte{
		"unsigned": forge("unsigned", "enterprise", 1<<60, nil), "wrong key": forge("wrong key", "enterprise", 1<<60, published.Keys{make([]byte, 32)}),
		"older": forge("older", "enterprise", 0, nil), "moved": ours, "newer schema": newer, "text": []byte("hello"),
	} {
		c.Set(ctx, published.Key(account), value, 0)
		if _, err := read(t, c, account, keyA); !errors.Is(err, published.ErrForged) {
			t.Errorf("%s: a reader believes it: %v", account, err)
		}
		want(t, account, publish(t, o, publication(t, account, "basic", 1)), projections.OutcomeReplaced)
		if got := tier(t, c, account, keyA); got != "basic" {
			t.Errorf("%s: readers see %s", account, got)
		}
	}
	// One that says the same, but for longer.
	p := publication(t, "longer", "basic", 1)
	publish(t, o, p)
	value := c.Get(ctx, "entitlement:longer").Val()
	e, _ := read(t, c, "longer", keyA)
	c.Set(ctx, "entitlement:longer", strings.Replace(value, e.ValidUntil.Format("15:04:05"), e.ValidUntil.Add(time.Hour).Format("15:04:05"), 1), 0)
	p.AsOf = p.AsOf.Add(time.Millisecond)
	want(t, "longer", publish(t, o, p), projections.OutcomeReplaced)
}

// TestKeysAreRolled: while both are known, what the old key signed is renewed;
// once it is taken away, it counts as forged.
func TestKeysAreRolled(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL(), signed(keyA))
	beat(t, o, 1)
	publish(t, o, publication(t, "team", "basic", 1))
	o.SetKeys(published.Keys{keyB, keyA})
	want(t, "both known", publish(t, o, publication(t, "team", "basic", 1)), projections.OutcomeRenewed)
	republish(t, "both known", beat(t, o, 1), false)
	if got := tier(t, c, "team", keyB); got != "basic" {
		t.Errorf("readers of the new key see %s", got)
	}
	if _, err := read(t, c, "team", keyA); !errors.Is(err, published.ErrForged) {
		t.Errorf("readers of the old key: %v", err)
	}
	c.Set(t.Context(), "entitlement:late", sealedAt(t, "late", "premium", 1, founded, published.Keys{keyA}), 0)
	o.SetKeys(published.Keys{keyB})
	want(t, "the old key is gone", publish(t, o, publication(t, "late", "basic", 1)), projections.OutcomeReplaced)
}

func sealedAt(t testing.TB, account, tier string, position uint64, founded time.Time, keys published.Keys) []byte {
	t.Helper()
	sealed, err := published.Seal(account, doc(t, account, tier), published.Order{Founded: founded, Position: position, At: time.Now()}, lease, keys)
	if err != nil {
		t.Fatal(err)
	}
	return sealed.Value
}

// Accounts may have almost any name; those that cannot be are left out, and the
// others published.
func TestNamesOfAccounts(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL(), signed(keyA))
	names := []string{"a", " ", "a b", ":", "a:b:c", "{a}", "{", "}{", "*", "[a]", "\\", `"`, `","order":"1"}`, "日本語", "😀", "\u00e9", "e\u0301",
		"\u2028", "<script>", "entitlement:a", strings.Repeat("é", 256), strings.Repeat("x", 512)}
	bad := []string{"", "a\n", "\x00", "\x7f", "\u0085", "a\xffb", strings.Repeat("x", 513)}
	var entries []projections.Publication
	for _, name := range slices.Concat(names, bad) {
		p := publication(t, "a", "basic", 1)
		p.Account = name
		if aggregate.ValidAccount(name) {
			p.Doc = doc(t, name, "basic")
		}
		entries = append(entries, p)
	}
	results, err := o.Publish(t.Context(), entries)
	if err == nil {
		t.Error("nothing is told of impossible names")
	}
	for i, e := range entries {
		if i >= len(names) {
			want(t, fmt.Sprintf("%q", e.Account), results[i], projections.OutcomeInvalid)
			continue
		}
		want(t, fmt.Sprintf("%q", e.Account), results[i], projections.OutcomeWritten)
		if got, err := read(t, c, e.Account, keyA); err != nil || got.Account != e.Account {
			t.Errorf("%q: %+v, %v", e.Account, got, err)
		}
	}
	var walked []string
	if err := o.Walk(t.Context(), func(page []projections.PublishedEntry) error {
		for _, e := range page {
			walked = append(walked, e.Account)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(walked)
	slices.Sort(names)
	if !slices.Equal(slices.Compact(walked), names) {
		t.Errorf("listed %q", walked)
	}
}

// Scripts that a server has forgotten are given to it again, in the middle of it.
func TestScriptsAreGivenToAServerThatLacksThem(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL())
	for i := range 3 {
		c.ScriptFlush(t.Context())
		var entries []projections.Publication
		for n := range 1000 {
			entries = append(entries, publication(t, fmt.Sprint(n), "basic", eventstore.Position(i+1)))
		}
		results, err := o.Publish(t.Context(), entries)
		if err != nil {
			t.Fatal(err)
		}
		for n, r := range results {
			if r != projections.OutcomeWritten && (i == 0 || r != projections.OutcomeRenewed) {
				t.Fatalf("round %d, entry %d: %s", i, n, r)
			}
		}
	}
}

func TestWithdraw(t *testing.T) {
	s, c := server(t)
	o, keyed := open(t, s.URL()), open(t, s.URL(), signed(keyA))
	withdraw := func(o *redis.Outlet, account string, position eventstore.Position) projections.Outcome {
		t.Helper()
		results, err := o.Withdraw(t.Context(), []projections.Withdrawal{{Account: account, Position: position, AsOf: time.Now()}})
		if err != nil {
			t.Fatal(err)
		}
		return results[0]
	}
	publish(t, o, publication(t, "team", "basic", 10))
	want(t, "known to be newer", withdraw(o, "team", 9), projections.OutcomeOlder)
	want(t, "an orphan", withdraw(o, "team", 10), projections.OutcomeWithdrawn)
	want(t, "nothing there", withdraw(o, "team", 10), projections.OutcomeWithdrawn)
	if _, err := read(t, c, "team"); !errors.Is(err, client.Nil) {
		t.Errorf("still there: %v", err)
	}
	c.RPush(t.Context(), "entitlement:list", "x")
	want(t, "a list", withdraw(o, "list", 10), projections.OutcomeWrongType)
	c.Set(t.Context(), "entitlement:text", "hello", 0)
	want(t, "text", withdraw(o, "text", 10), projections.OutcomeWithdrawn)
	c.Set(t.Context(), "entitlement:next", strings.Replace(string(sealedAt(t, "next", "basic", 1, founded, nil)), `"schema":1`, `"schema":2`, 1), 0)
	want(t, "a newer schema", withdraw(o, "next", 10), projections.OutcomeNewerSchema)
	want(t, "a newer schema that nobody signed", withdraw(keyed, "next", 10), projections.OutcomeWithdrawn)
	c.Set(t.Context(), "entitlement:forged", sealedAt(t, "forged", "enterprise", 1<<60, founded, nil), 0)
	want(t, "forged", withdraw(keyed, "forged", 10), projections.OutcomeWithdrawn)
	publish(t, keyed, publication(t, "signed", "basic", 10))
	want(t, "signed by us, and newer", withdraw(keyed, "signed", 9), projections.OutcomeOlder)
}

// Walk shows all there is, and other keys are none of its business.
func TestWalk(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL())
	var entries []projections.Publication
	for i := range 3000 {
		entries = append(entries, publication(t, fmt.Sprint("team-", i), "basic", 1))
		c.Set(t.Context(), fmt.Sprint("session:", i), "x", 0)
	}
	c.RPush(t.Context(), "entitlement:list", "x")
	if _, err := o.Publish(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	err := o.Walk(t.Context(), func(page []projections.PublishedEntry) error {
		if len(page) > 2000 {
			t.Errorf("a page of %d", len(page))
		}
		for _, e := range page {
			if _, err := published.Read(e.Account, e.Value, nil); err != nil {
				t.Errorf("%s: %v", e.Account, err)
			}
			seen[e.Account] = true
		}
		return nil
	})
	if err != nil || len(seen) != len(entries) {
		t.Errorf("%d seen, %v", len(seen), err)
	}
	stop := errors.New("enough")
	if err := o.Walk(t.Context(), func([]projections.PublishedEntry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped: %v", err)
	}
}
