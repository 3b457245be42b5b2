package main

import (
	"net/http"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/intake/reconcile"
)

func backfillCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "backfill", Short: "Fetch from Stripe what was there before", Args: noArgs,
		Long: "Records every customer, subscription and checkout session of the Stripe account, its open and recent\n" +
			"invoices, and the events that Stripe still lists (30 days), as Stripe's API answers, and posts them.\n" +
			"Needs STRIPE_API_KEY. Runs beside a server and its webhooks. An interrupted backfill goes on where it\n" +
			"stopped; to repeat one adds nothing where nothing has changed.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var result reconcile.Backfilled
			if err := callStripe(cmd, output, "backfill", struct{}{}, &result); err != nil {
				return err
			}
			return reportBackfilled(cmd, output, result)
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func reportBackfilled(cmd *cobra.Command, output string, b reconcile.Backfilled) error {
	if output == outputJSON {
		return writeJSON(cmd.OutOrStdout(), b)
	}
	if b.Resumed {
		cmd.Println("went on where an earlier backfill was interrupted")
	}
	cmd.Printf("%d objects: %d recorded, the others add nothing\n", b.Objects, b.Recorded)
	cmd.Printf("%d events since %s: %d recorded, %d were there\n", b.Events, moment(b.From), b.Missing, b.Found)
	return reportUnreadable(cmd, b.Report)
}

// backfill is the control route behind the command.
func (n *node) backfill(r *http.Request, tell func(done, total int64)) (any, error) {
	if err := readCall(r, &struct{}{}); err != nil {
		return nil, err
	}
	result, err := n.reconciler.Backfill(r.Context(), tell)
	if err != nil {
		return nil, err
	}
	return result, n.settlePosted(r.Context())
}
