package aggregate_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// entitlements has one of every shape that readers meet.
func entitlements(t *testing.T) map[string]aggregate.Entitlement {
	t.Helper()
	full := pastDue("sub_1", "team")
	full.Items = []aggregate.Item{{Price: "price_t", Quantity: 4}, {Price: "price_s", LookupKey: "seats", Quantity: 2}}
	full.TrialEnd, full.CurrentPeriodEnd, full.CancelAt = at(-day), at(30*day), at(30*day)
	full.Flags, full.Position = []string{aggregate.FlagAmbiguous}, 17
	block := waivers(waiver("all", time.Time{}))
	block.Block, block.Position = &aggregate.Block{Reason: why, BlockedBy: "ops", BlockedAt: day0}, 21
	all := waivers(waiver("all", at(7*day)))
	all.Position = 20
	shapes := map[string]aggregate.Entitlement{}
	for name, held := range map[string]aggregate.Holding{
		"unknown":      {},
		"subscription": holding(waivers(), full),
		"waiver":       holding(all, full),
		"blocked":      holding(block, full),
	} {
		e, _ := aggregate.Entitle("team-42", held, decodeFull(t), at(time.Hour))
		e.Epoch, e.Livemode = "epoch-1", true
		shapes[name] = e
	}
	stale := shapes["waiver"]
	stale.Stale = true
	shapes["stale"] = stale
	return shapes
}

// TestThePublicShapeOfEntitlements: readers in any language rely on it. A field
// may come; none may go, be renamed, or change its meaning.
func TestThePublicShapeOfEntitlements(t *testing.T) {
	for name, e := range entitlements(t) {
		got, err := json.MarshalIndent(e, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", "entitlement", name+".json")
		if *update {
			if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if want = bytes.TrimSpace(want); !bytes.Equal(got, want) {
			t.Errorf("%s: written as\n%s\nwant\n%s", name, got, want)
		}
		var back aggregate.Entitlement
		if err := json.Unmarshal(want, &back); err != nil || !reflect.DeepEqual(back, e) {
			t.Errorf("%s: read back as %+v, %v", name, back, err)
		}
	}
}

// TestFieldsThatNoEntitlementLacks: they are there even when there is nothing
// to say, and lists and limits are never null.
func TestFieldsThatNoEntitlementLacks(t *testing.T) {
	for name, e := range entitlements(t) {
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(data, &fields); err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"account", "known", "tier", "tier_name", "status", "reason", "features", "limits", "source",
			"items", "livemode", "in_grace", "flags", "epoch", "position", "as_of", "schema"} {
			if value, there := fields[field]; !there || value == nil {
				t.Errorf("%s: %s is %v (there: %t)", name, field, value, there)
			}
		}
	}
}
