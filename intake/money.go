package intake

import (
	"slices"
	"strings"

	"github.com/daybookhq/daybook/aggregate"
)

// checkMoney checks that an amount of money is told: how much, and of what.
func checkMoney(currency *word, amount *whole, field string) error {
	switch {
	case currency == nil:
		return unreadable("currency", "missing")
	case amount == nil:
		return unreadable(field, "missing")
	}
	return nil
}

// currency is a currency as facts write it.
func currency(told *word) string { return strings.ToLower(string(valueOf(told))) }

// moneyFlags names what is odd about money that can be read all the same: an
// amount below zero, a currency that is not three letters. An object without
// money may tell no currency.
func moneyFlags(told *word, amounts ...int64) []string {
	var flags []string
	if slices.ContainsFunc(amounts, func(amount int64) bool { return amount < 0 }) {
		flags = append(flags, aggregate.FlagNegativeAmount)
	}
	if told != nil && !knownCurrency(currency(told)) {
		flags = append(flags, aggregate.FlagUnknownCurrency)
	}
	return flags
}

// knownCurrency reports three letters, as ISO 4217 and Stripe's own are.
func knownCurrency(currency string) bool {
	for i := range len(currency) {
		if currency[i] < 'a' || currency[i] > 'z' {
			return false
		}
	}
	return len(currency) == 3
}
