package aggregate

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// sameAsGeneral reads data by a form, and by the general decoder: what the form
// reads, the general decoder must read as the same.
func sameAsGeneral[T any](t interface {
	Helper()
	Fatalf(string, ...any)
}, f *form[T], data []byte) (read bool) {
	t.Helper()
	known := &Decoder{}
	got, read := f.read(data, known)
	if !read {
		return false
	}
	var want T
	if err := unmarshalStored(data, &want); err != nil {
		t.Fatalf("the form reads what the general decoder refuses (%v): %s", err, data)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("the form reads\n%+v\nthe general decoder\n%+v\nin %s", got, want, data)
	}
	return true
}

// What was stored is read by the forms, and not only at the general decoder's
// cost; decisions are few, and have none.
func TestFormsReadWhatIsStored(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "stored", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		stored := []byte(strings.TrimSpace(string(data)))
		if strings.Contains(string(stored), `"note":true`) {
			if !sameAsGeneral(t, noteForm, stored) {
				t.Errorf("the form gives up on %s", file)
			}
		} else if strings.Contains(string(stored), `"stripe_event_id"`) && !sameAsGeneral(t, factForm, stored) {
			t.Errorf("the form gives up on %s", file)
		}
	}
}

// Where a form gives up, and where it must not.
func TestFormsGiveUp(t *testing.T) {
	for data, want := range map[string]bool{
		`{}`:                                    true,
		`{"schema":1}`:                          true,
		`{"schema":1,"epoch":2}`:                true,
		`{"schema":-1}`:                         true,
		`{"schema":-0}`:                         true,
		`{"schema":999999999999999999}`:         true,
		`{"schema":1000000000000000000}`:        false,
		`{"schema":01}`:                         false,
		`{"schema":1.0}`:                        false,
		`{"schema":"1"}`:                        false,
		`{"schema":}`:                           false,
		`{"schema":null}`:                       false,
		`{"epoch":2,"schema":1}`:                false,
		`{"schema":1,"schema":1}`:               false,
		`{"Schema":1}`:                          false,
		`{"schema":1,"newer":1}`:                false,
		`{"schema":1,}`:                         false,
		`{,"schema":1}`:                         false,
		`{"schema":1}}`:                         false,
		`{"schema":1} `:                         false,
		`{ "schema":1}`:                         false,
		`{"schema":1`:                           false,
		`{"stripe_event_id":""}`:                true,
		`{"stripe_event_id":"evt_1é"}`:          true,
		`{"stripe_event_id":"evt_12345é"}`:      true,
		`{"stripe_event_id":"é` + "\xff" + `"}`: false,
		`{"stripe_event_id":"evt_123456` + "\n" + `"}`: false,
		`{"stripe_event_id":"evt_\u0031"}`:             false,
		`{"stripe_event_id":"evt_1\\"}`:                false,
		`{"stripe_event_id":"evt_1`:                    false,
		`{"occurred_at":"2026-03-01T12:00:00Z"}`:       true,
		`{"occurred_at":"2024-02-29T23:59:59Z"}`:       true,
		`{"occurred_at":"2023-02-29T00:00:00Z"}`:       false,
		`{"occurred_at":"2026-04-31T00:00:00Z"}`:       false,
		`{"occurred_at":"2026-13-01T00:00:00Z"}`:       false,
		`{"occurred_at":"2026-00-01T00:00:00Z"}`:       false,
		`{"occurred_at":"2026-01-00T00:00:00Z"}`:       false,
		`{"occurred_at":"2026-01-32T00:00:00Z"}`:       false,
		`{"occurred_at":"2026-01-01T24:00:00Z"}`:       false,
		`{"occurred_at":"2026-01-01T00:60:00Z"}`:       false,
		`{"occurred_at":"2026-01-01T00:00:60Z"}`:       false,
		`{"occurred_at":"2026-01-01T00:00:00z"}`:       false,
		`{"occurred_at":"2026-01-01T00:00:0/Z"}`:       false,
		`{"occurred_at":"2026-01-01T00:00:00.5Z"}`:     false,
		`{"occurred_at":"2026-01-01T00:00:00+01:00"}`:  false,
		`{"occurred_at":"0001-01-01T00:00:00Z"}`:       false,
		`{"subscription":{"id":"s","status":"","items":[{"price":"p","quantity":1},{"price":"q","quantity":2}]}}`: true,
		`{"subscription":{"id":"s","status":"","items":[]}}`:                                                      false,
		`{"subscription":{"id":"s","status":"","items":[{"price":"p","quantity":1},]}}`:                           false,
		`{"subscription":{"id":"s","status":"","cancel_at_period_end":false,"flags":["a","b","c"]}}`:              true,
		`{"subscription":{"id":"s","status":"","cancel_at_period_end":tru}}`:                                      false,
		`{"subscription":null}`: false,
		`[]`:                    false,
		``:                      false,
	} {
		if read := sameAsGeneral(t, factForm, []byte(data)); read != want {
			t.Errorf("%s: read by the form: %v", data, read)
		}
	}
}

