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

// addPrice files a recurring price under its product.
func addPrice(products map[string]*Product, names map[string]Product, raw []byte) error {
	price, err := decodePrice(raw, Prices.listing())
	if err != nil || price.Interval == "" {
		return err
	}
	if products[price.Product] == nil {
		p, found := names[price.Product]
		if !found {
			p = Product{ID: price.Product, Name: price.Product} // archived away
		}
		products[price.Product] = &p
	}
	p := products[price.Product]
	p.Prices = append(p.Prices, price)
	return nil
}
