package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/api"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
)

// showQuery is what the show command was asked for.
type showQuery struct {
	asOf, knownAt string
	output        string
	at            projections.Moments
}

func showCommand() *cobra.Command {
	var q showQuery
	cmd := &cobra.Command{
		Use: "show subscription|account|entitlement ID", Short: "Show what is true of a subscription, an account or its entitlement, now or in the past",
		Args: exactArgs("subscription|account|entitlement", "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := q.parse(); err != nil {
				return err
			}
			show := map[string]func(context.Context, *cobra.Command, *record, string) error{
				"subscription": q.subscription, "account": q.account, "entitlement": q.entitlement}[args[0]]
			if show == nil {
				return usagef("show %q: want subscription, account or entitlement", args[0])
			}
			r, err := openRecord(cmd)
			if err != nil {
				return err
			}
			defer r.close()
			return show(cmd.Context(), cmd, r, args[1])
		},
	}
	cmd.Flags().StringVar(&q.asOf, "as-of", "", "what had happened by this time of Stripe's (RFC 3339)")
	cmd.Flags().StringVar(&q.knownAt, "known-at", "", "what had been recorded by this time of ours (RFC 3339)")
	addOutputFlag(cmd, &q.output)
	return cmd
}

func (q *showQuery) parse() error {
	if err := parseMoments(bound{"--as-of", q.asOf, &q.at.AsOf}, bound{"--known-at", q.knownAt, &q.at.KnownAt}); err != nil {
		return err
	}
	return checkOutput(q.output)
}

// bound is a flag that is a time.
type bound struct {
	flag, text string
	into       *time.Time
}

// parseMoments reads times of any offset; one that is not given stays zero.
func parseMoments(bounds ...bound) error {
	for _, b := range bounds {
		if b.text == "" {
			continue
		}
		t, ok := api.ParseMoment(b.text)
		if !ok {
			return usagef("%s %q: want a time like 2026-01-31T12:00:00Z", b.flag, b.text)
		}
		*b.into = t
	}
	return nil
}

func (q *showQuery) subscription(ctx context.Context, cmd *cobra.Command, r *record, id string) error {
	then, facts, err := projections.SubscriptionAt(ctx, r.store, id, q.at)
	if errors.Is(err, eventstore.ErrStreamNotFound) || err == nil && facts == 0 {
		return fmt.Errorf("nothing is known of subscription %s%s", id, q.bounds())
	}
	if err != nil {
		return err
	}
	if q.output == outputJSON {
		return writeJSON(cmd.OutOrStdout(), then)
	}
	access, err := q.accessOf(ctx, r, then)
	if err != nil {
		return err
	}
	return printSubscription(cmd, then, facts, access)
}

// accessOf says what a subscription grants, with what its account adds to that.
func (q *showQuery) accessOf(ctx context.Context, r *record, t projections.SubscriptionRecord) (aggregate.Access, error) {
	catalogs, err := projections.CatalogsAt(ctx, r.store, q.at)
	if err != nil {
		return aggregate.Access{}, err
	}
	catalog := projections.OrBuiltin(catalogs).Current()
	present, _, err := r.model.Subscription(ctx, t.ID)
	if err != nil || present.Account == "" {
		return projections.AccountRecord{}.AccessOf(t, catalog, q.now()), err
	}
	account, _, err := r.model.Account(ctx, present.Account)
	if err == nil && q.at.Past() {
		account, _, err = projections.AccountAt(ctx, r.store, t.Account, q.at, account)
	}
	return account.AccessOf(t, catalog, q.now()), err
}

// bounds says in words which past was asked for.
func (q *showQuery) bounds() string {
	var words strings.Builder
	if q.asOf != "" {
		words.WriteString(" as of " + q.asOf)
	}
	if q.knownAt != "" {
		words.WriteString(" as known at " + q.knownAt)
	}
	return words.String()
}

// now is the moment at which access is judged: the one asked for, else the present.
func (q *showQuery) now() time.Time { return q.at.Now(systemClock()) }

func printSubscription(cmd *cobra.Command, t projections.SubscriptionRecord, facts int, access aggregate.Access) error {
	rows := newTable(cmd.OutOrStdout(), "subscription", t.ID)
	rows.row("account", orDash(t.Account))
	rows.row("customer", orDash(t.Customer))
	rows.row("status", orDash(string(t.Status)))
	rows.row("tier", orDash(t.Tier))
	rows.row("access", fmt.Sprintf("%s (%s)", grantedWord(access.Granted), access.Reason))
	for _, item := range t.Items {
		rows.row("item", fmt.Sprintf("%s × %d", item.Price, item.Quantity))
	}
	rows.row("period ends", moment(t.CurrentPeriodEnd))
	if t.Delinquency != nil {
		rows.row("delinquent since", moment(t.Delinquency.Anchor))
		rows.row("grace until", moment(cmp.Or(access.GraceUntil, t.Delinquency.GraceUntil)))
	}
	for _, paid := range t.Paid {
		rows.row("paid", fmt.Sprintf("%d %s (minor units)", paid.Amount, paid.Currency))
	}
	rows.row("flags", orDash(strings.Join(sortedOnce(t.Flags, access.Flags), ", ")))
	rows.row("rests on", orDash(strings.Join(t.Sources, ", ")))
	rows.row("facts", facts)
	return rows.flush()
}

// sortedOnce puts two lists together.
func sortedOnce(a, b []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func grantedWord(granted bool) string {
	if granted {
		return "granted"
	}
	return "denied"
}
