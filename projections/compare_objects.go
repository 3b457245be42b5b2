package projections

import (
	"context"
	"slices"
)

// objects compares what both models have of customers, payments, bills,
// decisions and clocks.
func (c *comparison) objects(ctx context.Context) error {
	for _, kind := range objectKinds {
		if err := c.objectsOf(ctx, kind); err != nil || len(c.found) >= MaxDifferences {
			return err
		}
	}
	return nil
}

// objectsOf goes through the objects of a kind in both models in step: of each
// it takes what lies up to where the one that ends first ends.
func (c *comparison) objectsOf(ctx context.Context, kind Kind) error {
	const size = 1000
	after := ""
	for len(c.found) < MaxDifferences {
		x, y, err := both(ctx, c.a, c.b, func(r Reader, ctx context.Context) ([]ObjectRow, error) {
			return r.Objects(ctx, kind, after, size)
		})
		if err != nil || len(x) == 0 && len(y) == 0 {
			return err
		}
		upTo := ""
		for _, page := range [][]ObjectRow{x, y} {
			if len(page) == size && (upTo == "" || page[size-1].ID < upTo) {
				upTo = page[size-1].ID
			}
		}
		if err := c.objectPages(kind, objectsUpTo(x, upTo), objectsUpTo(y, upTo)); err != nil || upTo == "" {
			return err
		}
		after = upTo
	}
	return nil
}

func objectsUpTo(rows []ObjectRow, upTo string) map[string]ObjectRow {
	byID := make(map[string]ObjectRow, len(rows))
	for _, row := range rows {
		if upTo == "" || row.ID <= upTo {
			byID[row.ID] = row
		}
	}
	return byID
}

func (c *comparison) objectPages(kind Kind, x, y map[string]ObjectRow) error {
	ids := make([]string, 0, len(x))
	for id := range x {
		ids = append(ids, id)
	}
	for id := range y {
		if _, there := x[id]; !there {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		if kind == KindAccount {
			c.accounts[id] = true
		}
		for _, row := range []ObjectRow{x[id], y[id]} {
			if row.Account != "" {
				c.accounts[row.Account] = true
			}
		}
		if err := c.same(string(kind), id, objectSaid(x[id]), objectSaid(y[id])); err != nil {
			return err
		}
	}
	return nil
}

// objectSaid is what a model says of an object, nil for nothing.
func objectSaid(row ObjectRow) any {
	if row.ID == "" {
		return nil
	}
	return struct {
		Account, Customer, Invoice string
		Noted                      bool
		Truth                      string
	}{row.Account, row.Customer, row.Invoice, row.Noted, string(row.Doc)}
}
