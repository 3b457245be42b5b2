package posting_test

import (
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/posting"
	"github.com/daybookhq/daybook/recent"
)

// rerouted is another build's translation: it puts facts into other streams.
type rerouted struct {
	posting.Translator
	// route says where a fact goes; an empty stream is nowhere.
	route func(f intake.StreamFact) eventstore.Stream
}

func (r rerouted) TranslateEntry(entry eventstore.RecordedEvent) ([]intake.StreamFact, error) {
	facts, err := r.Translator.TranslateEntry(entry)
	var routed []intake.StreamFact
	for _, f := range facts {
		if f.Stream = r.route(f); f.Stream != "" {
			routed = append(routed, f)
		}
	}
	return routed, err
}

// otherBuild is a poster whose facts all go to one stream.
func otherBuild(store eventstore.Store, stream eventstore.Stream) *posting.Poster {
	p := newPoster(store)
	p.Translator = rerouted{p.Translator, func(intake.StreamFact) eventstore.Stream { return stream }}
	return p
}

func charge(id, charge, intent string, created time.Time) delivery {
	return delivery{id: id, eventType: charged, created: created, object: map[string]any{
		"id": charge, "object": "charge", "payment_intent": intent, "customer": "cus_1", "status": "succeeded", "currency": "usd",
		"amount": 2900, "amount_captured": 2900, "amount_refunded": 0, "captured": true, "created": created.Unix()}}
}

const charged = "charge.succeeded"

// factsOf folds a stream.
func factsOf(t *testing.T, store eventstore.Reader, stream eventstore.Stream) *aggregate.FactSet {
	t.Helper()
	var set aggregate.FactSet
	for e, err := range store.ReadStream(t.Context(), stream, 0, eventstore.Forwards, 0) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		event, err := aggregate.Decode(e.Type, e.Data)
		if err != nil {
			t.Fatal(err)
		}
		set.Evolve(event, aggregate.Place{Position: uint64(e.Position)})
	}
	return &set
}

// received is the money that some payments brought in together.
func received(t *testing.T, store eventstore.Reader, ids ...string) int64 {
	t.Helper()
	var sum int64
	for _, id := range ids {
		sum += factsOf(t, store, eventstore.NewStream("payment", id)).DerivePayment(id).Received
	}
	return sum
}

func byID(ids ...string) posting.RepostPlan {
	return posting.RepostPlan{Selection: posting.Selection{Events: ids}}
}

func TestAFactThatMovesCountsOnce(t *testing.T) {
	store := sqlitetest.Open(t)
	postUpTo(t, otherBuild(store, "payment-ch_1"), record(t, store, charge("evt_1", "ch_1", "pi_1", now)))
	rehearsal := byID("evt_1")
	rehearsal.Rehearse = true
	moved := posting.RepostedEvent{StripeEventID: "evt_1", EventType: charged, Outcome: posting.OutcomePosted, Added: 1, Retracted: 1}
	wantOutcome(t, mustRepost(t, newPoster(store), rehearsal), moved)
	if typesOf(t, store, "payment-pi_1") != nil || received(t, store, "ch_1") != 2900 {
		t.Fatal("the rehearsal moved it")
	}
	result := mustRepost(t, newPoster(store), posting.RepostPlan{Selection: posting.Selection{Type: charged}})
	if wantOutcome(t, result, moved); result.Added != 1 || result.Retracted != 1 {
		t.Errorf("sums %+v", result)
	}
	if received(t, store, "pi_1") != 2900 || received(t, store, "ch_1") != 0 {
		t.Errorf("received %d where it is, %d where it was", received(t, store, "pi_1"), received(t, store, "ch_1"))
	}
	held, _ := factsOf(t, store, "payment-ch_1").Held(aggregate.FactKey{StripeEventID: "evt_1"})
	if held.Type != aggregate.Retracted || held.Epoch != intake.MaxEntries || !slices.Equal(held.Retraction.Streams, []string{"payment-pi_1"}) {
		t.Errorf("where it was stands %+v", held)
	}
	unchanged := posting.RepostedEvent{StripeEventID: "evt_1", EventType: charged, Outcome: posting.OutcomeUnchanged}
	wantOutcome(t, mustRepost(t, newPoster(store), byID("evt_1")), unchanged)

	// A later reading may put it back.
	wantOutcome(t, mustRepost(t, otherBuild(store, "payment-ch_1"), byID("evt_1")),
		posting.RepostedEvent{StripeEventID: "evt_1", EventType: charged, Outcome: posting.OutcomePosted, Corrected: 1, Retracted: 1})
	if received(t, store, "pi_1") != 0 || received(t, store, "ch_1") != 2900 {
		t.Errorf("put back: received %d, and %d", received(t, store, "pi_1"), received(t, store, "ch_1"))
	}
}

