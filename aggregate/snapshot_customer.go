package aggregate

import "time"

// CustomerSnapshot is a Stripe customer as one event showed it, without what
// tells who it is.
type CustomerSnapshot struct {
	ID string `json:"id"`
	// Account is the account that the customer's metadata names.
	Account   string    `json:"account,omitempty"`
	Deleted   bool      `json:"deleted,omitempty"`
	TestClock string    `json:"test_clock,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	Flags     []string  `json:"flags,omitempty"`
}

// EntitlementsSnapshot is Stripe's own summary of a customer's active
// entitlements. It is shown, and decides nothing here: the catalog does.
type EntitlementsSnapshot struct {
	Customer string `json:"customer"`
	// Features are the lookup keys of the features, sorted.
	Features []string `json:"features,omitempty"`
	Flags    []string `json:"flags,omitempty"`
}

// ClockSnapshot is a Stripe test clock as one event showed it.
type ClockSnapshot struct {
	ID string `json:"id"`
	// Status is "ready", "advancing" or "internal_failure".
	Status   string    `json:"status,omitempty"`
	FrozenAt time.Time `json:"frozen_at"`
	Deleted  bool      `json:"deleted,omitempty"`
	Flags    []string  `json:"flags,omitempty"`
}
