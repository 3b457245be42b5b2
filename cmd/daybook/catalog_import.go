package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/intake/stripeapi"
)

func catalogImportCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "import", Short: "Write a catalog from the products and prices at Stripe, to be edited", Args: noArgs,
		Long: "Writes a catalog of what the Stripe account sells by subscription: a tier for each product, the cheapest\n" +
			"first, with its prices, and a free tier below. Features and limits are yours to add: see what becomes of\n" +
			"the prices in use with daybook catalog check. Needs STRIPE_API_KEY.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, _, err := askStripe(cmd)
			if err != nil {
				return err
			}
			offers, err := client.Offers(cmd.Context())
			if err != nil {
				return err
			}
			if len(offers) == 0 {
				return errors.New("the Stripe account has no recurring prices: there is nothing to make tiers of")
			}
			if out == "" {
				return writeCatalog(cmd.OutOrStdout(), offers)
			}
			return writeNewFile(out, func(w io.Writer) error { return writeCatalog(w, offers) })
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "the file to write, which must not be there yet; without it, standard output")
	return cmd
}

// writeNewFile never overwrites what somebody may have edited.
func writeNewFile(name string, write func(io.Writer) error) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// writeCatalog writes YAML with comments, as a person would begin it.
func writeCatalog(w io.Writer, offers []stripeapi.Product) error {
	var b strings.Builder
	b.WriteString("# Written from the products and prices at Stripe. A tier has the features of all\n" +
		"# tiers above it in this file: put them in order, and add features and limits.\n" +
		"grace_period: 24h\nfree_tier: free\ntiers:\n  - id: free\n    name: Free\n    features: []\n")
	ids := map[string]bool{"free": true}
	for _, p := range offers {
		fmt.Fprintf(&b, "  - id: %s\n    name: %s%s\n    features: []\n    prices:\n      - %s\n",
			tierID(p, ids), strconv.Quote(p.Name), archived(p.Active), strconv.Quote("product:"+p.ID))
		for _, price := range p.Prices {
			fmt.Fprintf(&b, "      - %s # %s%s\n", strconv.Quote(price.ID), priceText(price), archivedToo(price.Active))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func archived(active bool) string {
	if active {
		return ""
	}
	return " # archived"
}

func archivedToo(active bool) string {
	if active {
		return ""
	}
	return ", archived"
}

// tierID makes an id of a product's name that no tier has yet.
func tierID(p stripeapi.Product, taken map[string]bool) string {
	words := strings.FieldsFunc(strings.ToLower(p.Name), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	id := strings.Join(words, "_")
	if id == "" || id[0] >= '0' && id[0] <= '9' {
		id = strings.Trim("tier_"+id, "_")
	}
	for n, base := 2, id; taken[id]; n++ {
		id = fmt.Sprintf("%s_%d", base, n)
	}
	taken[id] = true
	return id
}

// priceText says what a price is, in minor units.
func priceText(p stripeapi.Price) string {
	amount := "by tiers"
	if p.Amount != nil {
		amount = fmt.Sprintf("%d %s", *p.Amount, p.Currency)
	}
	text := fmt.Sprintf("%s per %s", amount, p.Interval)
	if p.Count > 1 {
		text = fmt.Sprintf("%s per %d %ss", amount, p.Count, p.Interval)
	}
	if p.LookupKey != "" {
		text += ", lookup key " + strconv.Quote(p.LookupKey)
	}
	return text
}
