package simulate

import "testing"

// strange reports an event of another Stripe account, or of the other mode.
func (e decoded) strange() bool {
	_, connected := e.at("account")
	live, _ := e.at("livemode")
	return connected || live == true
}

// Strangers claim accounts of the run, with the highest tier, and are expected
// nowhere.
func TestStrangersClaimAccountsAndAreExpectedNowhere(t *testing.T) {
	run := testRun(1, len(lifecycles))
	accounts, expected := map[string]bool{}, map[string]bool{}
	for _, x := range run.Expect {
		accounts[x.Account] = true
		for _, s := range x.Subscriptions {
			expected[s.ID] = true
		}
	}
	var connected, otherMode int
	for _, d := range run.Deliveries {
		e := decodeEvent(t, d.Body)
		if !e.strange() || d.Type != "customer.subscription.created" {
			continue
		}
		if e.text("account") != "" {
			connected++
		} else {
			otherMode++
		}
		if object, _ := e.at("data.object.livemode"); (object == true) != (e.text("account") == "") {
			t.Errorf("%s: the object's mode is %v", d.EventID, object)
		}
		claim := e.text("data.object.metadata.account_id") + e.text("data.object.metadata.community_id")
		if !accounts[claim] || expected[e.id()] {
			t.Errorf("%s claims %q, which the run does not have, or is expected", e.id(), claim)
		}
	}
	if connected == 0 || otherMode == 0 {
		t.Errorf("%d subscriptions of connected accounts, %d of the other mode, want both", connected, otherMode)
	}
}
