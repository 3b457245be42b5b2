package stripeapi

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// Price is one price of a product.
type Price struct {
	ID        string
	LookupKey string
	Product   string
	Active    bool
	Currency  string
	// Amount is in minor units, for a unit and an interval; it is nil where tiers
	// decide.
	Amount *int64
	// Interval is day, week, month or year, and Count how many of them. It is empty
	// for a price that is paid once.
	Interval string
	Count    int64
	// Metered says that usage is billed, so that there is no quantity to choose.
	Metered bool
}

// Monthly is about what the price is a month, in minor units, 0 if tiers decide.
func (p Price) Monthly() int64 {
	if p.Amount == nil {
		return 0
	}
	perYear := map[string]int64{"day": 365, "week": 52, "month": 12, "year": 1}[p.Interval]
	return *p.Amount * perYear / (12 * max(p.Count, 1))
}

// decodePrice reads a price as Stripe renders it.
func decodePrice(raw []byte, doing string) (Price, error) {
	var wire struct {
		ID         string `json:"id"`
		Active     bool   `json:"active"`
		Currency   string `json:"currency"`
		LookupKey  string `json:"lookup_key"`
		Product    string `json:"product"`
		UnitAmount *int64 `json:"unit_amount"`
		Recurring  *struct {
			Interval  string `json:"interval"`
			Count     int64  `json:"interval_count"`
			UsageType string `json:"usage_type"`
		} `json:"recurring"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil || wire.Product == "" {
		return Price{}, &Error{Kind: Unreadable, Doing: doing}
	}
	p := Price{ID: wire.ID, LookupKey: wire.LookupKey, Product: wire.Product, Active: wire.Active, Currency: wire.Currency, Amount: wire.UnitAmount}
	if r := wire.Recurring; r != nil {
		p.Interval, p.Count, p.Metered = r.Interval, max(r.Count, 1), r.UsageType == "metered"
	}
	return p, nil
}

// Price returns one price. One that never was is an error of the kind NotFound.
func (c *Client) Price(ctx context.Context, id string) (Price, error) {
	o, err := c.Fetch(ctx, Prices, id)
	if err != nil {
		return Price{}, err
	}
	return decodePrice(o.Raw, Prices.fetching(id))
}

// keysAtOnce is how many lookup keys one request may name.
const keysAtOnce = 10

// PricesByKey lists the active recurring prices that have one of the lookup keys.
func (c *Client) PricesByKey(ctx context.Context, keys ...string) ([]Price, error) {
	var all []Price
	for some := range slices.Chunk(keys, keysAtOnce) {
		where := map[string]string{}
		for i, key := range some {
			where[fmt.Sprintf("lookup_keys[%d]", i)] = key
		}
		prices, err := c.offered(ctx, where)
		if err != nil {
			return nil, err
		}
		all = append(all, prices...)
	}
	return all, nil
}

// PricesOf lists the active recurring prices of a product. A product that Stripe
// does not know has none.
func (c *Client) PricesOf(ctx context.Context, product string) ([]Price, error) {
	prices, err := c.offered(ctx, map[string]string{"product": product})
	if IsMissing(err, "product") {
		return nil, nil
	}
	return prices, err
}

// offered lists the active recurring prices that have something in common.
func (c *Client) offered(ctx context.Context, where map[string]string) ([]Price, error) {
	where["active"], where["type"] = "true", "recurring"
	var all []Price
	for page, err := range c.List(ctx, Listing{Resource: Prices, Where: where}) {
		if err != nil {
			return nil, err
		}
		for _, o := range page.Objects {
			p, err := decodePrice(o.Raw, Prices.listing())
			if err != nil {
				return nil, err
			}
			all = append(all, p)
		}
	}
	return all, nil
}
