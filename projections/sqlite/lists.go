package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
)

// Catalogs implements projections.Reader.
func (m *Model) Catalogs(ctx context.Context) (aggregate.Catalogs, error) {
	h, known, age := m.cache.history()
	if known {
		return h, nil
	}
	err := m.use(ctx, func(f *file) error {
		rows, err := f.read.QueryContext(ctx, `SELECT type, doc FROM catalogs ORDER BY ordinal`)
		if err == nil {
			h, err = decodeHistory(rows)
		}
		return err
	})
	if err != nil {
		return aggregate.Catalogs{}, wrap("read the catalogs", err)
	}
	h = projections.OrBuiltin(h)
	m.cache.putHistory(h, age)
	return h, nil
}

// Parked implements projections.Reader.
func (m *Model) Parked(ctx context.Context) ([]projections.Parked, error) {
	return list[projections.Parked](ctx, m, "list parked streams", `SELECT doc FROM parked ORDER BY position, stream`)
}

// Failures implements projections.Reader.
func (m *Model) Failures(ctx context.Context) ([]projections.Failure, error) {
	return list[projections.Failure](ctx, m, "list failures", `SELECT doc FROM failures ORDER BY position, stripe_event_id`)
}

func list[T any](ctx context.Context, m *Model, doing, query string) ([]T, error) {
	records := []T{}
	err := m.use(ctx, func(f *file) error {
		rows, err := f.read.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		return eachRow(rows, func() error {
			var r T
			err := scanDoc(rows, &r)
			records = append(records, r)
			return err
		})
	})
	return records, wrap(doing, err)
}

// Unmapped implements projections.Reader. Prices of subscriptions that have
// ended are not in use.
func (m *Model) Unmapped(ctx context.Context) ([]projections.UnmappedPrice, error) {
	history, err := m.Catalogs(ctx)
	if err != nil {
		return nil, err
	}
	flagged, err := list[aggregate.SubscriptionTruth](ctx, m, "list unmapped prices",
		`SELECT doc FROM subscriptions WHERE id IN (SELECT id FROM subscription_flags WHERE flag = '`+
			aggregate.FlagUnmappedPrice+`') ORDER BY id`)
	return unmapped(flagged, history.Current()), err
}

func unmapped(truths []aggregate.SubscriptionTruth, catalog *aggregate.Catalog) []projections.UnmappedPrice {
	prices := []projections.UnmappedPrice{}
	for _, t := range truths {
		if t.Status.Terminal() {
			continue
		}
		for _, item := range t.Items {
			_, tier := catalog.TierOfItem(item)
			if _, addon := catalog.AddonOfItem(item); tier || addon {
				continue
			}
			i := slices.IndexFunc(prices, func(p projections.UnmappedPrice) bool {
				return p.Price == item.Price && p.LookupKey == item.LookupKey && p.Product == item.Product
			})
			if i < 0 {
				i = len(prices)
				prices = append(prices, projections.UnmappedPrice{Price: item.Price, LookupKey: item.LookupKey, Product: item.Product})
			}
			if !slices.Contains(prices[i].Subscriptions, t.ID) {
				prices[i].Subscriptions = append(prices[i].Subscriptions, t.ID)
			}
		}
	}
	slices.SortFunc(prices, func(a, b projections.UnmappedPrice) int {
		return strings.Compare(a.Price+"\x00"+a.LookupKey+"\x00"+a.Product, b.Price+"\x00"+b.LookupKey+"\x00"+b.Product)
	})
	return prices
}

// Counts implements projections.Reader. A subscription of which only payments
// or sessions are known counts as "subscriptions.unknown".
func (m *Model) Counts(ctx context.Context) (map[string]int64, error) {
	counts := map[string]int64{"subscriptions": 0}
	err := m.use(ctx, func(f *file) error {
		for _, table := range []struct{ name, from string }{
			{"accounts", "entitlements"}, {"parked", "parked"}, {"failures", "failures"},
		} {
			var n int64
			if err := f.read.QueryRowContext(ctx, `SELECT count(*) FROM `+table.from).Scan(&n); err != nil {
				return err
			}
			counts[table.name] = n
		}
		rows, err := f.read.QueryContext(ctx, `SELECT status, count(*) FROM subscriptions GROUP BY status`)
		if err != nil {
			return err
		}
		return countStatuses(rows, counts)
	})
	return counts, wrap("count", err)
}

func countStatuses(rows *sql.Rows, counts map[string]int64) error {
	return eachRow(rows, func() error {
		var status string
		var n int64
		if err := rows.Scan(&status, &n); err != nil {
			return err
		}
		if status == "" {
			status = "unknown"
		}
		counts["subscriptions."+status] = n
		counts["subscriptions"] += n
		return nil
	})
}

func encode(what string, v any) ([]byte, error) {
	doc, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", what, err)
	}
	return doc, nil
}
