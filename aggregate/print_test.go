package aggregate

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// sameAsMarshal prints a value, and compares with encoding/json.
func sameAsMarshal[T any](t *rapid.T, p *print[T], value T) {
	t.Helper()
	got, err := p.encode(&value)
	want, wantErr := json.Marshal(value)
	if !bytes.Equal(got, want) || (err == nil) != (wantErr == nil) {
		t.Fatalf("printed\n%s, %v\nwant\n%s, %v", got, err, want, wantErr)
	}
}

// anyText is mostly what needs no escape, so that a print gets to its end.
func anyText() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringMatching(`[a-z_0-9 ./~!]{0,12}`), rapid.StringMatching(`[a-z_0-9]{0,12}`), rapid.String())
}

func anyMoment() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		at := time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "seconds"), 0)
		switch rapid.IntRange(0, 20).Draw(t, "kind") {
		case 0:
			return at.In(time.FixedZone("", 3600))
		case 1:
			return time.Date(10_000+at.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
		case 2:
			return time.Time{}
		case 3, 4, 5:
			return at.Add(time.Duration(rapid.IntRange(0, 999_999_999).Draw(t, "nanoseconds"))).UTC()
		}
		return at.UTC()
	})
}

func anyTexts() *rapid.Generator[[]string] {
	return rapid.OneOf(rapid.Just([]string(nil)), rapid.SliceOfN(anyText(), 0, 3))
}

func anyItems() *rapid.Generator[[]Item] {
	return rapid.OneOf(rapid.Just([]Item(nil)), rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Item {
		return Item{Price: anyText().Draw(t, "price"), Quantity: rapid.Int64().Draw(t, "quantity"), PeriodEnd: anyMoment().Draw(t, "end")}
	}), 0, 3))
}

func TestPrintsAreWhatEncodingJSONWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		truth := SubscriptionTruth{
			ID: anyText().Draw(t, "id"), Status: Status(anyText().Draw(t, "status")), Items: anyItems().Draw(t, "items"),
			TrialEnd: anyMoment().Draw(t, "trial"), CancelAtPeriodEnd: rapid.Bool().Draw(t, "ends"),
			Flags: anyTexts().Draw(t, "flags"), Position: rapid.Uint64().Draw(t, "position"),
			LastOccurredAt: anyMoment().Draw(t, "last"),
		}
		if rapid.Bool().Draw(t, "delinquent") {
			truth.Delinquency = &Delinquency{Anchor: anyMoment().Draw(t, "anchor"), Invoice: anyText().Draw(t, "invoice")}
		}
		if rapid.Bool().Draw(t, "linked") {
			truth.Link = Link{Account: anyText().Draw(t, "account"), Rank: LinkRank(rapid.Int().Draw(t, "rank")), OccurredAt: anyMoment().Draw(t, "linked at")}
		}
		truth.Paid = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Money {
			return Money{rapid.Int64().Draw(t, "amount"), anyText().Draw(t, "currency")}
		}), 0, 2).Draw(t, "paid")
		sameAsMarshal(t, truthPrint, truth)

		e := Entitlement{
			Account: anyText().Draw(t, "account"), Known: rapid.Bool().Draw(t, "known"), Features: anyTexts().Draw(t, "features"),
			Items: []EntitlementItem{{Price: "p", Quantity: 1}}[:rapid.IntRange(0, 1).Draw(t, "paid for")],
			AsOf:  anyMoment().Draw(t, "as of"), Stale: rapid.Bool().Draw(t, "stale"), ValidUntil: anyMoment().Draw(t, "valid"),
		}
		if rapid.Bool().Draw(t, "limited") {
			e.Limits = rapid.MapOfN(anyText(), rapid.Custom(func(t *rapid.T) Limit {
				return Limit(rapid.OneOf(rapid.Int64(), rapid.Just(int64(math.MaxInt64))).Draw(t, "limit"))
			}), 0, 4).Draw(t, "limits")
		}
		sameAsMarshal(t, entitlementPrint, e)
	})
}

// A print gets to its end with what there usually is: else it would be of no use.
func TestPrintsGetToTheEnd(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	if _, complete := truthPrint.write(nil, settable(SubscriptionTruth{ID: "sub_1", Status: Active, Items: []Item{{Price: "p", PeriodEnd: at}},
		Delinquency: &Delinquency{Anchor: at}, Link: Link{Account: "team-42"}, Flags: []string{"a", "b"}, Paid: []Money{{1, "usd"}},
		Invoices: []InvoiceTruth{{ID: "in_1", CreatedAt: at}}})); !complete {
		t.Error("the print gives up on a truth")
	}
	if _, complete := entitlementPrint.write(nil, settable(Entitlement{Account: "team-42", Features: []string{"x"}, AsOf: at,
		Limits: map[string]Limit{"seats": 3, "more": Unlimited}, Items: []EntitlementItem{{"p", 1}}})); !complete {
		t.Error("the print gives up on an entitlement")
	}
}

func settable[T any](value T) reflect.Value { return reflect.ValueOf(&value).Elem() }
