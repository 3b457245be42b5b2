package intake

import (
	"strings"

	"github.com/daybookhq/daybook/aggregate"
)

// checkMoney checks that an amount of money is told: how much, and of what.
func checkMoney(currency word, amount *whole, field string) error {
	switch {
	case currency == "":
		return unreadable("currency", "missing")
	case amount == nil:
		return unreadable(field, "missing")
	}
	return nil
}

// currency is a currency as facts write it.
func (w word) currency() string { return strings.ToLower(string(w)) }

// moneyFlags names what is odd about money that can be read all the same: a
// currency that is not three letters, an amount below zero. An object without
// money has no currency.
func moneyFlags(currency string, amounts ...int64) []string {
	var flags []string
	for _, amount := range amounts {
		if amount < 0 {
			flags = append(flags, aggregate.FlagNegativeAmount)
			break
		}
	}
	if currency != "" && !knownCurrency(currency) {
		flags = append(flags, aggregate.FlagUnknownCurrency)
	}
	return flags
}

func knownCurrency(currency string) bool {
	for i := range len(currency) {
		if currency[i] < 'a' || currency[i] > 'z' {
			return false
		}
	}
	return len(currency) == 3
}
