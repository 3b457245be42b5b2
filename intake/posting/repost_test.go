package posting_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/posting"
)

// fold folds a subscription's stream.
func fold(t *testing.T, store eventstore.Reader, id string) *aggregate.Subscription {
	t.Helper()
	sub := aggregate.NewSubscription(id)
	for e, err := range store.ReadStream(t.Context(), eventstore.NewStream("subscription", id), 0, eventstore.Forwards, 0) {
		if err != nil {
			t.Fatal(err)
		}
		event, err := aggregate.Decode(e.Type, e.Data)
		if err != nil {
			t.Fatal(err)
		}
		sub.Evolve(event, aggregate.Place{Position: uint64(e.Position)})
	}
	return sub
}

// truthOf derives what is true of a subscription by the built-in catalog.
func truthOf(t *testing.T, store eventstore.Reader, id string) aggregate.SubscriptionTruth {
	t.Helper()
	catalog := aggregate.BuiltinCatalog()
	return fold(t, store, id).Derive(aggregate.Catalogs{}.With(aggregate.CatalogAdopted{Hash: catalog.Hash(), Catalog: catalog}))
}

func mustRepost(t *testing.T, p *posting.Poster, plan posting.RepostPlan) posting.Reposted {
	t.Helper()
	result, err := p.Repost(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func wantOutcome(t *testing.T, r posting.Reposted, want ...posting.RepostedEvent) {
	t.Helper()
	for i := range r.Events {
		if r.Events[i].Outcome != posting.OutcomePosted && r.Events[i].Outcome != posting.OutcomeUnchanged {
			if r.Events[i].Reason == "" {
				t.Errorf("no reason: %+v", r.Events[i])
			}
			r.Events[i].Reason = ""
		}
	}
	if !slices.Equal(r.Events, want) {
		t.Fatalf("reposted %+v, want %+v", r.Events, want)
	}
}

// otherKeys reads metadata under another key: a change in how entries are read,
// such as a fix would be.
func otherKeys(store eventstore.Store) *posting.Poster {
	p := newPoster(store)
	p.Translator = &intake.Translator{AccountKeys: []string{"community_id", "account_id"}}
	return p
}

func renamedStory() []delivery {
	deliveries := story()
	for _, d := range deliveries {
		if d.object["object"] == "subscription" {
			d.object["metadata"] = map[string]string{"account_id": "team-1", "community_id": "club-1"}
		}
	}
	return deliveries
}

const created, updated, failed = "customer.subscription.created", "customer.subscription.updated", "invoice.payment_failed"

func TestRepostCorrectsWhatAFixReadsOtherwise(t *testing.T) {
	store := sqlitetest.Open(t)
	postUpTo(t, newPoster(store), record(t, store, renamedStory()...))
	if account := truthOf(t, store, "sub_1").Link.Account; account != "team-1" {
		t.Fatalf("account %q before the fix", account)
	}
	before := typesOf(t, store, "subscription-sub_1")
	plan := posting.RepostPlan{Selection: posting.Selection{Type: updated}}
	rehearsal := plan
	rehearsal.Rehearse = true
	corrected := []posting.RepostedEvent{{StripeEventID: "evt_3", EventType: updated, Outcome: posting.OutcomePosted, Corrected: 1}}
	wantOutcome(t, mustRepost(t, otherKeys(store), rehearsal), corrected...)
	wantTypes(t, store, "subscription-sub_1", before...)
	wantOutcome(t, mustRepost(t, otherKeys(store), plan), corrected...)
	if account := truthOf(t, store, "sub_1").Link.Account; account != "club-1" {
		t.Errorf("account %q after the fix", account)
	}
	held, _ := fold(t, store, "sub_1").Held(aggregate.FactKey{StripeEventID: "evt_3"})
	if held.Epoch != intake.MaxEntries {
		t.Errorf("corrected in epoch %d, want %d", held.Epoch, intake.MaxEntries)
	}
	after := typesOf(t, store, "subscription-sub_1")
	wantOutcome(t, mustRepost(t, otherKeys(store), plan))
	again := otherKeys(store)
	again.Epoch = "another" // everything is posted from the beginning once more
	head, err := store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	postUpTo(t, again, head)
	wantTypes(t, store, "subscription-sub_1", after...)
}

func TestARepostThatChangesTheTruthIsNoted(t *testing.T) {
	store := sqlitetest.Open(t)
	cheap := subscriptionEvent("evt_1", created, "active", "price_basic", now)
	postUpTo(t, newPoster(store), record(t, store, cheap))
	// An earlier build read another price out of the same entry.
	wrong, _ := fold(t, store, "sub_1").Held(aggregate.FactKey{StripeEventID: "evt_1"})
	snapshot := *wrong.Subscription
	snapshot.Items = slices.Clone(snapshot.Items)
	snapshot.Items[0].Price = "price_premium"
	wrong.Subscription, wrong.Epoch = &snapshot, 16
	appendFact(t, store, "subscription-sub_1", wrong)
	if tier := truthOf(t, store, "sub_1").Tier; tier != "premium" {
		t.Fatalf("tier %q before", tier)
	}
	mustRepost(t, newPoster(store), posting.RepostPlan{Selection: posting.Selection{Events: []string{"evt_1"}}})
	if tier := truthOf(t, store, "sub_1").Tier; tier != "basic" {
		t.Errorf("tier %q after", tier)
	}
	if held, _ := fold(t, store, "sub_1").Held(wrong.Key); held.Epoch != 24 {
		t.Errorf("epoch %d, want the next generation", held.Epoch)
	}
	if types := typesOf(t, store, "subscription-sub_1"); !slices.Contains(types, "SubscriptionRestated") {
		t.Errorf("not noted: %v", types)
	}
}

func appendFact(t *testing.T, store eventstore.Store, stream eventstore.Stream, f aggregate.Fact) {
	t.Helper()
	data, err := aggregate.Encode(aggregate.Event{Fact: &f})
	if err != nil {
		t.Fatal(err)
	}
	event := eventstore.ProposedEvent{ID: eventstore.DeriveID(stream, "test", string(data)), Type: string(f.Type), Data: data, Metadata: []byte(`{}`)}
	if _, err := store.Append(t.Context(), stream, eventstore.Any, event); err != nil {
		t.Fatal(err)
	}
}

// fileFailed records that an earlier build could not post an event.
func fileFailed(t *testing.T, store eventstore.Store, id string) {
	t.Helper()
	data, err := json.Marshal(posting.Failed{Schema: 1, StripeEventID: id, EventType: updated, Reason: "not understood", FailedAt: now})
	if err != nil {
		t.Fatal(err)
	}
	stream := eventstore.NewStream(posting.FailureCategory, id)
	event := eventstore.ProposedEvent{ID: eventstore.DeriveID(stream, "earlier"), Type: posting.FailedType, Data: data, Metadata: []byte(`{}`)}
	if _, err := store.Append(t.Context(), stream, eventstore.NoStream, event); err != nil {
		t.Fatal(err)
	}
}

func TestRepostRepairsWhatFailed(t *testing.T) {
	store := sqlitetest.Open(t)
	bad := subscriptionEvent("evt_bad", updated, "active", "price_basic", now)
	delete(bad.object, "status")
	record(t, store, append(story(), bad)...)
	fileFailed(t, store, "evt_1")
	p := newPoster(store)
	mustRepost(t, p, posting.RepostPlan{Selection: posting.Selection{Events: []string{"evt_bad"}}})
	wantTypes(t, store, "posting-evt_bad", posting.FailedType)
	plan := posting.RepostPlan{Selection: posting.Selection{Failed: true}}
	result := mustRepost(t, p, plan)
	wantOutcome(t, result,
		posting.RepostedEvent{StripeEventID: "evt_1", EventType: created, Outcome: posting.OutcomePosted, Added: 1, Repaired: true},
		posting.RepostedEvent{StripeEventID: "evt_bad", EventType: updated, Outcome: posting.OutcomeFailed})
	if result.Failed != 1 || result.Repaired != 1 || result.Added != 1 || result.Looked != 2 {
		t.Errorf("sums %+v", result)
	}
	wantTypes(t, store, "posting-evt_1", posting.FailedType, posting.RepairedType)
	wantOutcome(t, mustRepost(t, p, plan), posting.RepostedEvent{StripeEventID: "evt_bad", EventType: updated, Outcome: posting.OutcomeFailed})
	wantTypes(t, store, "posting-evt_bad", posting.FailedType) // told once
}

func TestWhatFailsAgainAfterARepairIsToldAgain(t *testing.T) {
	store := sqlitetest.Open(t)
	bad := subscriptionEvent("evt_bad", updated, "active", "price_basic", now)
	delete(bad.object, "status")
	postUpTo(t, newPoster(store), record(t, store, bad))
	stream := eventstore.NewStream(posting.FailureCategory, "evt_bad")
	repaired := eventstore.ProposedEvent{ID: eventstore.DeriveID(stream, "x"), Type: posting.RepairedType, Data: []byte(`{"schema":1}`), Metadata: []byte(`{}`)}
	if _, err := store.Append(t.Context(), stream, eventstore.Exactly(0), repaired); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		mustRepost(t, newPoster(store), posting.RepostPlan{Selection: posting.Selection{Events: []string{"evt_bad"}}})
		wantTypes(t, store, stream, posting.FailedType, posting.RepairedType, posting.FailedType)
	}
}

func TestRepostAddsWhatWasNeverPosted(t *testing.T) {
	store := sqlitetest.Open(t)
	deliveries := renamedStory()
	postUpTo(t, newPoster(store), record(t, store, deliveries[0]))
	other := subscriptionEvent("evt_4", "price.created", "active", "price_basic", now)
	record(t, store, deliveries[1], deliveries[2], other)
	result := mustRepost(t, otherKeys(store), posting.RepostPlan{Selection: posting.Selection{Unposted: true}})
	wantOutcome(t, result,
		posting.RepostedEvent{StripeEventID: "evt_2", EventType: failed, Outcome: posting.OutcomePosted, Added: 1},
		posting.RepostedEvent{StripeEventID: "evt_3", EventType: updated, Outcome: posting.OutcomePosted, Added: 1})
	if held, _ := fold(t, store, "sub_1").Held(aggregate.FactKey{StripeEventID: "evt_1"}); held.Epoch != 0 || held.Subscription.Account != "team-1" {
		t.Errorf("what was there changed: %+v", held)
	}
}

func TestRepostSaysWhatItDoesNotPost(t *testing.T) {
	store := sqlitetest.Open(t)
	live := subscriptionEvent("evt_live", created, "active", "price_basic", now)
	live.livemode = true
	price := subscriptionEvent("evt_price", "price.created", "active", "price_basic", now)
	record(t, store, live, price)
	p := newPoster(store)
	wantOutcome(t, mustRepost(t, p, posting.RepostPlan{Selection: posting.Selection{Events: []string{"evt_live", "evt_none", "evt_price", "", "evt_none"}}}),
		posting.RepostedEvent{StripeEventID: "evt_none", Outcome: posting.OutcomeUnknown},
		posting.RepostedEvent{StripeEventID: "", Outcome: posting.OutcomeUnknown},
		posting.RepostedEvent{StripeEventID: "evt_live", EventType: created, Outcome: posting.OutcomeSkipped},
		posting.RepostedEvent{StripeEventID: "evt_price", EventType: "price.created", Outcome: posting.OutcomeSkipped})
	for _, s := range []posting.Selection{{}, {Failed: true, Unposted: true}, {Events: []string{"evt_1"}, Type: created}, {Type: "product.created"}} {
		if _, err := p.Repost(t.Context(), posting.RepostPlan{Selection: s}); err == nil {
			t.Errorf("took %+v", s)
		}
	}
}

// TestASignedEntryWinsOverACorrectedUnsignedOne: a correction must not shut out
// what a better entry says.
func TestASignedEntryWinsOverACorrectedUnsignedOne(t *testing.T) {
	store := sqlitetest.Open(t)
	unsigned := renamedStory()[0]
	unsigned.unsigned = true
	postUpTo(t, newPoster(store), record(t, store, unsigned))
	mustRepost(t, otherKeys(store), posting.RepostPlan{Selection: posting.Selection{Type: created}})
	if account := truthOf(t, store, "sub_1").Link.Account; account != "club-1" {
		t.Fatalf("account %q after the correction", account)
	}
	genuine := subscriptionEvent("evt_1", created, "active", "price_premium", now)
	last := record(t, store, genuine)
	postUpTo(t, newPoster(store), last)
	truth := truthOf(t, store, "sub_1")
	if truth.Tier != "premium" || truth.Link.Account != "team-1" {
		t.Errorf("tier %q, account %q: want those of the signed entry", truth.Tier, truth.Link.Account)
	}
	if held, _ := fold(t, store, "sub_1").Held(aggregate.FactKey{StripeEventID: "evt_1"}); held.Epoch != intake.MaxEntries+1 {
		t.Errorf("epoch %d, want %d", held.Epoch, intake.MaxEntries+1)
	}
}

// TestPostingAllAgainRepairsWhatAnEarlierBuildFailed: as after a checkpoint that
// was lost.
func TestPostingAllAgainRepairsWhatAnEarlierBuildFailed(t *testing.T) {
	store := sqlitetest.Open(t)
	last := record(t, store, story()...)
	fileFailed(t, store, "evt_1")
	postUpTo(t, newPoster(store), last)
	wantTypes(t, store, "posting-evt_1", posting.FailedType, posting.RepairedType)
}

func TestAReadableVariantRepairsWhatFailed(t *testing.T) {
	store := sqlitetest.Open(t)
	broken := subscriptionEvent("evt_1", created, "active", "price_basic", now)
	broken.unsigned = true
	delete(broken.object, "status")
	postUpTo(t, newPoster(store), record(t, store, broken))
	wantTypes(t, store, "posting-evt_1", posting.FailedType)
	postUpTo(t, newPoster(store), record(t, store, story()[0]))
	wantTypes(t, store, "posting-evt_1", posting.FailedType, posting.RepairedType)
}

const forged = "it was forged by hand"

func TestARepudiatedEventIsOutOfForceForEver(t *testing.T) {
	store := sqlitetest.Open(t)
	upgrade := subscriptionEvent("evt_4", updated, "active", "price_premium", now.Add(2*time.Hour))
	last := record(t, store, append(story()[:1], upgrade)...)
	p := newPoster(store)
	postUpTo(t, p, last)
	if tier := truthOf(t, store, "sub_1").Tier; tier != "premium" {
		t.Fatalf("tier %q before", tier)
	}
	first, err := p.Repudiate(t.Context(), posting.RepudiationPlan{StripeEventID: "evt_4", Actor: "ann", Reason: forged})
	if err != nil || first.Already || first.Facts != 1 || !slices.Equal(first.Streams, []eventstore.Stream{"subscription-sub_1"}) {
		t.Fatalf("%+v, %v", first, err)
	}
	if tier := truthOf(t, store, "sub_1").Tier; tier != "basic" {
		t.Errorf("tier %q after", tier)
	}
	types := typesOf(t, store, "subscription-sub_1")
	if !slices.Contains(types, "Repudiated") || !slices.Contains(types, "SubscriptionRestated") {
		t.Errorf("the stream holds %v", types)
	}
	again, err := newPoster(store).Repudiate(t.Context(), posting.RepudiationPlan{StripeEventID: "evt_4", Actor: "bob", Reason: "another reason, later"})
	if err != nil || !again.Already || again.Facts != 0 || again.Actor != "ann" || again.Reason != forged {
		t.Errorf("again: %+v, %v", again, err)
	}
	wantOutcome(t, mustRepost(t, newPoster(store), posting.RepostPlan{Selection: posting.Selection{Events: []string{"evt_4"}}}),
		posting.RepostedEvent{StripeEventID: "evt_4", EventType: updated, Outcome: posting.OutcomeSkipped})
	fresh := otherKeys(store)
	fresh.Epoch = "another"
	postUpTo(t, fresh, last)
	wantTypes(t, store, "subscription-sub_1", types...)
	wantTypes(t, store, "posting-evt_4", posting.RepudiatedType)
}

func TestRepudiationReachesEverythingTheEventEverGave(t *testing.T) {
	store := sqlitetest.Open(t)
	last := record(t, store, story()...)
	p := newPoster(store)
	postUpTo(t, p, last)
	// An earlier build gave a second fact, which this one does not.
	once, _ := fold(t, store, "sub_1").Held(aggregate.FactKey{StripeEventID: "evt_3"})
	once.Key.Ordinal = 1
	appendFact(t, store, "subscription-sub_1", once)
	result, err := p.Repudiate(t.Context(), posting.RepudiationPlan{StripeEventID: "evt_3", Actor: "ann", Reason: forged})
	if err != nil || result.Facts != 2 {
		t.Fatalf("%+v, %v", result, err)
	}
	for _, key := range fold(t, store, "sub_1").KeysOf("evt_3") {
		if held, _ := fold(t, store, "sub_1").Held(key); held.Type != aggregate.Repudiated || held.Epoch != aggregate.RepudiatedEpoch {
			t.Errorf("%v is %+v", key, held)
		}
	}
}

func TestWhatIsRepudiatedBeforeItIsPostedNeverCounts(t *testing.T) {
	store := sqlitetest.Open(t)
	last := record(t, store, story()[0])
	if _, err := newPoster(store).Repudiate(t.Context(), posting.RepudiationPlan{StripeEventID: "evt_1", Actor: "ann", Reason: forged}); err != nil {
		t.Fatal(err)
	}
	variant := subscriptionEvent("evt_1", created, "active", "price_premium", now)
	last = max(last, record(t, store, variant))
	p := newPoster(store)
	postUpTo(t, p, last)
	wantTypes(t, store, "subscription-sub_1", "Repudiated")
	if g := p.Progress(); g.Posted != 0 || g.Failed != 0 {
		t.Errorf("progress %+v", g)
	}
}

func TestARepudiatedFailureIsSettled(t *testing.T) {
	store := sqlitetest.Open(t)
	bad := subscriptionEvent("evt_bad", updated, "active", "price_basic", now)
	delete(bad.object, "status")
	postUpTo(t, newPoster(store), record(t, store, bad))
	result, err := newPoster(store).Repudiate(t.Context(), posting.RepudiationPlan{StripeEventID: "evt_bad", Actor: "ann", Reason: forged})
	if err != nil || result.Facts != 0 || len(result.Streams) != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	result2 := mustRepost(t, newPoster(store), posting.RepostPlan{Selection: posting.Selection{Failed: true}})
	if result2.Looked != 0 {
		t.Errorf("still failing: %+v", result2)
	}
	wantTypes(t, store, "posting-evt_bad", posting.FailedType, posting.RepudiatedType)
}

func TestRepudiateRefuses(t *testing.T) {
	store := sqlitetest.Open(t)
	record(t, store, story()...)
	p := newPoster(store)
	for _, id := range []string{"evt_none", "", strings.Repeat("e", 2000)} {
		if _, err := p.Repudiate(t.Context(), posting.RepudiationPlan{StripeEventID: id, Actor: "ann", Reason: forged}); !errors.Is(err, posting.ErrUnknownEvent) {
			t.Errorf("%.20q: %v", id, err)
		}
	}
	for _, reason := range []string{"", "short", "         pad         ", strings.Repeat("x", 501), "with a\nnew line in it"} {
		if _, err := p.Repudiate(t.Context(), posting.RepudiationPlan{StripeEventID: "evt_1", Actor: "ann", Reason: reason}); err == nil {
			t.Errorf("took the reason %.20q", reason)
		}
	}
	for _, actor := range []string{"", "a\x00b", strings.Repeat("x", 201)} {
		if _, err := p.Repudiate(t.Context(), posting.RepudiationPlan{StripeEventID: "evt_1", Actor: actor, Reason: forged}); err == nil {
			t.Errorf("took the actor %.20q", actor)
		}
	}
	wantTypes(t, store, "subscription-sub_1")
}

// TestRepudiationReachesAVariantThatComesMeanwhile: which another node posts, that
// has not been told yet.
func TestRepudiationReachesAVariantThatComesMeanwhile(t *testing.T) {
	store := sqlitetest.Open(t)
	postUpTo(t, newPoster(store), record(t, store, unsigned(itemed("evt_1", "sub_1", "price_x", "basic", "prod_1", now))))
	meanwhile := &interrupted{Store: store, stream: "subscription-sub_1", happen: func() {
		postUpTo(t, newPoster(store), record(t, store, itemed("evt_1", "sub_2", "price_x", "basic", "prod_1", now)))
	}}
	result, err := newPoster(meanwhile).Repudiate(t.Context(), posting.RepudiationPlan{StripeEventID: "evt_1", Actor: "ann", Reason: forged})
	if err != nil || result.Already || len(result.Streams) != 2 {
		t.Errorf("%+v, %v", result, err)
	}
	if got := inForce(t, store); len(got) > 0 {
		t.Errorf("in force: %q", got)
	}
}
