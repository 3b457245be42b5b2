package main

import (
	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/reconcile"
)

func verifyCommand() *cobra.Command {
	var stripe bool
	var sample int
	var output string
	cmd := &cobra.Command{
		Use: "verify --stripe", Short: "Compare what is true here with Stripe's own answer, field by field", Args: noArgs,
		Long: "With --stripe, asks Stripe for every subscription that is not over, or for a random --sample of them, and\n" +
			"compares what is true here with the answer, field by field. Nothing is recorded: daybook reconcile does\n" +
			"that. Needs STRIPE_API_KEY. Exits 1 if anything differs.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if !stripe {
				return usagef("verify wants --stripe: what to compare with")
			}
			if sample < 0 {
				return usagef("--sample %d: want how many, or 0 for all", sample)
			}
			client, cfg, err := askStripe(cmd)
			if err != nil {
				return err
			}
			r, err := openRecord(cmd)
			if err != nil {
				return err
			}
			defer r.close()
			catalogs, _, err := readCatalogs(cmd.Context(), r.store)
			if err != nil {
				return err
			}
			bar := newProgress(cmd, "verify", int64(sample))
			verified, err := reconcile.Verify(cmd.Context(), reconcile.Verification{
				API: client, Store: r.store, Translator: &intake.Translator{AccountKeys: cfg.AccountKeys},
				Catalogs: func() aggregate.Catalogs { return catalogs }, Ours: ourSubscriptions{r.model},
				Livemode: cfg.Livemode, Sample: sample, Progress: bar.tell})
			bar.finish()
			if err != nil {
				return err
			}
			return reportVerified(cmd, output, verified)
		},
	}
	cmd.Flags().BoolVar(&stripe, "stripe", false, "compare with Stripe's API")
	cmd.Flags().IntVar(&sample, "sample", 0, "how many subscriptions to compare, chosen at random; 0 for all")
	addOutputFlag(cmd, &output)
	return cmd
}

func reportVerified(cmd *cobra.Command, output string, v reconcile.Verified) error {
	if output == outputJSON {
		if err := writeJSON(cmd.OutOrStdout(), v); err != nil {
			return err
		}
	} else if err := printVerified(cmd, v); err != nil {
		return err
	}
	if len(v.Differing)+len(v.Unknown)+len(v.Unreadable) > 0 {
		return errReported
	}
	return nil
}

func printVerified(cmd *cobra.Command, v reconcile.Verified) error {
	if len(v.Differing) > 0 {
		rows := newTable(cmd.OutOrStdout(), "SUBSCRIPTION", "FIELD", "HERE", "STRIPE")
		for _, o := range v.Differing {
			for _, d := range o.Differences {
				rows.row(o.ID, d.Field, orDash(d.Ours), orDash(d.Stripe))
			}
		}
		if err := rows.flush(); err != nil {
			return err
		}
	}
	for _, id := range v.Unknown {
		cmd.Printf("subscription %s lives here, and Stripe does not know it\n", id)
	}
	for _, u := range v.Unreadable {
		cmd.Printf("the answer about %s cannot be read: %s\n", u.ID, u.Reason)
	}
	cmd.Printf("%d subscriptions compared: %d differ\n", v.Compared, len(v.Differing))
	return nil
}
