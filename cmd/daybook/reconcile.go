package main

import (
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/intake/reconcile"
)

// reconcileCall is what the control route is asked for.
type reconcileCall struct {
	Since time.Time `json:"since,omitzero"`
}

func reconcileCommand() *cobra.Command {
	var output, since string
	cmd := &cobra.Command{
		Use: "reconcile", Short: "Compare the record with Stripe, and record what is missing", Args: noArgs,
		Long: "Looks through the events that Stripe lists, and records those that no webhook brought; then compares\n" +
			"every object with what Stripe's API answers, those in doubt first, and records the answers that differ.\n" +
			"Needs STRIPE_API_KEY. A server with a key does the same every hour, with the objects that can change\n" +
			"access. Exits 1 if anything was missing or differed: it is recorded by then.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			call, err := reconcileSince(since, systemClock())
			if err != nil {
				return err
			}
			report := &reconcile.Report{}
			if err := callStripe(cmd, output, "reconcile", call, report); err != nil {
				return err
			}
			return reportReconciled(cmd, output, report)
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "from when on to look through the events: a time (RFC 3339), a day, or how long ago, as in 36h; else from where the last sweep ended")
	addOutputFlag(cmd, &output)
	return cmd
}

// reconcileSince reads a time, a day, or a span before now.
func reconcileSince(text string, now time.Time) (reconcileCall, error) {
	if text == "" {
		return reconcileCall{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil && t.Before(now) {
			return reconcileCall{Since: t.UTC()}, nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return reconcileCall{Since: now.Add(-d).UTC()}, nil
	}
	return reconcileCall{}, usagef("--since %q: want a time in the past, as in 2026-03-01T12:00:00Z, 2026-03-01 or 36h", text)
}

func reportReconciled(cmd *cobra.Command, output string, r *reconcile.Report) error {
	if output == outputJSON {
		if err := writeJSON(cmd.OutOrStdout(), r); err != nil {
			return err
		}
	} else if err := printReconciled(cmd, r); err != nil {
		return err
	}
	if !r.Complete() {
		return errReported
	}
	return nil
}

func printReconciled(cmd *cobra.Command, r *reconcile.Report) error {
	if len(r.MissingEvents) > 0 {
		rows := newTable(cmd.OutOrStdout(), "MISSING EVENT", "TYPE", "CREATED", "")
		for _, e := range r.MissingEvents {
			note := ""
			if e.Pending {
				note = "Stripe is still trying"
			}
			rows.row(e.ID, e.Type, moment(e.Created), note)
		}
		if err := rows.flush(); err != nil {
			return err
		}
	}
	if len(r.DifferingObjects) > 0 {
		rows := newTable(cmd.OutOrStdout(), "DIFFERING", "ID", "FIELDS", "RECORDED AS")
		for _, o := range r.DifferingObjects {
			rows.row(o.Kind, o.ID, fieldsOf(o), orDash(o.Entry))
		}
		if err := rows.flush(); err != nil {
			return err
		}
	}
	for _, id := range r.Unknown {
		cmd.Printf("subscription %s lives here, and Stripe does not know it: is the key of the same Stripe account?\n", id)
	}
	if !r.LostFrom.IsZero() {
		cmd.Printf("events from %s to %s are no longer listed by Stripe; objects were compared instead\n", moment(r.LostFrom), moment(r.From))
	}
	cmd.Printf("%d events from %s to %s: %d were there, %d were missing, %d of them missed by webhooks\n",
		r.Events, moment(r.From), moment(r.Until), r.Found, r.Missing, r.Missed)
	cmd.Printf("%d objects: %d differ, %d answers recorded\n", r.Objects, r.Differing, r.Recorded)
	return reportUnreadable(cmd, r)
}

// fieldsOf names what differs of an object.
func fieldsOf(o reconcile.DifferingObject) string {
	names := make([]string, len(o.Differences))
	for i, d := range o.Differences {
		names[i] = d.Field
	}
	return strings.Join(names, ", ")
}

// reportUnreadable lists the answers that could not be read; there should be none.
func reportUnreadable(cmd *cobra.Command, r *reconcile.Report) error {
	for _, u := range r.Unreadable {
		cmd.Printf("the answer about %s cannot be read: %s\n", u.ID, u.Reason)
	}
	if len(r.Unreadable) > 0 {
		return errReported
	}
	return nil
}

// reconcile is the control route behind the command.
func (n *node) reconcile(r *http.Request, tell func(done, total int64)) (any, error) {
	var call reconcileCall
	if err := readCall(r, &call); err != nil {
		return nil, err
	}
	report, err := n.reconciler.Reconcile(r.Context(), reconcile.Plan{Since: call.Since, Everything: true, Progress: tell})
	if err != nil {
		return nil, err
	}
	return report, nil
}
