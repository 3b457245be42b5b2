package checkout_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/checkout"
	"github.com/daybookhq/daybook/intake/stripeapi"
	"github.com/daybookhq/daybook/intake/stripeapi/stripetest"
)

// newShop is a rig with a catalog of every way to name prices.
func newShop(t *testing.T) *rig {
	r := newRig(t)
	r.catalog = &aggregate.Catalog{FreeTier: "free", Tiers: []aggregate.Tier{
		{ID: "free"},
		{ID: "solo", Prices: []string{"price_solo"}},
		{ID: "team", Prices: []string{"lookup:team_monthly", "lookup:team_yearly", "product:prod_team"}},
		{ID: "world", Prices: []string{"product:prod_world"}},
		{ID: "usage", Prices: []string{"price_usage"}},
		{ID: "gone", Prices: []string{"price_never", "price_archived", "price_once", "lookup:nobody", "product:prod_nobody"}},
		{ID: "byhand"},
	}, Addons: []aggregate.Addon{
		{ID: "seats", Prices: []string{"product:prod_seats"}},
		{ID: "many", Prices: []string{"product:prod_many"}},
		{ID: "traffic", Prices: []string{"price_traffic"}},
	}}
	r.sell("price_solo", "", "prod_solo", "month", 1, "usd")
	r.sell("price_team_m", "team_monthly", "prod_team", "month", 1, "usd")
	r.sell("price_team_y", "team_yearly", "prod_team", "year", 1, "usd")
	r.sell("price_team_q", "", "prod_team", "month", 3, "usd")
	r.put("price_team_old", "", "prod_team", false, `{"interval": "week", "interval_count": 1}`, "usd")
	r.sell("price_world_usd", "", "prod_world", "month", 1, "usd")
	r.sell("price_world_eur", "", "prod_world", "month", 1, "eur")
	r.sell("price_world_year", "", "prod_world", "year", 1, "eur")
	r.put("price_usage", "", "prod_usage", true, `{"interval": "month", "interval_count": 1, "usage_type": "metered"}`, "usd")
	r.put("price_traffic", "", "prod_traffic", true, `{"interval": "month", "interval_count": 1, "usage_type": "metered"}`, "usd")
	r.put("price_archived", "", "prod_gone", false, `{"interval": "month", "interval_count": 1}`, "usd")
	r.put("price_once", "", "prod_gone", true, "null", "usd")
	r.sell("price_elsewhere", "", "prod_elsewhere", "month", 1, "usd")
	r.sell("price_seats_m", "", "prod_seats", "month", 1, "usd")
	r.sell("price_seats_y", "", "prod_seats", "year", 1, "usd")
	r.sell("price_many_1", "", "prod_many", "month", 1, "usd")
	r.sell("price_many_2", "", "prod_many", "month", 1, "usd")
	return r
}

