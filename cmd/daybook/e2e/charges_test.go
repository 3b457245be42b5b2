package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// moneyEvent is an event of an old version about an object, given by its members.
func moneyEvent(id, kind string, at time.Time, members string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"object":"event","api_version":"2018-02-06","type":%q,"created":%d,"livemode":false,"pending_webhooks":1,
"data":{"object":{%s,"created":%d}}}`, id, kind, at.Unix(), members, at.Unix())
}

// paidByIntent are the events of a subscription whose only invoice was paid by an
// intent, and of what followed, which names nothing but the charge.
func paidByIntent(id string, at time.Time) map[string][]byte {
	later := at.Add(time.Hour)
	return map[string][]byte{
		"subscription": subscriptionEvent("evt_"+id+"1", "customer.subscription.created", "sub_"+id, "acme-"+id, "active", at, ""),
		"invoice": moneyEvent("evt_"+id+"2", "invoice.paid", at, fmt.Sprintf(`"object":"invoice","id":"in_%s","subscription":"sub_%s","customer":"cus_sub_%s",
"status":"paid","paid":true,"billing_reason":"subscription_create","attempt_count":1,"currency":"usd","amount_due":2900,"amount_paid":2900,
"amount_remaining":0,"total":2900,"lines":{"object":"list","data":[]},"status_transitions":{"paid_at":%d}`, id, id, id, at.Unix())),
		"intent": moneyEvent("evt_"+id+"3", "payment_intent.succeeded", at, fmt.Sprintf(`"object":"payment_intent","id":"pi_%s","customer":"cus_sub_%s",
"invoice":"in_%s","status":"succeeded","currency":"usd","amount":2900,"amount_received":2900,"charges":{"object":"list","data":[{"id":"ch_%s","object":"charge"}]}`, id, id, id, id)),
		"refund": moneyEvent("evt_"+id+"4", "refund.created", later, fmt.Sprintf(`"object":"refund","id":"re_%s","charge":"ch_%s","status":"succeeded","currency":"usd","amount":2900`, id, id)),
		"refunded": moneyEvent("evt_"+id+"5", "charge.refunded", later, fmt.Sprintf(`"object":"charge","id":"ch_%s","payment_intent":"pi_%s","customer":"cus_sub_%s","invoice":"in_%s",
"status":"succeeded","paid":true,"captured":true,"currency":"usd","amount":2900,"amount_refunded":2900,"refunded":true`, id, id, id, id)),
		"dispute": moneyEvent("evt_"+id+"6", "charge.dispute.closed", later, fmt.Sprintf(`"object":"dispute","id":"dp_%s","charge":"ch_%s","payment_intent":null,"status":"lost","reason":"fraudulent","currency":"usd","amount":2900`, id, id)),
	}
}

// TestWhatNamesOnlyTheChargeCounts refunds a payment in full, and contests it, by
// events that name its charge and no intent, in several orders, under a catalog
// that denies access for it.
func TestWhatNamesOnlyTheChargeCounts(t *testing.T) {
	t.Parallel()
	catalog := writeCatalog(t, "free_tier: starter\non_full_refund: deny\ntiers:\n- {id: starter, name: Starter}\n- {id: basic, name: Basic, prices: [price_basic]}\n")
	s := start(t, development("", "--catalog", catalog))
	at := quietTime()
	orders := map[string][]string{
		"a": {"subscription", "invoice", "intent", "refund", "dispute"},
		"b": {"refund", "dispute", "intent", "invoice", "subscription"},
		"c": {"dispute", "subscription", "refunded", "intent", "refund", "invoice"},
		"d": {"intent", "refund", "refunded", "subscription", "dispute", "invoice"},
	}
	for id, order := range orders {
		events := paidByIntent(id, at)
		for _, name := range order {
			s.mustDeliver(events[name], "recorded")
			s.settle()
		}
		s.mustDeliver(events["refund"], "duplicate")
	}
	type account struct {
		Payments struct{ Received, Refunded, Lost []struct{ Amount int64 } }
	}
	once := []struct{ Amount int64 }{{2900}}
	for id := range orders {
		var a account
		s.get("/v1/accounts/acme-"+id, &a)
		if p := a.Payments; !slices.Equal(p.Received, once) || !slices.Equal(p.Refunded, once) || !slices.Equal(p.Lost, once) {
			t.Errorf("%s: %+v", id, p)
		}
		if e := s.entitlement("acme-" + id); e.Tier != "starter" || e.Reason != "refunded" {
			t.Errorf("%s: %+v", id, e)
		}
		if out := mustRun(t, "show", "account", "acme-"+id, "--data-dir", s.dir); !strings.Contains(out, "refunded") {
			t.Errorf("shown: %s", out)
		}
		before := mustRun(t, "show", "account", "acme-"+id, "--data-dir", s.dir, "--as-of", at.Format(time.RFC3339))
		if !strings.Contains(before, "basic") {
			t.Errorf("shown as of before the refund: %s", before)
		}
	}
	if a := s.ask("/v1/streams/payment-ch_a", devKey); a.status != http.StatusOK {
		t.Errorf("the charge's own stream: %d %s", a.status, a.body)
	}
	s.stop()
	wantRebuildEqual(t, s.dir)
}