func TestWhatAnEventDoesNotStateAnyMoreIsRetracted(t *testing.T) {
	store := sqlitetest.Open(t)
	postUpTo(t, newPoster(store), record(t, store, story()[0], charge("evt_c", "ch_1", "pi_1", now)))
	// An earlier build gave a second fact, which this one does not.
	more, _ := fold(t, store, "sub_1").Held(aggregate.FactKey{StripeEventID: "evt_1"})
	more.Key.Ordinal = 1
	appendFact(t, store, "subscription-sub_1", more)
	wantOutcome(t, mustRepost(t, newPoster(store), byID("evt_1")),
		posting.RepostedEvent{StripeEventID: "evt_1", EventType: created, Outcome: posting.OutcomePosted, Retracted: 1})
	wantOutcome(t, mustRepost(t, otherBuild(store, ""), byID("evt_1", "evt_c")),
		posting.RepostedEvent{StripeEventID: "evt_1", EventType: created, Outcome: posting.OutcomePosted, Retracted: 1},
		posting.RepostedEvent{StripeEventID: "evt_c", EventType: charged, Outcome: posting.OutcomePosted, Retracted: 1})
	if truth := truthOf(t, store, "sub_1"); truth.Status != "" || received(t, store, "pi_1") != 0 {
		t.Errorf("still true: %+v, received %d", truth, received(t, store, "pi_1"))
	}
	if types := typesOf(t, store, "subscription-sub_1"); !slices.Contains(types, "SubscriptionRestated") {
		t.Errorf("not noted: %v", types)
	}
}

// TestWhatCannotBeReadAnyMoreStays: a build that fails on an event knows no better.
func TestWhatCannotBeReadAnyMoreStays(t *testing.T) {
	store := sqlitetest.Open(t)
	bad := charge("evt_1", "ch_1", "pi_1", now)
	delete(bad.object, "currency")
	record(t, store, bad)
	appendFact(t, store, "payment-ch_1", aggregate.Fact{Type: aggregate.ChargeSucceeded, Key: aggregate.FactKey{StripeEventID: "evt_1"}, OccurredAt: now,
		Payment: &aggregate.PaymentSnapshot{ID: "ch_1", Charge: "ch_1", Status: "succeeded", Currency: "usd", Amount: 2900, AmountReceived: 2900}})
	wantOutcome(t, mustRepost(t, newPoster(store), byID("evt_1")),
		posting.RepostedEvent{StripeEventID: "evt_1", EventType: charged, Outcome: posting.OutcomeFailed})
	if received(t, store, "ch_1") != 2900 {
		t.Error("it was retracted")
	}
}

func TestWhatIsPostedElsewhereIsNotUnposted(t *testing.T) {
	store := sqlitetest.Open(t)
	postUpTo(t, otherBuild(store, "payment-ch_1"), record(t, store, charge("evt_1", "ch_1", "pi_1", now)))
	record(t, store, charge("evt_2", "ch_2", "pi_2", now))
	result := mustRepost(t, newPoster(store), posting.RepostPlan{Selection: posting.Selection{Unposted: true}})
	wantOutcome(t, result, posting.RepostedEvent{StripeEventID: "evt_2", EventType: charged, Outcome: posting.OutcomePosted, Added: 1})
	if result.Looked != 2 || received(t, store, "pi_1", "ch_1", "pi_2") != 2*2900 {
		t.Errorf("%+v; received %d", result, received(t, store, "pi_1", "ch_1", "pi_2"))
	}
}