// TestWhichPriceATierStandsFor.
func TestWhichPriceATierStandsFor(t *testing.T) {
	for name, test := range map[string]struct {
		order checkout.Order
		lines string
	}{
		"by its id":              {checkout.Order{Tier: "solo"}, "price_solo=1"},
		"and its interval":       {checkout.Order{Tier: "solo", Interval: "month"}, "price_solo=1"},
		"by a lookup key":        {checkout.Order{Tier: "team", Interval: "month"}, "price_team_m=1"},
		"at another interval":    {checkout.Order{Tier: "team", Interval: "year", Quantity: 7}, "price_team_y=7"},
		"by its product":         {checkout.Order{Tier: "team", Interval: "3 months"}, "price_team_q=1"},
		"by interval alone":      {checkout.Order{Tier: "world", Interval: "year"}, "price_world_year=1"},
		"named":                  {checkout.Order{Price: "price_team_q"}, "price_team_q=1"},
		"named with its tier":    {checkout.Order{Tier: "world", Price: "price_world_eur", Interval: "month"}, "price_world_eur=1"},
		"what is used":           {checkout.Order{Tier: "usage"}, "price_usage="},
		"with an add-on":         {checkout.Order{Tier: "solo", Addons: map[string]int64{"seats": 5}}, "price_solo=1 price_seats_m=5"},
		"an add-on that fits":    {checkout.Order{Tier: "team", Interval: "year", Addons: map[string]int64{"seats": 2}}, "price_team_y=1 price_seats_y=2"},
		"an add-on that is used": {checkout.Order{Tier: "solo", Addons: map[string]int64{"traffic": 1}}, "price_solo=1 price_traffic="},
		"an add-on by its price": {checkout.Order{Tier: "solo", Addons: map[string]int64{"price_many_2": 1, "seats": 3}}, "price_solo=1 price_many_2=1 price_seats_m=3"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newShop(t)
			o := order("acme", "")
			o.Tier, o.Price, o.Interval, o.Quantity, o.Addons = test.order.Tier, test.order.Price, test.order.Interval, test.order.Quantity, test.order.Addons
			r.mustSell(o)
			form := r.stripe.Posts(sessionsPath)[0].Form
			var lines []string
			for _, i := range "0123" {
				if price := form.Get("line_items[" + string(i) + "][price]"); price != "" {
					lines = append(lines, price+"="+form.Get("line_items["+string(i)+"][quantity]"))
				}
			}
			if got := strings.Join(lines, " "); got != test.lines {
				t.Errorf("%s: want %s", got, test.lines)
			}
		})
	}
}

// TestWhatCannotBeBoughtSaysWhatCan.
func TestWhatCannotBeBoughtSaysWhatCan(t *testing.T) {
	for name, test := range map[string]struct {
		order checkout.Order
		field string
		says  []string
	}{
		"nothing":                        {checkout.Order{}, "tier", []string{"missing", "solo, team, world, usage, gone"}},
		"the free tier":                  {checkout.Order{Tier: "free"}, "tier", []string{"free", "solo, team, world, usage, gone"}},
		"an unknown tier":                {checkout.Order{Tier: "gold"}, "tier", []string{"no tier", "solo, team, world, usage, gone"}},
		"a tier without prices":          {checkout.Order{Tier: "byhand"}, "tier", []string{"not sold", "solo, team"}},
		"a tier Stripe does not have":    {checkout.Order{Tier: "gone"}, "tier", []string{"price_never, price_archived, price_once, lookup:nobody, product:prod_nobody"}},
		"several intervals":              {checkout.Order{Tier: "team"}, "interval", []string{"month or year or 3 months"}},
		"several prices":                 {checkout.Order{Tier: "world"}, "price", []string{"price_world_usd (month, usd)", "price_world_eur (month, eur)", "price_world_year (year, eur)"}},
		"several of an interval":         {checkout.Order{Tier: "world", Interval: "month"}, "price", []string{"price_world_usd (month, usd)", "price_world_eur (month, eur)"}},
		"another interval":               {checkout.Order{Tier: "team", Interval: "week"}, "interval", []string{"month or year or 3 months"}},
		"a price of no place":            {checkout.Order{Price: "price_elsewhere"}, "price", []string{"no place of the catalog"}},
		"a price of an add-on":           {checkout.Order{Price: "price_seats_m"}, "price", []string{"add-on seats"}},
		"a price of another tier":        {checkout.Order{Tier: "solo", Price: "price_team_m"}, "price", []string{"the tier team"}},
		"a price of another interval":    {checkout.Order{Price: "price_team_m", Interval: "year"}, "interval", []string{"month"}},
		"an archived price":              {checkout.Order{Price: "price_archived"}, "price", []string{"archived"}},
		"a price paid once":              {checkout.Order{Price: "price_once"}, "price", []string{"paid once"}},
		"a price of nobody":              {checkout.Order{Price: "price_nobody"}, "price", []string{"no price that Stripe has"}},
		"a price that leads elsewhere":   {checkout.Order{Price: "../customers"}, "price", []string{"the id of a price"}},
		"so many of what is used":        {checkout.Order{Tier: "usage", Quantity: 2}, "quantity", []string{"bills what is used"}},
		"so many of an add-on's use":     {checkout.Order{Tier: "solo", Addons: map[string]int64{"traffic": 2}}, "addons.traffic", []string{"price_traffic bills what is used"}},
		"an add-on with a long name":     {checkout.Order{Tier: "solo", Addons: map[string]int64{strings.Repeat("é", 65): 1}}, "addons." + strings.Repeat("é", 64) + "…", []string{"neither an add-on"}},
		"an add-on of nobody":            {checkout.Order{Tier: "solo", Addons: map[string]int64{"nothing": 1}}, "addons.nothing", []string{"no price that Stripe has"}},
		"an add-on that is a tier":       {checkout.Order{Tier: "solo", Addons: map[string]int64{"price_team_m": 1}}, "addons.price_team_m", []string{"no price of an add-on"}},
		"an add-on that leads elsewhere": {checkout.Order{Tier: "solo", Addons: map[string]int64{"a/b": 1}}, "addons.a/b", []string{"neither an add-on"}},
		"an add-on of several prices":    {checkout.Order{Tier: "solo", Addons: map[string]int64{"many": 1}}, "addons.many", []string{"price_many_1", "price_many_2"}},
		"an add-on at no such interval":  {checkout.Order{Tier: "team", Interval: "3 months", Addons: map[string]int64{"seats": 1}}, "addons.seats", []string{"3 months, in usd"}},
		"an add-on's other interval":     {checkout.Order{Tier: "solo", Addons: map[string]int64{"price_seats_y": 1}}, "addons.price_seats_y", []string{"month, in usd"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newShop(t)
			o := order("acme", "")
			o.Tier, o.Price, o.Interval, o.Quantity, o.Addons = test.order.Tier, test.order.Price, test.order.Interval, test.order.Quantity, test.order.Addons
			r.refused(o, test.field, test.says...)
			if len(r.stripe.Posts(sessionsPath)) > 0 || len(r.stripe.Posts(customersPath)) > 0 {
				t.Error("something was made all the same")
			}
		})
	}
}

