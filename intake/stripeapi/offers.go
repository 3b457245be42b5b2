package stripeapi

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
)

// Product is what an account sells by subscription.
type Product struct {
	ID     string
	Name   string
	Active bool
	// Prices are its recurring ones, the cheapest first.
	Prices []Price
}

// Price is one recurring price of a product.
type Price struct {
	ID        string
	LookupKey string
	Active    bool
	Currency  string
	// Amount is in minor units, for a unit and an interval; it is nil where tiers
	// decide.
	Amount *int64
	// Interval is day, week, month or year, and Count how many of them.
	Interval string
	Count    int64
}

// Monthly is about what the price is a month, in minor units, 0 if tiers decide.
func (p Price) Monthly() int64 {
	if p.Amount == nil {
		return 0
	}
	perYear := map[string]int64{"day": 365, "week": 52, "month": 12, "year": 1}[p.Interval]
	return *p.Amount * perYear / (12 * max(p.Count, 1))
}

// monthly is that of its cheapest price.
func (p Product) monthly() int64 {
	if len(p.Prices) == 0 {
		return 0
	}
	return p.Prices[0].Monthly()
}

// Offers lists the products that have recurring prices, the cheapest first. Those
// that are no longer sold are among them: somebody may still have them.
func (c *Client) Offers(ctx context.Context) ([]Product, error) {
	names, err := c.productNames(ctx)
	if err != nil {
		return nil, err
	}
	products := map[string]*Product{}
	listing := Listing{Resource: Prices, Where: map[string]string{"type": "recurring"}}
	for page, err := range c.List(ctx, listing) {
		if err != nil {
			return nil, err
		}
		for _, o := range page.Objects {
			if err := addPrice(products, names, o.Raw); err != nil {
				return nil, err
			}
		}
	}
	offers := make([]Product, 0, len(products))
	for _, p := range products {
		slices.SortFunc(p.Prices, func(a, b Price) int { return cmp.Or(cmp.Compare(a.Monthly(), b.Monthly()), cmp.Compare(a.ID, b.ID)) })
		offers = append(offers, *p)
	}
	slices.SortFunc(offers, func(a, b Product) int { return cmp.Or(cmp.Compare(a.monthly(), b.monthly()), cmp.Compare(a.ID, b.ID)) })
	return offers, nil
}

func (c *Client) productNames(ctx context.Context) (map[string]Product, error) {
	names := map[string]Product{}
	for page, err := range c.List(ctx, Listing{Resource: Products}) {
		if err != nil {
			return nil, err
		}
		for _, o := range page.Objects {
			var wire struct {
				Name   string `json:"name"`
				Active bool   `json:"active"`
			}
			if err := json.Unmarshal(o.Raw, &wire); err != nil {
				return nil, &Error{Kind: Unreadable, Doing: Products.listing()}
			}
			names[o.ID] = Product{ID: o.ID, Name: wire.Name, Active: wire.Active}
		}
	}
	return names, nil
}

// addPrice files a price under its product.
func addPrice(products map[string]*Product, names map[string]Product, raw []byte) error {
	var wire struct {
		ID         string `json:"id"`
		Active     bool   `json:"active"`
		Currency   string `json:"currency"`
		LookupKey  string `json:"lookup_key"`
		Product    string `json:"product"`
		UnitAmount *int64 `json:"unit_amount"`
		Recurring  *struct {
			Interval string `json:"interval"`
			Count    int64  `json:"interval_count"`
		} `json:"recurring"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil || wire.Product == "" {
		return &Error{Kind: Unreadable, Doing: Prices.listing()}
	}
	if wire.Recurring == nil {
		return nil
	}
	if products[wire.Product] == nil {
		p, found := names[wire.Product]
		if !found {
			p = Product{ID: wire.Product, Name: wire.Product} // archived away
		}
		products[wire.Product] = &p
	}
	p := products[wire.Product]
	p.Prices = append(p.Prices, Price{ID: wire.ID, LookupKey: wire.LookupKey, Active: wire.Active, Currency: wire.Currency,
		Amount: wire.UnitAmount, Interval: wire.Recurring.Interval, Count: wire.Recurring.Count})
	return nil
}
