package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// decided records what an operator decided on an account.
func (r *rig) decided(account string, d aggregate.Decision) {
	r.Helper()
	d.DecidedAt, d.Actor, d.Reason = r.clock.Now(), "ann", "as agreed"
	data, err := aggregate.Encode(aggregate.Event{Decision: &d})
	if err != nil {
		r.Fatal(err)
	}
	_, err = r.store.Append(r.Context(), eventstore.NewStream("account", account), eventstore.Any,
		eventstore.ProposedEvent{ID: uuid.New(), Type: string(d.Type), Data: data, Metadata: []byte(`{}`)})
	if err != nil {
		r.Fatal(err)
	}
}

// stripeEvent is a Stripe event about any object.
func stripeEvent(id, kind string, created time.Time, object string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"object":"event","api_version":"2024-06-20","created":%d,"livemode":false,`+
		`"pending_webhooks":1,"request":null,"type":%q,"data":{"object":%s}}`, id, created.Unix(), kind, object)
}

func TestAnAccountTellsWhatBelongsToIt(t *testing.T) {
	r := newRig(t)
	r.send(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "", "active", "price_premium"))
	r.send(stripeEvent("evt_2", "customer.created", noon, fmt.Sprintf(
		`{"id":"cus_sub_1","object":"customer","created":%d,"metadata":{"account_id":"team-1"}}`, noon.Unix())))
	r.send(stripeEvent("evt_3", "charge.refunded", noon, fmt.Sprintf(
		`{"id":"ch_1","object":"charge","created":%d,"customer":"cus_sub_1","payment_intent":"pi_1","invoice":null,"status":"succeeded",`+
			`"paid":true,"captured":true,"currency":"usd","amount":2900,"amount_captured":2900,"amount_refunded":900,"refunded":false,"disputed":false}`, noon.Unix())))
	r.decided("team-1", aggregate.Decision{Type: aggregate.WaiverGranted, Waiver: "wv_1", Tier: "elite", Until: noon.Add(time.Hour)})
	r.decided("team-1", aggregate.Decision{Type: aggregate.GraceExtended, Until: noon.Add(2 * time.Hour)})
	r.settle()

	a := r.get("/v1/accounts/team-1")
	for name, want := range map[string]string{
		"customers":   `["cus_sub_1"]`,
		"grace_until": `"2026-03-02T14:00:00Z"`,
		"flags":       `["account_invalid"]`, // the subscription's metadata names an empty account
		"payments":    `{"received":[{"amount":2900,"currency":"usd"}],"refunded":[{"amount":900,"currency":"usd"}],"lost":[],"credited":[]}`,
	} {
		var wanted any
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a[name], wanted) {
			t.Errorf("%s: %v, want %s", name, a[name], want)
		}
	}
	links := a["links"].([]any)
	if link := links[0].(map[string]any); len(links) != 2 || link["subscription"] != "sub_1" || link["by"] != "customer" || link["stripe_event_id"] != "evt_2" {
		t.Errorf("links %v", links)
	}
	if w := a["waivers"].([]any)[0].(map[string]any); w["id"] != "wv_1" || w["tier"] != "elite" || w["granted_by"] != "ann" {
		t.Errorf("waivers %v", a["waivers"])
	}
	if e := a["entitlement"].(map[string]any); e["tier"] != "elite" || e["source"] != "waiver" || e["valid_until"] == nil {
		t.Errorf("entitlement %v", e)
	}
	if s := a["subscriptions"].([]any)[0].(map[string]any); s["account"] != "team-1" {
		t.Errorf("subscription %v", s)
	}
	if s := r.get("/v1/subscriptions?account=team-1")["subscriptions"].([]any); len(s) != 1 {
		t.Errorf("subscriptions of the claimed account: %v", s)
	}
}

func TestAnAccountThatIsOnlyDecidedOnIsKnown(t *testing.T) {
	r := newRig(t)
	r.decided("team-9", aggregate.Decision{Type: aggregate.AccountBlocked})
	r.settle()
	a := r.get("/v1/accounts/team-9")
	if block := a["block"].(map[string]any); block["blocked_by"] != "ann" || block["reason"] != "as agreed" {
		t.Errorf("block %v", block)
	}
	if e := r.get("/v1/entitlements/team-9"); e["known"] != true || e["source"] != "blocked" {
		t.Errorf("entitlement %v", e)
	}
	if a := r.do(http.MethodGet, "/v1/accounts/team-10", opsKey, nil, nil); a.status != http.StatusNotFound {
		t.Errorf("an account of which nothing is known: %s", a)
	}
}

// With as_of, a subscription belongs where its customer's claim put it then.
func TestASubscriptionBelongsWhereItDidThen(t *testing.T) {
	r := newRig(t)
	r.send(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "", "active", "price_premium"))
	r.send(stripeEvent("evt_2", "customer.updated", noon.Add(time.Hour), fmt.Sprintf(
		`{"id":"cus_sub_1","object":"customer","created":%d,"metadata":{"account_id":"team-1"}}`, noon.Unix())))
	r.settle()
	for at, want := range map[string]string{"": "team-1", "?as_of=2026-03-02T12:30:00Z": "cus_sub_1", "?as_of=2026-03-02T13:00:00Z": "team-1"} {
		if s := r.get("/v1/subscriptions/sub_1" + at); s["account"] != want {
			t.Errorf("%s: account %v, want %s", at, s["account"], want)
		}
	}
}