// Words that fall into one slot take turns in it; none is taken for another.
func TestWordsAreNotMixedUp(t *testing.T) {
	var d Decoder
	for round := range 2 {
		for i := range 4 * wordSlots {
			want := fmt.Sprintf("word-%d", i)
			if got := d.word([]byte(want)); got != want {
				t.Fatalf("round %d: %q for %q", round, got, want)
			}
		}
	}
}

// What a form returns stays as it is when the bytes and the form are used again.
func TestReadingsShareNothing(t *testing.T) {
	data := []byte(`{"schema":1,"stripe_event_id":"evt_1","occurred_at":"2026-03-01T12:00:00Z","subscription":{"id":"sub_1","status":"active","items":[{"price":"p","quantity":1}]}}`)
	known := &Decoder{}
	first, _ := known.readFact(data)
	for i := range data {
		data[i] = 'x'
	}
	other, _ := known.readFact([]byte(`{"schema":1,"stripe_event_id":"evt_2","subscription":{"id":"sub_2","status":"paused","items":[{"price":"q","quantity":2}]}}`))
	if s := first.Subscription; s.ID != "sub_1" || s.Status != Active || s.Items[0] != (Item{Price: "p", Quantity: 1}) || first.StripeEventID != "evt_1" {
		t.Errorf("the first became %+v %+v", first, s)
	}
	if s := other.Subscription; !other.OccurredAt.IsZero() || s.ID != "sub_2" || s.Items[0].Price != "q" {
		t.Errorf("the second is %+v %+v", other, s)
	}
}

// Mutations of real facts, and facts with any texts: the form agrees with the
// general decoder, or gives up.
func TestFormsAgreeWithTheGeneralDecoder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		moment := rapid.Custom(func(t *rapid.T) time.Time {
			return time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "seconds"), 0).UTC()
		})
		s := storedFact{
			Schema: rapid.Int().Draw(t, "schema"), StripeEventID: rapid.String().Draw(t, "event"), OccurredAt: moment.Draw(t, "at"),
			Subscription: &SubscriptionSnapshot{ID: rapid.String().Draw(t, "id"), Status: Status(rapid.String().Draw(t, "status")),
				CreatedAt: moment.Draw(t, "created"), CancelAtPeriodEnd: rapid.Bool().Draw(t, "ends"),
				Items: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Item {
					return Item{Price: rapid.String().Draw(t, "price"), Quantity: rapid.Int64().Draw(t, "quantity"), PeriodEnd: moment.Draw(t, "end")}
				}), 0, 3).Draw(t, "items"),
				Flags: rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "flags")},
		}
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		sameAsGeneral(t, factForm, data)
		for range 3 {
			mutated := []byte(string(data))
			at := rapid.IntRange(0, len(mutated)-1).Draw(t, "place")
			switch rapid.IntRange(0, 2).Draw(t, "how") {
			case 0:
				mutated[at] = rapid.Byte().Draw(t, "byte")
			case 1:
				mutated = append(mutated[:at], mutated[at+1:]...)
			case 2:
				mutated = mutated[:at]
			}
			sameAsGeneral(t, factForm, mutated)
		}
	})
}

func FuzzForms(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "stored", "*.json"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(strings.TrimSpace(string(data))))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sameAsGeneral(t, factForm, data)
		sameAsGeneral(t, noteForm, data)
	})
}
