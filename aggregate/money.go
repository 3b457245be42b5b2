package aggregate

// Money is an amount in the minor unit of its currency (cents, or whole yen),
// as Stripe counts.
type Money struct {
	Amount int64 `json:"amount"`
	// Currency is the ISO 4217 code in lower case, as Stripe writes it.
	Currency string `json:"currency"`
}
