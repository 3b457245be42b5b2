package simulate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// entitlement is what the check reads of an entitlement's answer.
type entitlement struct {
	Account        string                     `json:"account"`
	Known          bool                       `json:"known"`
	Tier           string                     `json:"tier"`
	Status         string                     `json:"status"`
	Reason         string                     `json:"reason"`
	Source         string                     `json:"source"`
	InGrace        bool                       `json:"in_grace"`
	GraceUntil     time.Time                  `json:"grace_until"`
	SubscriptionID string                     `json:"subscription_id"`
	Features       []string                   `json:"features"`
	Limits         map[string]json.RawMessage `json:"limits"`
}

// subscriptionAnswer is what the check reads of a subscription's answer.
type subscriptionAnswer struct {
	ID          string  `json:"id"`
	Account     string  `json:"account"`
	Status      string  `json:"status"`
	Tier        string  `json:"tier"`
	Paid        []Money `json:"paid"`
	Delinquency struct {
		Anchor     time.Time `json:"anchor"`
		GraceUntil time.Time `json:"grace_until"`
	} `json:"delinquency"`
}

// differ gathers what differs for one account.
type differ struct {
	account string
	found   []Mismatch
}

func (d *differ) text(field, want, got string) {
	if want != got {
		d.found = append(d.found, Mismatch{d.account, field, want, got})
	}
}

func (d *differ) moment(field string, want, got time.Time) {
	d.text(field, shown(want), shown(got))
}

// shown writes a time so that equal moments are equal texts.
func shown(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func (d *differ) entitlement(want Expectation, got entitlement) {
	d.text("account", want.Account, got.Account)
	if len(want.Subscriptions) > 0 {
		d.text("known", "true", strconv.FormatBool(got.Known))
	}
	d.text("tier", want.Tier, got.Tier)
	d.text("status", want.Status, got.Status)
	d.text("reason", want.Reason, got.Reason)
	d.text("source", want.Source, got.Source)
	d.text("in_grace", strconv.FormatBool(want.InGrace), strconv.FormatBool(got.InGrace))
	// A grace that is over may be told or not; one that never was, may not.
	if want.InGrace || !got.GraceUntil.IsZero() {
		d.moment("grace_until", want.GraceUntil, got.GraceUntil)
	}
	// Who is denied may be told by which subscription, or not.
	if want.Source == "subscription" || got.SubscriptionID != "" {
		d.text("subscription_id", want.SubscriptionID, got.SubscriptionID)
	}
	d.text("features", sorted(want.Features), sorted(got.Features))
	d.text("limits.members", want.Members, strings.Trim(string(got.Limits["members"]), `"`))
	d.text("limits", "1", strconv.Itoa(len(got.Limits)))
}

func sorted(words []string) string {
	words = slices.Clone(words)
	slices.Sort(words)
	return strings.Join(words, " ")
}

func (d *differ) subscription(want SubscriptionExpectation, got subscriptionAnswer) {
	field := func(name string) string { return "subscription " + want.ID + " " + name }
	d.text(field("id"), want.ID, got.ID)
	d.text(field("account"), want.Account, got.Account)
	d.text(field("status"), want.Status, got.Status)
	d.text(field("tier"), want.Tier, got.Tier)
	d.moment(field("delinquency.anchor"), want.Anchor, got.Delinquency.Anchor)
	d.moment(field("delinquency.grace_until"), want.GraceUntil, got.Delinquency.GraceUntil)
	d.text(field("paid"), amounts(want.Paid), amounts(got.Paid))
}

// amounts writes sums by currency; nothing paid is the same as none told.
func amounts(paid []Money) string {
	paid = slices.Clone(paid)
	slices.SortFunc(paid, func(a, b Money) int { return cmp.Compare(a.Currency, b.Currency) })
	var words []string
	for _, m := range paid {
		if m.Amount != 0 {
			words = append(words, fmt.Sprintf("%d %s", m.Amount, m.Currency))
		}
	}
	return strings.Join(words, ", ")
}
