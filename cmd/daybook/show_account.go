package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
)

// shownAccount is an account with what it may do, as the API answers it.
type shownAccount struct {
	projections.AccountRecord
	Entitlement aggregate.Entitlement `json:"entitlement"`
}

func (q *showQuery) account(ctx context.Context, cmd *cobra.Command, r *record, account string) error {
	if err := r.folded(ctx); err != nil {
		return err
	}
	shown, known, err := projections.AccountThen(ctx, r.store, r.model, account, q.at)
	if err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("nothing is known of account %s%s", account, q.bounds())
	}
	e, err := q.entitled(ctx, r, shown)
	if err != nil {
		return err
	}
	if q.output == outputJSON {
		return writeJSON(cmd.OutOrStdout(), shownAccount{AccountRecord: shown, Entitlement: e})
	}
	return printAccount(cmd, shown, e, q.now())
}

// entitled is what an account may do, or might.
func (q *showQuery) entitled(ctx context.Context, r *record, a projections.AccountRecord) (aggregate.Entitlement, error) {
	catalogs, err := projections.CatalogsAt(ctx, r.store, q.at)
	if err != nil {
		return aggregate.Entitlement{}, err
	}
	e := a.Entitle(catalogs, q.now())
	e.Epoch, e.Livemode = r.about.Epoch, r.about.Livemode
	return e, nil
}

// entitlement shows what an account may do: of one that nothing is known of, too.
func (q *showQuery) entitlement(ctx context.Context, cmd *cobra.Command, r *record, account string) error {
	if err := r.folded(ctx); err != nil {
		return err
	}
	a, _, err := projections.AccountThen(ctx, r.store, r.model, account, q.at)
	if err != nil {
		return err
	}
	a.Account = account
	e, err := q.entitled(ctx, r, a)
	if err != nil {
		return err
	}
	if q.output == outputJSON {
		return writeJSON(cmd.OutOrStdout(), e)
	}
	rows := newTable(cmd.OutOrStdout(), "account", account)
	printEntitlement(rows, e)
	for _, name := range slices.Sorted(maps.Keys(e.Limits)) {
		rows.row("limit", fmt.Sprintf("%s: %s", name, limitText(e.Limits[name])))
	}
	rows.row("flags", orDash(strings.Join(e.Flags, ", ")))
	rows.row("as of", moment(e.AsOf))
	return rows.flush()
}

func limitText(l aggregate.Limit) string {
	if l == aggregate.Unlimited {
		return "unlimited"
	}
	return fmt.Sprint(int64(l))
}

func printEntitlement(rows table, e aggregate.Entitlement) {
	rows.row("tier", fmt.Sprintf("%s (%s)", e.Tier, e.Reason))
	rows.row("status", orDash(string(e.Status)))
	rows.row("features", orDash(strings.Join(e.Features, ", ")))
	if e.InGrace {
		rows.row("in grace until", moment(e.GraceUntil))
	}
}

func printAccount(cmd *cobra.Command, a projections.AccountRecord, e aggregate.Entitlement, now time.Time) error {
	rows := newTable(cmd.OutOrStdout(), "account", e.Account)
	printEntitlement(rows, e)
	if a.Block != nil {
		rows.row("blocked", fmt.Sprintf("%s  by %s: %s", moment(a.Block.BlockedAt), a.Block.BlockedBy, a.Block.Reason))
	}
	if !a.GraceUntil.IsZero() {
		rows.row("grace extended until", moment(a.GraceUntil))
	}
	rows.row("flags", orDash(strings.Join(sortedOnce(a.Flags, e.Flags), ", ")))
	for _, w := range a.Waivers {
		rows.row("waiver", fmt.Sprintf("%s  %s  %s  %s", w.ID, w.Tier, waiverStanding(w, now), w.Reason))
	}
	for _, s := range a.Subscriptions {
		rows.row("subscription", fmt.Sprintf("%s  %s  %s", s.ID, s.Status, orDash(s.Tier)))
	}
	for _, l := range a.Links {
		what := l.Subscription
		if what == "" {
			what = l.Customer
		}
		link := fmt.Sprintf("%s  by %s  %s", what, l.By, orDash(l.StripeEventID))
		if l.ConflictsWith != "" {
			link += "  conflicts with " + l.ConflictsWith
		}
		rows.row("link", link)
	}
	printMoney(rows, "received", a.Payments.Received)
	printMoney(rows, "refunded", a.Payments.Refunded)
	printMoney(rows, "lost to disputes", a.Payments.Lost)
	printMoney(rows, "credited", a.Payments.Credited)
	return rows.flush()
}

func printMoney(rows table, what string, sums []aggregate.Money) {
	for _, m := range sums {
		rows.row(what, fmt.Sprintf("%d %s (minor units)", m.Amount, m.Currency))
	}
}
