package intake_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
	"github.com/daybookhq/daybook/intake"
)

var askedAt = time.Unix(1_800_000_000, 0).UTC()

// TestAnAnswerStatesWhatAnEventOfItsSnapshotWould takes every recorded event of
// an object that the API is asked for, and its object alone.
func TestAnAnswerStatesWhatAnEventOfItsSnapshotWould(t *testing.T) {
	kinds := map[string]int{}
	for _, f := range eventFixtures(t) {
		var envelope struct {
			Account string
			Data    struct{ Object json.RawMessage }
		}
		var object struct{ ID, Object, Status string }
		if err := json.Unmarshal(f.body, &envelope); err != nil {
			t.Fatal(err)
		}
		if json.Unmarshal(envelope.Data.Object, &object) != nil || envelope.Account != "" || !intake.Told(f.kind) || !intake.Posted(object.Object) ||
			strings.HasSuffix(f.kind, ".deleted") || object.Status == "" && object.Object != "customer" {
			continue // of an account of another, or told by its name alone
		}
		told, err := translator.Translate(f.kind, f.body)
		if err != nil {
			t.Fatal(err)
		}
		observed, err := translator.Observe(intake.Observation{Kind: object.Object, ObjectID: object.ID, AskedAt: askedAt, Raw: envelope.Data.Object})
		if err != nil {
			t.Errorf("%s: %v", f.path, err)
			continue
		}
		if object.Status == "draft" || object.Object == "checkout.session" && object.Status != "complete" {
			if len(observed) > 0 {
				t.Errorf("%s: a %s %s states %+v", f.path, object.Status, object.Object, observed)
			}
			continue
		}
		kinds[object.Object]++
		if len(told) != len(observed) {
			t.Errorf("%s: %d facts: want %d", f.path, len(observed), len(told))
			continue
		}
		for i := range told {
			if !observed[i].Fact.Type.Observed() || !observed[i].Fact.OccurredAt.Equal(askedAt) || observed[i].Stream != told[i].Stream {
				t.Errorf("%s: %+v in %s", f.path, observed[i].Fact, observed[i].Stream)
			}
			want := told[i].Fact
			want.Type, want.Key, want.OccurredAt = observed[i].Fact.Type, aggregate.FactKey{}, askedAt
			if want.Subscription != nil {
				want.Subscription.Before = ""
			}
			if got := observed[i].Fact; !reflect.DeepEqual(got, want) {
				t.Errorf("%s:\n got %s\nwant %s", f.path, readable(t, got), readable(t, want))
			}
		}
	}
	for _, kind := range []string{"subscription", "customer", "invoice", "checkout.session"} {
		if kinds[kind] == 0 {
			t.Errorf("no %s among the fixtures: %v", kind, kinds)
		}
	}
}

const answered = `{"id": "sub_1", "object": "subscription", "status": "active", "livemode": false, "hosted": 1}`

// observed makes the entry of an answer.
func observed(t *testing.T, raw, last string) intake.Entry {
	t.Helper()
	o := intake.Observation{Kind: "subscription", ObjectID: "sub_1", AskedAt: askedAt, Raw: []byte(raw)}
	facts, err := translator.Observe(o)
	if err != nil || len(facts) != 1 {
		t.Fatalf("%v, %v", facts, err)
	}
	e, err := o.Entry(facts[0].Fact, last)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestTheSameAnswerIsTheSameEntry(t *testing.T) {
	first := observed(t, answered, "evt_1")
	if id := first.Envelope.ID; !strings.HasPrefix(id, "api_sub_1_") || first.Source != intake.SourceAPI || first.Secret != "" {
		t.Errorf("%+v", first.Envelope)
	}
	for name, test := range map[string]struct {
		raw, last string
		same      bool
	}{
		"what we do not read differs": {strings.Replace(answered, `"hosted": 1`, `"hosted": 2`, 1), "evt_1", true},
		"what we read differs":        {strings.Replace(answered, "active", "unpaid", 1), "evt_1", false},
		"something was told between":  {answered, "evt_2", false},
	} {
		if got := observed(t, test.raw, test.last); (got.Envelope.ID == first.Envelope.ID) != test.same {
			t.Errorf("%s: %s and %s", name, got.Envelope.ID, first.Envelope.ID)
		}
	}
}

func TestSupplyAddsOnlyWhatIsMissing(t *testing.T) {
	store := sqlitetest.Open(t)
	j := intake.NewJournal(store, atClock)
	supply := func(e intake.Entry, want bool) {
		t.Helper()
		if supplied, err := j.Supply(t.Context(), e); err != nil || supplied != want {
			t.Errorf("supplied %v, %v", supplied, err)
		}
	}
	supply(unsigned(entry(t, body(1))), true)
	supply(unsigned(entry(t, body(1))), false)
	supply(unsigned(entry(t, body(2))), false) // rendered otherwise, and no variant
	if n := len(entriesOf(t, store)); n != 1 {
		t.Errorf("%d entries", n)
	}
	// What Stripe signed is worth more, whenever it comes.
	record(t, j, entry(t, body(2)))
	if entries := entriesOf(t, store); len(entries) != 2 {
		t.Errorf("%d entries", len(entries))
	}
	supply(observed(t, answered, ""), true)
	supply(observed(t, answered, ""), false)
}

// TestAnEntryIsAnAnswerOnlyIfTheAPIGaveIt: the type of an event that somebody
// signed, or took from a file, makes no answer of it.
func TestAnEntryIsAnAnswerOnlyIfTheAPIGaveIt(t *testing.T) {
	store := sqlitetest.Open(t)
	j := intake.NewJournal(store, atClock)
	record(t, j, observed(t, answered, ""))
	forged := observed(t, answered, "")
	forged.Envelope.ID, forged.Source, forged.Secret = "evt_forged", intake.SourceWebhook, "0123abcd"
	record(t, j, forged)
	var facts []int
	for e, err := range store.ReadAll(t.Context(), 0, eventstore.Forwards, eventstore.Filter{Prefixes: []string{"stripeEvent-"}}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		stated, err := translator.TranslateEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		facts = append(facts, len(stated))
		if len(stated) > 0 && (stated[0].Fact.Key.StripeEventID != e.Stream.ID() || !stated[0].Fact.OccurredAt.Equal(askedAt)) {
			t.Errorf("%+v", stated[0].Fact)
		}
	}
	if len(facts) != 2 || facts[0] != 1 || facts[1] != 0 {
		t.Errorf("facts of the two entries: %v", facts)
	}
}
