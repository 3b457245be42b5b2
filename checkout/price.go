package checkout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/intake/stripeapi"
)

// objectID is the form of Stripe's ids, as far as it matters to us: nothing that
// would lead a request elsewhere.
var objectID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$`)

// lines finds the prices of an order. The error is Faults, or Stripe's.
func (d *Desk) lines(ctx context.Context, o Order) ([]stripeapi.Line, error) {
	c := d.Catalog()
	price, err := d.price(ctx, o, c)
	if err != nil {
		return nil, err
	}
	if price.Metered && o.Quantity > 0 {
		return nil, Faults{{"quantity", "has no meaning: the price " + price.ID + " bills what is used"}}
	}
	lines := []stripeapi.Line{lineOf(price, o.Quantity)}
	var faults Faults
	for _, name := range slices.Sorted(maps.Keys(o.Addons)) {
		addon, err := d.addon(ctx, name, price, c)
		var wrong Faults
		switch {
		case errors.As(err, &wrong):
			faults = append(faults, wrong...)
		case err != nil:
			return nil, err
		case addon.Metered && o.Addons[name] > 1:
			faults = append(faults, Fault{addonField(name), "wants 1: the price " + addon.ID + " bills what is used"})
		default:
			lines = append(lines, lineOf(addon, o.Addons[name]))
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return lines, nil
}

func lineOf(p stripeapi.Price, quantity int64) stripeapi.Line {
	if p.Metered {
		return stripeapi.Line{Price: p.ID}
	}
	return stripeapi.Line{Price: p.ID, Quantity: max(quantity, 1)}
}

// price finds the price of what an order is of.
func (d *Desk) price(ctx context.Context, o Order, c *aggregate.Catalog) (stripeapi.Price, error) {
	if o.Price == "" {
		return d.priceOfTier(ctx, o, c)
	}
	p, err := d.namedPrice(ctx, "price", o.Price)
	if err != nil {
		return p, err
	}
	switch of := matchOf(c, p); {
	case of.Addon != "":
		return p, Faults{{"price", "is of the add-on " + of.Addon + ", which is bought beside a tier: name it in addons"}}
	case of.Tier == "":
		return p, Faults{{"price", "is in no place of the catalog: who paid it would get nothing for it"}}
	case of.Tier == c.FreeTier:
		return p, Faults{{"price", "is of the free tier"}}
	case o.Tier != "" && o.Tier != of.Tier:
		return p, Faults{{"price", "is of the tier " + of.Tier}}
	case o.Interval != "" && o.Interval != every(p):
		return p, Faults{{"interval", "is not that of the price, which is " + every(p)}}
	}
	return p, nil
}

// namedPrice asks for a price by its id, and wants one that can be subscribed to.
func (d *Desk) namedPrice(ctx context.Context, field, id string) (stripeapi.Price, error) {
	p, err := d.Stripe.Price(ctx, id)
	switch {
	case stripeapi.IsKind(err, stripeapi.NotFound):
		return p, Faults{{field, "is no price that Stripe has"}}
	case err != nil:
		return p, err
	case !p.Active:
		return p, Faults{{field, "is archived at Stripe, and no longer sold"}}
	case p.Interval == "":
		return p, Faults{{field, "is paid once: a subscription wants a recurring price"}}
	}
	return p, nil
}

// priceOfTier finds the one price of a tier that an order can mean.
func (d *Desk) priceOfTier(ctx context.Context, o Order, c *aggregate.Catalog) (stripeapi.Price, error) {
	tier, _ := c.Tier(o.Tier)
	offered, err := d.offered(ctx, tier.Prices, func(p stripeapi.Price) bool { return matchOf(c, p).Tier == tier.ID })
	if err != nil {
		return stripeapi.Price{}, err
	}
	fitting := offered
	if o.Interval != "" {
		fitting = slices.DeleteFunc(slices.Clone(offered), func(p stripeapi.Price) bool { return every(p) != o.Interval })
	}
	intervals := intervalsOf(offered)
	switch {
	case len(fitting) == 1:
		return fitting[0], nil
	case len(offered) == 0:
		return stripeapi.Price{}, Faults{{"tier", "cannot be bought: Stripe has no active recurring price among " + strings.Join(tier.Prices, ", ")}}
	case len(fitting) == 0:
		return stripeapi.Price{}, Faults{{"interval", "is none at which the tier is sold: want " + strings.Join(intervals, " or ")}}
	case o.Interval == "" && len(intervals) == len(offered):
		return stripeapi.Price{}, Faults{{"interval", "is missing, and the tier has several prices: want " + strings.Join(intervals, " or ")}}
	}
	return stripeapi.Price{}, Faults{{"price", "is missing, and several prices fit: want one of " + described(fitting)}}
}

// addon finds the price of an add-on that can stand beside another price: Stripe
// bills what is bought together at one interval, in one currency.
func (d *Desk) addon(ctx context.Context, name string, beside stripeapi.Price, c *aggregate.Catalog) (stripeapi.Price, error) {
	field := addonField(name)
	fits := func(p stripeapi.Price) bool { return every(p) == every(beside) && p.Currency == beside.Currency }
	like := every(beside) + ", in " + beside.Currency
	addon, is := addonOf(c, name)
	if !is {
		p, err := d.namedPrice(ctx, field, name)
		switch {
		case err != nil:
			return p, err
		case matchOf(c, p).Addon == "":
			return p, Faults{{field, "is no price of an add-on of the catalog"}}
		case !fits(p):
			return p, Faults{{field, "does not go with " + beside.ID + ", which is paid every " + like}}
		}
		return p, nil
	}
	offered, err := d.offered(ctx, addon.Prices, func(p stripeapi.Price) bool { return matchOf(c, p).Addon == addon.ID && fits(p) })
	switch {
	case err != nil:
		return stripeapi.Price{}, err
	case len(offered) == 0:
		return stripeapi.Price{}, Faults{{field, "cannot be bought beside " + beside.ID + ": Stripe has no active price of it that is paid every " + like}}
	case len(offered) > 1:
		return stripeapi.Price{}, Faults{{field, "has several prices that fit: name one of " + described(offered) + " instead"}}
	}
	return offered[0], nil
}

// askedAtOnce bounds the questions to Stripe of one order at a time.
const askedAtOnce = 4

// offered asks Stripe for the active recurring prices that entries of the catalog
// stand for, those that fit, in the order of the entries.
func (d *Desk) offered(ctx context.Context, entries []string, fits func(stripeapi.Price) bool) ([]stripeapi.Price, error) {
	found := make([][]stripeapi.Price, len(entries))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(askedAtOnce)
	for i, entry := range entries {
		group.Go(func() (err error) {
			found[i], err = d.pricesOf(ctx, entry)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var offered []stripeapi.Price
	for _, p := range slices.Concat(found...) {
		known := slices.ContainsFunc(offered, func(q stripeapi.Price) bool { return q.ID == p.ID })
		if !known && p.Active && p.Interval != "" && fits(p) {
			offered = append(offered, p)
		}
	}
	return offered, nil
}

// pricesOf asks Stripe what one entry of the catalog stands for. One that Stripe
// does not have stands for nothing.
func (d *Desk) pricesOf(ctx context.Context, entry string) ([]stripeapi.Price, error) {
	if key, is := strings.CutPrefix(entry, "lookup:"); is {
		return d.Stripe.PricesByKey(ctx, key)
	}
	if product, is := strings.CutPrefix(entry, "product:"); is {
		return d.Stripe.PricesOf(ctx, product)
	}
	p, err := d.Stripe.Price(ctx, entry)
	if stripeapi.IsKind(err, stripeapi.NotFound) {
		return nil, nil
	}
	return []stripeapi.Price{p}, err
}

// matchOf is what a price stands for in the catalog.
func matchOf(c *aggregate.Catalog, p stripeapi.Price) aggregate.PriceMatch {
	return c.Match(aggregate.Item{Price: p.ID, LookupKey: p.LookupKey, Product: p.Product})
}

// every says how often a price is paid: "month", "3 months".
func every(p stripeapi.Price) string {
	if p.Count == 1 {
		return p.Interval
	}
	return fmt.Sprintf("%d %ss", p.Count, p.Interval)
}

// intervalsOf lists the intervals of prices, each once.
func intervalsOf(prices []stripeapi.Price) []string {
	var all []string
	for _, p := range prices {
		if !slices.Contains(all, every(p)) {
			all = append(all, every(p))
		}
	}
	return all
}

// described names prices, and what tells them apart.
func described(prices []stripeapi.Price) string {
	all := make([]string, len(prices))
	for i, p := range prices {
		all[i] = fmt.Sprintf("%s (%s, %s)", p.ID, every(p), p.Currency)
	}
	return strings.Join(all, ", ")
}

// addonField is how a fault names one of the add-ons of an order.
func addonField(name string) string {
	if utf8.RuneCountInString(name) > 64 {
		name = string([]rune(name)[:64]) + "…"
	}
	return "addons." + name
}