func TestRepudiationReachesWhereAnEarlierBuildPutIt(t *testing.T) {
	store := sqlitetest.Open(t)
	postUpTo(t, otherBuild(store, "payment-ch_1"), record(t, store, charge("evt_1", "ch_1", "pi_1", now)))
	var told [][2]int64
	result, err := newPoster(store).Repudiate(t.Context(), posting.RepudiationPlan{StripeEventID: "evt_1", Actor: "ann", Reason: forged,
		Progress: func(done, total int64) { told = append(told, [2]int64{done, total}) }})
	if err != nil || !slices.Equal(result.Streams, []eventstore.Stream{"payment-pi_1", "payment-ch_1"}) || result.Facts != 2 {
		t.Fatalf("%+v, %v", result, err)
	}
	if last := len(told) - 1; last < 0 || told[last][0] != told[last][1] || told[last][1] == 0 {
		t.Errorf("progress %v", told)
	}
	if received(t, store, "pi_1", "ch_1") != 0 {
		t.Error("its money still counts")
	}
	mustRepost(t, otherBuild(store, "payment-ch_1"), byID("evt_1"))
	if received(t, store, "pi_1", "ch_1") != 0 {
		t.Error("a repost brought it back")
	}
}

// TestASignedVariantTakesBackWhatTheUnsignedEntryGaveElsewhere: what is imported
// may name another object than Stripe's own word does.
func TestASignedVariantTakesBackWhatTheUnsignedEntryGaveElsewhere(t *testing.T) {
	forgery := charge("evt_1", "ch_9", "pi_9", now)
	forgery.unsigned = true
	for name, together := range map[string]bool{"in one batch": true, "one after the other": false} {
		store := sqlitetest.Open(t)
		if last := record(t, store, forgery); !together {
			postUpTo(t, newPoster(store), last)
		}
		last := record(t, store, charge("evt_1", "ch_1", "pi_1", now))
		postUpTo(t, newPoster(store), last)
		if received(t, store, "pi_9") != 0 || received(t, store, "pi_1") != 2900 {
			t.Errorf("%s: received %d by the forgery, %d by Stripe's word", name, received(t, store, "pi_9"), received(t, store, "pi_1"))
		}
		wantOutcome(t, mustRepost(t, newPoster(store), byID("evt_1")),
			posting.RepostedEvent{StripeEventID: "evt_1", EventType: charged, Outcome: posting.OutcomeUnchanged})
	}
}

// TestWhatIsTakenBackIsLookedForInTheStore: what is kept of a stream may be less
// than posting has brought there, if what it knew gave way to what a projection that
// is behind has folded.
func TestWhatIsTakenBackIsLookedForInTheStore(t *testing.T) {
	const stream = eventstore.Stream("payment-pi_9")
	store := sqlitetest.Open(t)
	streams := recent.New(store, 0)
	post := func(deliveries ...delivery) {
		p := posting.New(func(c posting.Config) posting.Config { c.Recent = streams; return c }(newPoster(store).Config))
		postUpTo(t, p, record(t, store, deliveries...))
	}
	forgery := charge("evt_1", "ch_9", "pi_9", now)
	forgery.unsigned = true
	post(charge("evt_0", "ch_8", "pi_9", now.Add(-time.Hour)), forgery)
	folded, err := streams.Before(t.Context(), stream, 1)
	if err != nil {
		t.Fatal(err)
	}
	streams.Forget(stream)
	streams.Add(stream, 0, folded...)
	post(charge("evt_1", "ch_1", "pi_1", now))
	for _, key := range factsOf(t, store, stream).KeysOf("evt_1") {
		if held, _ := factsOf(t, store, stream).Held(key); !held.Type.Silent() {
			t.Errorf("what the forgery gave is in force: %s", held.Type)
		}
	}
}

