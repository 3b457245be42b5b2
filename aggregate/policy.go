package aggregate

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Policy is what a catalog lets an occasion do to the access that a
// subscription's status would give.
type Policy string

// The policies. Keep and Grant are the defaults: the status alone decides.
const (
	// PolicyKeep and PolicyDeny are for disputes, full refunds and pauses of
	// collection.
	PolicyKeep Policy = "keep"
	PolicyDeny Policy = "deny"
	// PolicyGrant and PolicyWait are for a payment at checkout that takes days
	// to settle: with wait, nothing is granted until it has, nor if it failed.
	PolicyGrant Policy = "grant"
	PolicyWait  Policy = "wait"
)

// policySettings are the keys of a catalog that set a policy, each with its
// default and its other value.
var policySettings = []struct {
	key            string
	of             func(*Catalog) *Policy
	normal, strict Policy
}{
	{"on_dispute", func(c *Catalog) *Policy { return &c.OnDispute }, PolicyKeep, PolicyDeny},
	{"on_full_refund", func(c *Catalog) *Policy { return &c.OnFullRefund }, PolicyKeep, PolicyDeny},
	{"on_pause_collection", func(c *Catalog) *Policy { return &c.OnPauseCollection }, PolicyKeep, PolicyDeny},
	{"async_payment", func(c *Catalog) *Policy { return &c.AsyncPayment }, PolicyGrant, PolicyWait},
}

func policyKeys() []string {
	keys := make([]string, len(policySettings))
	for i, s := range policySettings {
		keys[i] = s.key
	}
	return keys
}

// policyFaults checks the policies that a catalog sets. Of a value that is no
// text the decoder complains.
func policyFaults(top map[string]json.RawMessage) CatalogFaults {
	var faults CatalogFaults
	for _, s := range policySettings {
		var value *Policy
		if raw, set := top[s.key]; !set || json.Unmarshal(raw, &value) != nil {
			continue
		}
		if value == nil || *value != s.normal && *value != s.strict {
			faults = append(faults, fmt.Sprintf("%s: want %s or %s", s.key, s.normal, s.strict))
		}
	}
	return faults
}

// dropDefaults writes each default as the empty string, so that to say it and
// not to say it is the same catalog.
func (c *Catalog) dropDefaults() {
	for _, s := range policySettings {
		if p := s.of(c); *p == s.normal {
			*p = ""
		}
	}
}

// denies says whether the catalog's policies deny what the subscription's
// status grants, and why. Payments are those of its account.
func (c *Catalog) denies(t *SubscriptionTruth, payments []PaymentTruth) (Reason, bool) {
	switch {
	case c.AsyncPayment == PolicyWait && t.PaymentPending:
		return ReasonPaymentPending, true
	case c.AsyncPayment == PolicyWait && slices.Contains(t.Flags, FlagCheckoutFailed):
		return ReasonCheckoutFailed, true // what was waited for did not come
	case c.OnDispute == PolicyDeny && t.disputed(payments):
		return ReasonDisputed, true
	case c.OnFullRefund == PolicyDeny && t.refunded(payments):
		return ReasonRefunded, true
	case c.OnPauseCollection == PolicyDeny && t.PauseCollection != "":
		return ReasonCollectionPaused, true
	}
	return "", false
}

// disputed reports whether a dispute of a payment of any of the subscription's
// invoices is open or was lost.
func (t *SubscriptionTruth) disputed(payments []PaymentTruth) bool {
	return slices.ContainsFunc(payments, func(p PaymentTruth) bool {
		return p.Contested() && slices.ContainsFunc(t.Invoices, func(in InvoiceTruth) bool { return p.pays(in) })
	})
}

// refunded reports whether all that the latest paid invoice brought in was
// given back. An invoice may have been paid in parts.
func (t *SubscriptionTruth) refunded(payments []PaymentTruth) bool {
	for _, in := range slices.Backward(t.Invoices) {
		if in.Status != "paid" {
			continue
		}
		fully, sum := false, int64(0)
		for _, p := range payments {
			if p.pays(in) {
				fully = fully || p.FullyRefunded()
				sum += p.Refunded
			}
		}
		return fully && sum >= in.Paid
	}
	return false
}

func (p *PaymentTruth) pays(in InvoiceTruth) bool { return p.Invoice == in.ID }
