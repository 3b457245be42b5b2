package simulate

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// PaymentTotals sum an account's payments by currency: each payment, refund and
// dispute once, however many events tell of it.
type PaymentTotals struct {
	// Received is what payments brought in, by whatever they were for. An invoice
	// that was paid out of band brought nothing.
	Received []Money `json:"received"`
	// Refunded is what was given back by refunds that did not fail.
	Refunded []Money `json:"refunded"`
	// Lost is what lost disputes took.
	Lost []Money `json:"lost"`
}

// totals sums payments.
func totals(payments []*payment) PaymentTotals {
	var t PaymentTotals
	for _, p := range payments {
		t.Received = plus(t.Received, p.received(), p.currency)
		t.Refunded = plus(t.Refunded, p.refunded, p.currency)
		t.Lost = plus(t.Lost, p.lost, p.currency)
	}
	return t
}

// plus adds an amount to sums by currency.
func plus(sums []Money, amount int64, currency string) []Money {
	for i := range sums {
		if sums[i].Currency == currency {
			sums[i].Amount += amount
			return sums
		}
	}
	return append(sums, Money{Amount: amount, Currency: currency})
}

// accountAnswer is what the check reads of an account's answer.
type accountAnswer struct {
	Account  string        `json:"account"`
	Payments PaymentTotals `json:"payments"`
}

// payments compares an account's money. An account of which nothing was ever
// told is not found.
func (c *checker) payments(ctx context.Context, d *differ, want Expectation) error {
	got := accountAnswer{Account: want.Account}
	fault, err := c.get(ctx, "/v1/accounts/"+url.PathEscape(want.Account), &got)
	if err != nil {
		return err
	}
	if fault != "" && (len(want.Subscriptions) > 0 || !strings.HasPrefix(fault, strconv.Itoa(http.StatusNotFound))) {
		d.text("account record", "200", fault)
		return nil
	}
	d.text("account record", want.Account, got.Account)
	d.text("payments.received", amounts(want.Payments.Received), amounts(got.Payments.Received))
	d.text("payments.refunded", amounts(want.Payments.Refunded), amounts(got.Payments.Refunded))
	d.text("payments.lost", amounts(want.Payments.Lost), amounts(got.Payments.Lost))
	return nil
}