// TestEveryFaultOfAnOrderIsListed, without asking Stripe.
func TestEveryFaultOfAnOrderIsListed(t *testing.T) {
	r := newShop(t)
	_, err := r.desk.Sell(t.Context(), checkout.Order{Account: strings.Repeat("a", 501), Tier: "gold", Price: "a b", SuccessURL: "https://evil.example", CancelURL: "x", Addons: map[string]int64{"/": 1}})
	var faults checkout.Faults
	if !errors.As(err, &faults) || len(faults) != 6 || len(r.stripe.Requests()) != 0 {
		t.Errorf("%v after %q", err, r.stripe.Requests())
	}
}

// TestAPriceThatIsAnothersIsNotSold: a lookup key of one tier may have moved to a
// price whose product is another's, and products count for more.
func TestAPriceThatIsAnothersIsNotSold(t *testing.T) {
	r := newShop(t)
	r.sell("price_stolen", "team_yearly", "prod_world", "year", 2, "usd")
	o := order("acme", "team")
	o.Interval = "2 years"
	r.refused(o, "interval", "month or year or 3 months")
}

// TestStripesTroubleIsAnError, at each of its questions.
func TestStripesTroubleIsAnError(t *testing.T) {
	for n := range 5 {
		r := newShop(t)
		asked := -1
		r.stripe.SetBefore(func(*http.Request) {
			if asked++; asked == n {
				r.stripe.Fail(stripetest.Fault{Status: 401})
			}
		})
		if _, err := r.desk.Sell(t.Context(), order("acme", "solo")); (n < 4) != stripeapi.IsKind(err, stripeapi.BadKey) {
			t.Errorf("question %d: %v", n, err)
		}
	}
}
