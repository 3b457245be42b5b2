package decisions_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/decisions"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

const why = "agreed with the customer"

func newBook(store eventstore.Store) *decisions.Book {
	catalog := aggregate.BuiltinCatalog()
	catalogs := aggregate.Catalogs{}.With(aggregate.CatalogAdopted{Hash: catalog.Hash(), Catalog: catalog})
	return decisions.NewBook(decisions.Config{Store: store, Now: func() time.Time { return noon },
		Catalogs: func() aggregate.Catalogs { return catalogs }})
}

func mustDecide(t *testing.T, b *decisions.Book, account string, c aggregate.Command) aggregate.AccountTruth {
	t.Helper()
	truth, err := b.Decide(t.Context(), account, c)
	if err != nil {
		t.Fatal(err)
	}
	return truth
}

func grant(id, tier string) aggregate.GrantWaiver {
	return aggregate.GrantWaiver{ID: id, Tier: tier, Reason: why, Actor: "ann"}
}

func typesOf(t *testing.T, store eventstore.Reader, account string) []string {
	t.Helper()
	var types []string
	for e, err := range store.ReadStream(t.Context(), decisions.StreamOf(account), 0, eventstore.Forwards, 0) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, e.Type)
	}
	return types
}

func TestDecisionsAreRecordedOnceAndReadBack(t *testing.T) {
	store := sqlitetest.Open(t)
	b := newBook(store)
	for range 2 {
		mustDecide(t, b, "team-1", grant("w1", "premium"))
		mustDecide(t, b, "team-1", aggregate.BlockAccount{Reason: why, Actor: "bob"})
	}
	truth := mustDecide(t, newBook(store), "team-1", aggregate.ExtendGrace{Until: noon.Add(time.Hour), Reason: why, Actor: "ann"})
	if len(truth.Waivers) != 1 || truth.Waivers[0].GrantedBy != "ann" || truth.Block == nil || truth.Block.BlockedBy != "bob" ||
		!truth.GraceUntil.Equal(noon.Add(time.Hour)) || truth.Position == 0 {
		t.Errorf("%+v", truth)
	}
	if types := typesOf(t, store, "team-1"); !slices.Equal(types, []string{"WaiverGranted", "AccountBlocked", "GraceExtended"}) {
		t.Errorf("recorded %v", types)
	}
}

func TestWhatIsRefusedIsNotRecorded(t *testing.T) {
	store := sqlitetest.Open(t)
	b := newBook(store)
	_, err := b.Decide(t.Context(), "team-1", aggregate.GrantWaiver{ID: "w1", Tier: "nosuch", Reason: "short", Actor: "ann"})
	if faults := aggregate.CommandErrors(err); len(faults) == 0 {
		t.Errorf("took it: %v", err)
	}
	if _, err := b.Decide(t.Context(), "bad\x00name", grant("w1", "basic")); len(aggregate.CommandErrors(err)) != 1 {
		t.Errorf("an account that is none: %v", err)
	}
	if _, err := b.Decide(t.Context(), "team-1", aggregate.RevokeWaiver{ID: "w1", Reason: why, Actor: "ann"}); !errors.Is(err, aggregate.ErrNoWaiver) {
		t.Errorf("revoked what was never granted: %v", err)
	}
	if types := typesOf(t, store, "team-1"); len(types) != 0 {
		t.Errorf("recorded %v", types)
	}
}

// TestManyDecideAtOnce races grants for one account: each is recorded once.
func TestManyDecideAtOnce(t *testing.T) {
	store := sqlitetest.Open(t)
	const racers = 12
	var running sync.WaitGroup
	for i := range racers {
		running.Go(func() {
			if _, err := newBook(store).Decide(t.Context(), "team-1", grant(fmt.Sprintf("w%d", i%(racers/2)), "basic")); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	waivers, err := decisions.Waivers(t.Context(), store, "team-1", noon)
	if err != nil || len(waivers) != racers/2 || len(typesOf(t, store, "team-1")) != racers/2 {
		t.Errorf("%d waivers, %v: %v", len(waivers), err, typesOf(t, store, "team-1"))
	}
}

// doubtful says of its first appends that their outcome is unknown: of one that
// happened, and of one that did not.
type doubtful struct {
	eventstore.Store
	calls atomic.Int64
}

func (d *doubtful) Append(ctx context.Context, stream eventstore.Stream, expected eventstore.ExpectedRevision, events ...eventstore.ProposedEvent) (eventstore.AppendResult, error) {
	switch d.calls.Add(1) {
	case 1:
		return eventstore.AppendResult{}, eventstore.ErrOutcomeUnknown
	case 2:
		if _, err := d.Store.Append(ctx, stream, expected, events...); err != nil {
			return eventstore.AppendResult{}, err
		}
		return eventstore.AppendResult{}, eventstore.ErrOutcomeUnknown
	}
	return d.Store.Append(ctx, stream, expected, events...)
}

func TestAnUnknownOutcomeIsLookedUp(t *testing.T) {
	store := sqlitetest.Open(t)
	truth := mustDecide(t, newBook(&doubtful{Store: store}), "team-1", aggregate.BlockAccount{Reason: why, Actor: "ann"})
	if truth.Block == nil || !slices.Equal(typesOf(t, store, "team-1"), []string{"AccountBlocked"}) {
		t.Errorf("%+v, recorded %v", truth, typesOf(t, store, "team-1"))
	}
}

func TestNothingIsDecidedOnHalfOfAStream(t *testing.T) {
	store := sqlitetest.Open(t)
	future := eventstore.ProposedEvent{ID: eventstore.DeriveID("x-1"), Type: "FromTheFuture", Data: []byte(`{}`), Metadata: []byte(`{}`)}
	if _, err := store.Append(t.Context(), decisions.StreamOf("team-1"), eventstore.NoStream, future); err != nil {
		t.Fatal(err)
	}
	if _, err := newBook(store).Decide(t.Context(), "team-1", grant("w1", "basic")); !errors.Is(err, aggregate.ErrUnknownType) {
		t.Errorf("decided: %v", err)
	}
	if _, err := decisions.Waivers(t.Context(), store, "", noon); !errors.Is(err, aggregate.ErrUnknownType) {
		t.Errorf("listed: %v", err)
	}
}

func TestWaiversOfAllAccounts(t *testing.T) {
	store := sqlitetest.Open(t)
	b := newBook(store)
	mustDecide(t, b, "zoo-2", grant("w1", "basic"))
	ending := grant("w2", "premium")
	ending.ExpiresAt = noon.Add(time.Hour)
	mustDecide(t, b, "ant", ending)
	mustDecide(t, b, "zoo-2", grant("w0", "elite"))
	mustDecide(t, b, "zoo-2", aggregate.RevokeWaiver{ID: "w1", Reason: why, Actor: "ann"})
	var got []string
	waivers, err := decisions.Waivers(t.Context(), store, "", noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range waivers {
		got = append(got, fmt.Sprintf("%s %s %v", w.Account, w.ID, w.InEffect))
	}
	want := []string{"ant w2 false", "zoo-2 w1 false", "zoo-2 w0 true"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
