package main

import (
	"context"
	"fmt"
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
	shown, known, err := q.accountOf(ctx, r, account)
	if err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("nothing is known of account %s%s", account, q.bounds())
	}
	catalogs, err := projections.CatalogsAt(ctx, r.store, q.at)
	if err != nil {
		return err
	}
	now := q.now()
	e := shown.Entitle(catalogs, now)
	e.Epoch, e.Livemode = r.about.Epoch, r.about.Livemode
	if q.output == outputJSON {
		return writeJSON(cmd.OutOrStdout(), shownAccount{AccountRecord: shown, Entitlement: e})
	}
	return printAccount(cmd, shown, e, now)
}

// accountOf is an account as it is, or as it was at the moments asked for.
func (q *showQuery) accountOf(ctx context.Context, r *record, account string) (projections.AccountRecord, bool, error) {
	if q.at == (projections.Moments{}) {
		return r.model.Account(ctx, account)
	}
	ever, err := projections.EverOf(ctx, r.store, r.model, account)
	if err != nil {
		return projections.AccountRecord{}, false, err
	}
	return projections.AccountAt(ctx, r.store, account, q.at, ever...)
}

func printAccount(cmd *cobra.Command, a projections.AccountRecord, e aggregate.Entitlement, now time.Time) error {
	rows := newTable(cmd.OutOrStdout(), "account", e.Account)
	rows.row("tier", fmt.Sprintf("%s (%s)", e.Tier, e.Reason))
	rows.row("status", orDash(string(e.Status)))
	rows.row("features", orDash(strings.Join(e.Features, ", ")))
	if e.InGrace {
		rows.row("in grace until", moment(e.GraceUntil))
	}
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
