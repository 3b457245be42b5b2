package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// subscriptionEvent is an event about a subscription of an account, in the
// shape of API version 2024-06-20.
func subscriptionEvent(id, kind, sub, account, status string, at time.Time, more string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"object":"event","api_version":"2024-06-20","type":%q,"created":%d,"livemode":false,"pending_webhooks":1,
"data":{"object":{"id":%q,"object":"subscription","customer":"cus_%s","status":%q,"metadata":{"account_id":%q},
"collection_method":"charge_automatically","created":%d,"current_period_start":%d,"current_period_end":%d,"latest_invoice":"in_%s",
"items":{"object":"list","has_more":false,"data":[{"id":"si_%s","object":"subscription_item","quantity":1,
"price":{"id":"price_basic","object":"price","product":"prod_basic"}}]}}%s}}`,
		id, kind, at.Unix(), sub, sub, status, account, at.Add(-720*time.Hour).Unix(), at.Unix(), at.Add(720*time.Hour).Unix(), sub, sub, more)
}

// quietTime is a time at which nothing is about to happen.
func quietTime() time.Time { return time.Now().Add(-48 * time.Hour).Truncate(time.Second) }

// failedInvoice says that the payment of a renewal failed at its first attempt.
func failedInvoice(id, sub string, at time.Time) []byte {
	return fmt.Appendf(nil, `{"id":%q,"object":"event","api_version":"2024-06-20","type":"invoice.payment_failed","created":%d,"livemode":false,"pending_webhooks":1,
"data":{"object":{"id":"in_%s","object":"invoice","subscription":%q,"customer":"cus_%s","status":"open","billing_reason":"subscription_cycle",
"attempt_count":1,"attempted":true,"paid":false,"amount_due":2900,"amount_paid":0,"amount_remaining":2900,"currency":"usd","total":2900,"created":%d,
"collection_method":"charge_automatically","status_transitions":{"finalized_at":%d},"lines":{"object":"list","data":[]}}}}`,
		id, at.Unix(), sub, sub, sub, at.Add(-time.Hour).Unix(), at.Unix())
}

// graceAnswer is what the test reads of an entitlement.
type graceAnswer struct {
	Tier, Status, Reason string
	InGrace              bool      `json:"in_grace"`
	GraceUntil           time.Time `json:"grace_until"`
	AsOf                 time.Time `json:"as_of"`
	SubscriptionID       string    `json:"subscription_id"`
}

// TestGraceEndsOnTheSecond lets a grace run out while it is being asked about.
// Each answer must be right for its own moment, and for every moment at which
// it can have been given.
func TestGraceEndsOnTheSecond(t *testing.T) {
	t.Parallel()
	onEachStore(t, graceEndsOnTheSecond)
}

func graceEndsOnTheSecond(t *testing.T, dir string) {
	t.Helper()
	s := start(t, development(dir))
	failed := time.Now().Add(3*time.Second - 24*time.Hour).Truncate(time.Second)
	ends := failed.Add(24 * time.Hour).UTC()
	const sub, account = "sub_grace", "acme"
	s.mustDeliver(subscriptionEvent("evt_g1", "customer.subscription.created", sub, account, "active", failed.Add(-720*time.Hour), ""), "recorded")
	s.mustDeliver(failedInvoice("evt_g2", sub, failed), "recorded")
	s.mustDeliver(subscriptionEvent("evt_g3", "customer.subscription.updated", sub, account, "past_due", failed, `,"previous_attributes":{"status":"active"}`), "recorded")

	sawGrace := false
	eventually(t, "grace ends", func() bool {
		asked := time.Now()
		var e graceAnswer
		s.get("/v1/entitlements/"+account, &e)
		answered := time.Now()
		if e.Status != "past_due" { // not posted yet
			return false
		}
		wantGrace(t, e, ends)
		if answered.Before(ends) && !e.InGrace || !asked.Before(ends) && e.InGrace {
			t.Fatalf("asked at %s, answered at %s, grace ends at %s: %+v", asked, answered, ends, e)
		}
		sawGrace = sawGrace || e.InGrace
		return !e.InGrace
	})
	if !sawGrace {
		t.Error("grace was over before it was seen: the flip is unproven")
	}
	wantExpiryNoted(t, s, sub, ends)
	s.stop()
}

// wantGrace checks an answer against the moment that it names.
func wantGrace(t *testing.T, e graceAnswer, ends time.Time) {
	t.Helper()
	reason, tier := "expired_grace", "starter"
	if e.AsOf.Before(ends) {
		reason, tier = "grace", "basic"
	}
	if e.InGrace != e.AsOf.Before(ends) || e.Reason != reason || e.Tier != tier {
		t.Fatalf("as of %s, with grace until %s: %+v", e.AsOf, ends, e)
	}
	if e.InGrace && !e.GraceUntil.Equal(ends) {
		t.Fatalf("grace until %s: want %s", e.GraceUntil, ends)
	}
}

// wantExpiryNoted waits for the note, which must not come before its time, and
// once only.
func wantExpiryNoted(t *testing.T, s *server, sub string, ends time.Time) {
	t.Helper()
	var notes []recordedEvent
	eventually(t, "the end of grace is noted", func() bool {
		notes = nil
		for _, e := range s.stream("subscription-" + sub) {
			if e.Type == "GracePeriodExpired" {
				notes = append(notes, e)
			}
		}
		return len(notes) > 0
	})
	if len(notes) != 1 || notes[0].RecordedAt.Before(ends) {
		t.Errorf("notes of a grace that ended at %s: %+v", ends, notes)
	}
}

// recordedEvent is what the tests read of an event in an answer.
type recordedEvent struct {
	Stream, Type string
	Position     uint64
	RecordedAt   time.Time `json:"recorded_at"`
}

// stream reads a stream over HTTP; one that is not there yet is empty.
func (s *server) stream(name string) []recordedEvent {
	s.t.Helper()
	if a := s.ask("/v1/streams/"+name, s.key); a.status == http.StatusNotFound {
		return nil
	}
	var page struct{ Events []recordedEvent }
	s.get("/v1/streams/"+name+"?limit=100", &page)
	return page.Events
}