// TestPartsAreAsTheWhole: the events whose facts are looked for at once are
// bounded.
func TestPartsAreAsTheWhole(t *testing.T) {
	store := sqlitetest.Open(t)
	var events []string
	for i := range 7 {
		id := fmt.Sprintf("evt_%d", i)
		events = append(events, id)
		record(t, store, charge(id, "ch_"+id, "pi_"+id, now))
		mustRepost(t, otherBuild(store, eventstore.NewStream("payment", "ch_"+id)), byID(id))
	}
	p := newPoster(store)
	p.LocateAtOnce(3)
	for name, s := range map[string]posting.Selection{"by type": {Type: charged}, "by id": {Events: events}} {
		rehearsed := mustRepost(t, p, posting.RepostPlan{Selection: s, Rehearse: true})
		if rehearsed.Looked != 7 || rehearsed.Added != 7 || rehearsed.Retracted != 7 {
			t.Errorf("%s: %+v", name, rehearsed)
		}
	}
	if r := mustRepost(t, p, posting.RepostPlan{Selection: posting.Selection{Unposted: true}}); r.Looked != 7 || r.Added != 0 {
		t.Errorf("unposted: %+v", r)
	}
	if r := mustRepost(t, p, posting.RepostPlan{Selection: posting.Selection{Type: charged}}); r.Looked != 7 || r.Added != 7 || r.Retracted != 7 {
		t.Errorf("by type: %+v", r)
	}
}

// TestProgressNeverGoesBack and ends where all is done, whatever is chosen.
func TestProgressNeverGoesBack(t *testing.T) {
	for name, s := range map[string]posting.Selection{
		"events": {Events: []string{"evt_1", "evt_c", "evt_none"}}, "failed": {Failed: true}, "unposted": {Unposted: true}, "type": {Type: charged},
	} {
		store := sqlitetest.Open(t)
		record(t, store, append(story(), charge("evt_c", "ch_1", "pi_1", now))...)
		fileFailed(t, store, "evt_1")
		var done, total int64
		p := newPoster(store)
		p.LocateAtOnce(2)
		mustRepost(t, p, posting.RepostPlan{Selection: s, Progress: func(d, of int64) {
			if d < done || of < total || d > of {
				t.Errorf("%s: %d of %d after %d of %d", name, d, of, done, total)
			}
			done, total = d, of
		}})
		if done != total || total == 0 {
			t.Errorf("%s: ended at %d of %d", name, done, total)
		}
	}
}

// build is a translation drawn by a number: each puts some facts elsewhere, and
// some nowhere, and reads some lookup keys otherwise, or none.
func build(p *posting.Poster, number int) *posting.Poster {
	p.Translator = rerouted{p.Translator, func(f intake.StreamFact) eventstore.Stream {
		h := fnv.New32()
		fmt.Fprint(h, f.Fact.Key.StripeEventID, number)
		if subscription := f.Fact.Subscription; subscription != nil {
			switch key := &subscription.Items[0].LookupKey; h.Sum32() / 4 % 4 {
			case 0:
				*key = "enterprise"
			case 1:
				*key = ""
			}
		}
		switch h.Sum32() % 4 {
		case 0:
			return eventstore.NewStream(f.Stream.Category(), "elsewhere")
		case 1:
			return ""
		}
		return f.Stream
	}}
	return p
}

// inForce lists everything from which something follows, and where it is.
func inForce(t *testing.T, store eventstore.Reader) []string {
	t.Helper()
	sets := map[eventstore.Stream]*aggregate.FactSet{}
	var keys []aggregate.FactKey
	for e, err := range store.ReadAll(t.Context(), 0, eventstore.Forwards, eventstore.Filter{Prefixes: []string{"subscription-", "payment-"}}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		event, err := aggregate.Decode(e.Type, e.Data)
		if err != nil {
			t.Fatal(err)
		}
		if sets[e.Stream] == nil {
			sets[e.Stream] = &aggregate.FactSet{}
		}
		if sets[e.Stream].Evolve(event, aggregate.Place{}); event.Fact != nil && !slices.Contains(keys, event.Fact.Key) {
			keys = append(keys, event.Fact.Key)
		}
	}
	var all []string
	for stream, set := range sets {
		for _, key := range keys {
			if held, found := set.Held(key); found && !held.Type.Silent() {
				held.Epoch = 0
				data, err := aggregate.Encode(aggregate.Event{Fact: &held})
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, fmt.Sprintf("%s: %s %s", stream, held.Type, data))
			}
		}
	}
	slices.Sort(all)
	return all
}

