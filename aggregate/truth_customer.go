package aggregate

import "time"

// CustomerTruth is what is true of one Stripe customer.
type CustomerTruth struct {
	ID string `json:"id"`
	// Link is the claim of the customer's metadata on an account, with the rank
	// LinkCustomer; the zero Link if there is none, or the customer was deleted.
	Link      Link   `json:"link,omitzero"`
	Deleted   bool   `json:"deleted,omitempty"`
	TestClock string `json:"test_clock,omitempty"`
	// StripeFeatures is Stripe's own summary of entitlements, shown for comparison.
	StripeFeatures []string `json:"stripe_features,omitempty"`
	Flags          []string `json:"flags,omitempty"`

	LastOccurredAt time.Time `json:"last_occurred_at,omitzero"`
	Position       uint64    `json:"position"`
}

// ClockTruth is what is true of one Stripe test clock.
type ClockTruth struct {
	ID string `json:"id"`
	// Now is the latest time at which the clock was frozen.
	Now      time.Time `json:"now,omitzero"`
	Deleted  bool      `json:"deleted,omitempty"`
	Position uint64    `json:"position"`
}
