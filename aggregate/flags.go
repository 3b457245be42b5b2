package aggregate

import "slices"

// addFlags adds those flags that are not there yet.
func addFlags(flags []string, more ...string) []string {
	for _, f := range more {
		if !slices.Contains(flags, f) {
			flags = append(flags, f)
		}
	}
	return flags
}

// flagMoney adds what is odd about amounts that cannot be negative, and about
// their currency, which only nothing at all can be without.
func flagMoney(flags []string, currency string, amounts ...int64) []string {
	zero := true
	for _, amount := range amounts {
		zero = zero && amount == 0
		if amount < 0 {
			flags = addFlags(flags, FlagNegativeAmount)
		}
	}
	if currency == "" && zero || isCurrency(currency) {
		return flags
	}
	return addFlags(flags, FlagUnknownCurrency)
}

// isCurrency reports whether it has the form of a currency code as Stripe writes
// it: three letters from a to z. Which of these exist is Stripe's to say.
func isCurrency(code string) bool {
	if len(code) != 3 {
		return false
	}
	for _, c := range []byte(code) {
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}