// TestCorrectionsConverge: whatever was posted, moved and repudiated when, by
// whichever builds, what a last repost leaves is what the last build makes of the
// events that were not repudiated; and to do it all again changes nothing.
func TestCorrectionsConverge(t *testing.T) {
	fewer(t, 12)
	rapid.Check(t, func(r *rapid.T) {
		var events []delivery
		for i := range rapid.IntRange(1, 6).Draw(r, "events") {
			id, when := fmt.Sprintf("evt_%d", i), now.Add(time.Duration(rapid.IntRange(0, 2).Draw(r, "hour"))*time.Hour)
			if rapid.IntRange(0, 2).Draw(r, "kind") == 0 {
				events = append(events, charge(id, "ch_"+id, "pi_1", when))
				continue
			}
			events = append(events, keyed(id, rapid.SampledFrom([]string{"price_x", "price_y"}).Draw(r, "price"),
				rapid.SampledFrom([]string{"basic", "premium", "elite"}).Draw(r, "key"), when))
		}
		store, book := sqlitetest.Open(t), newPriceBook()
		book.adoptIn(t, store)
		last := rapid.IntRange(0, 3).Draw(r, "last build")
		present := rapid.IntRange(0, 3).Draw(r, "first build")
		poster := func() *posting.Poster { return build(book.poster(store), present) }
		var told []string
		repudiated := map[string]bool{}
		repudiate := func(id string) {
			if _, err := poster().Repudiate(t.Context(), posting.RepudiationPlan{StripeEventID: id, Actor: "ann", Reason: forged}); err != nil {
				r.Fatal(err)
			}
			repudiated[id] = true
		}
		for _, d := range rapid.Permutation(events).Draw(r, "order") {
			record(t, store, d)
			mustRepost(t, poster(), byID(d.id))
			told = append(told, d.id)
			switch rapid.IntRange(0, 4).Draw(r, "then") {
			case 0:
				present = rapid.IntRange(0, 3).Draw(r, "next build")
			case 1:
				mustRepost(t, poster(), byID(rapid.SampledFrom(told).Draw(r, "reposted")))
			case 2:
				repudiate(rapid.SampledFrom(told).Draw(r, "repudiated"))
			case 3:
				mustRepost(t, poster(), posting.RepostPlan{Selection: posting.Selection{Unposted: true}})
			}
		}
		if rapid.Bool().Draw(r, "at last") {
			repudiate(rapid.SampledFrom(told).Draw(r, "repudiated at last"))
		}
		present = last
		mustRepost(t, poster(), byID(told...))

		clean, other := sqlitetest.Open(t), newPriceBook()
		kept := slices.DeleteFunc(slices.Clone(events), func(d delivery) bool { return repudiated[d.id] })
		record(t, clean, kept...)
		for _, d := range rapid.Permutation(kept).Draw(r, "another order") {
			mustRepost(t, build(other.poster(clean), last), byID(d.id))
		}
		got, want := inForce(t, store), inForce(t, clean)
		if !slices.Equal(got, want) {
			r.Fatalf("in force are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		for _, price := range []string{"price_x", "price_y"} {
			if got, want := book.standing(price), other.standing(price); got != want {
				r.Fatalf("%s is %+v, want %+v", price, got, want)
			}
		}
		wantNothingMore(t, r, store, poster, told)
	})
}

// fewer draws fewer cases, unless the command line asks for a number: each waits
// for dozens of appends to be durable.
func fewer(t *testing.T, cases int) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	if checks.Value.String() != checks.DefValue {
		return
	}
	if err := checks.Value.Set(strconv.Itoa(cases)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = checks.Value.Set(checks.DefValue) })
}

// wantNothingMore posts everything again, in every way, and wants the facts to be
// as many as before.
func wantNothingMore(t *testing.T, r *rapid.T, store eventstore.Reader, poster func() *posting.Poster, ids []string) {
	t.Helper()
	count := func() (n int) {
		for _, err := range store.ReadAll(t.Context(), 0, eventstore.Forwards, eventstore.Filter{Prefixes: []string{"subscription-", "payment-", "posting-"}}, 0) {
			if err != nil {
				r.Fatal(err)
			}
			n++
		}
		return n
	}
	before := count()
	head, err := store.Head(t.Context())
	if err != nil {
		r.Fatal(err)
	}
	postUpTo(t, poster(), head)
	if again := mustRepost(t, poster(), byID(ids...)); again.Added+again.Corrected+again.Retracted > 0 || count() != before {
		r.Fatalf("again: %+v, %d events instead of %d", again, count(), before)
	}
}
