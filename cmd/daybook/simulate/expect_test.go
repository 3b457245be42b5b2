package simulate

import (
	"bytes"
	"cmp"
	"testing"
	"time"
)

// These ends are written by hand: the rules, one by one.
func TestExpectationRules(t *testing.T) {
	now := testEnd
	ago := func(d time.Duration) int64 { return now.Add(-d).Unix() }
	sub := func(id, status, tier string, created, owes int64) *subscription {
		return &subscription{id: id, status: status, mapped: tier, goodTier: tier, created: created, delinquent: owes}
	}
	raised := sub("s", "past_due", "elite", 1, ago(time.Hour))
	raised.goodTier = "basic"
	pending := sub("s", "active", "basic", 1, ago(time.Hour))
	pendingLong := sub("s", "active", "basic", 1, ago(2*Grace))
	for name, c := range map[string]struct {
		subs                             []*subscription
		tier, status, reason, id, member string
		inGrace                          bool
	}{
		"none":              {nil, "starter", "", "free", "", "100", false},
		"active":            {[]*subscription{sub("s", "active", "elite", 1, 0)}, "elite", "active", "subscription", "s", "10000", false},
		"trialing":          {[]*subscription{sub("s", "trialing", "basic", 1, 0)}, "basic", "trialing", "subscription", "s", "500", false},
		"in grace":          {[]*subscription{sub("s", "past_due", "premium", 1, ago(Grace-time.Second))}, "premium", "past_due", "grace", "s", "1000", true},
		"grace over":        {[]*subscription{sub("s", "past_due", "premium", 1, ago(Grace))}, "starter", "past_due", "expired_grace", "s", "100", false},
		"raised in grace":   {[]*subscription{raised}, "basic", "past_due", "grace", "s", "500", true},
		"nothing owed":      {[]*subscription{sub("s", "past_due", "premium", 1, 0)}, "premium", "past_due", "nothing_owed", "s", "1000", false},
		"owed while active": {[]*subscription{pending}, "basic", "active", "subscription", "s", "500", true},
		"owed for long":     {[]*subscription{pendingLong}, "basic", "active", "subscription", "s", "500", false},
		"unknown price":     {[]*subscription{sub("s", "active", "", 1, 0)}, "starter", "active", "unmapped_price", "s", "100", false},
		"enterprise":        {[]*subscription{sub("s", "active", "enterprise", 1, 0)}, "enterprise", "active", "subscription", "s", "unlimited", false},
		"expired beginning": {[]*subscription{sub("s", "incomplete_expired", "elite", 1, 0)}, "starter", "incomplete_expired", "canceled", "s", "100", false},
		"better wins":       {[]*subscription{sub("a", "active", "elite", 1, 0), sub("b", "active", "basic", 2, 0)}, "elite", "active", "subscription", "a", "10000", false},
		"newer wins":        {[]*subscription{sub("b", "active", "basic", 1, 0), sub("a", "trialing", "basic", 2, 0)}, "basic", "trialing", "subscription", "a", "500", false},
		"accessible wins":   {[]*subscription{sub("a", "unpaid", "elite", 2, 0), sub("b", "active", "", 1, 0)}, "starter", "active", "unmapped_price", "b", "100", false},
		"best of denied":    {[]*subscription{sub("a", "canceled", "elite", 3, 0), sub("b", "unpaid", "basic", 1, 0), sub("c", "paused", "elite", 2, 0)}, "starter", "unpaid", "unpaid", "b", "100", false},
	} {
		x := accountEnd{account: "a", subscriptions: c.subs}.at(now)
		if x.Tier != c.tier || x.Status != c.status || x.Reason != c.reason || x.SubscriptionID != c.id || x.Members != c.member || x.InGrace != c.inGrace {
			t.Errorf("%s: %+v", name, x)
		}
	}
}

// Retries and further invoices do not move the moment from which grace counts:
// that of the first past_due, or, if the first failure was not told, that of
// the invoice's finalization; or the due date.
func TestGraceCountsFromTheFirstFailure(t *testing.T) {
	for seed := range uint64(2) {
		run := testRun(seed, len(lifecycles))
		for _, x := range run.Expect {
			if x.Status != "past_due" || x.Reason == "nothing_owed" {
				continue
			}
			first := firstFailure(t, run, x)
			anchor := x.GraceUntil.Add(-Grace)
			if late := first.Sub(anchor); late < 0 || late > time.Second {
				t.Errorf("seed %d, %s: grace counts from %s, first past_due at %s", seed, x.Lifecycle, anchor, first)
			}
		}
	}
}

// firstFailure is when events first tell that the deciding subscription owes.
func firstFailure(t *testing.T, run *Run, x Expectation) time.Time {
	t.Helper()
	attempted, due := false, 0.0
	for _, d := range run.Deliveries {
		if !bytes.Contains(d.Body, []byte(x.SubscriptionID)) {
			continue
		}
		e := decodeEvent(t, d.Body)
		switch {
		case d.Type == "customer.subscription.updated" && e.id() == x.SubscriptionID && e.text("data.object.status") == "past_due":
			if due != 0 {
				return time.Unix(int64(due), 0).UTC()
			}
			return d.Created
		case d.Type == "invoice.finalized" && x.Lifecycle == "invoice by mail overdue, told late":
			at, _ := e.at("data.object.due_date")
			due, _ = at.(float64)
		case d.Type == "invoice.payment_failed" && x.Lifecycle == "first failure unseen" && !attempted:
			finalized, _ := e.at("data.object.status_transitions.finalized_at")
			attempts, _ := e.at("data.object.attempt_count")
			if billedSubscription(e) == x.SubscriptionID && attempts.(float64) > 1 {
				return time.Unix(int64(finalized.(float64)), 0).UTC()
			}
			attempted = attempted || billedSubscription(e) == x.SubscriptionID
		}
	}
	return time.Time{}
}

// billedSubscription is the subscription that an invoice's event names.
func billedSubscription(e decoded) string {
	return cmp.Or(e.text("data.object.subscription"), e.text("data.object.parent.subscription_details.subscription"))
}

func TestCalendarMonths(t *testing.T) {
	at := func(s string) int64 {
		m, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return m.Unix()
	}
	for _, c := range []struct {
		from string
		n    int
		to   string
	}{{"2025-01-31", 1, "2025-02-28"}, {"2025-01-31", 2, "2025-03-31"}, {"2024-01-30", 1, "2024-02-29"}, {"2025-03-15", -4, "2024-11-15"}, {"2025-05-31", 12, "2026-05-31"}} {
		if got := addMonths(at(c.from), c.n); got != at(c.to) {
			t.Errorf("%s and %d months: %s, want %s", c.from, c.n, time.Unix(got, 0).UTC(), c.to)
		}
	}
	if start, n := monthsBefore(at("2025-03-31"), 1); start != at("2025-01-31") || n != 2 {
		t.Errorf("before 2025-03-31: %s, %d months", time.Unix(start, 0).UTC(), n)
	}
}
