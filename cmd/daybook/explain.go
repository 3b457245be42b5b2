package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/api"
	"github.com/daybookhq/daybook/projections"
)

func explainCommand() *cobra.Command {
	var at, knownAt, output string
	cmd := &cobra.Command{
		Use: "explain ACCOUNT [FEATURE]", Short: "Say why an account may do what it may, or may not use a feature",
		Long: "Says what decides, by which line of the catalog in force then, on which events it rests,\n" +
			"and what would change it. With --output json, complete for a machine.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usagef("%s wants ACCOUNT, and perhaps FEATURE (see %s --help)", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			q := projections.Question{Account: args[0]}
			if len(args) > 1 {
				q.Feature = args[1]
			}
			if err := parseMoments(bound{"--at", at, &q.At.AsOf}, bound{"--known-at", knownAt, &q.At.KnownAt}); err != nil {
				return err
			}
			if !aggregate.ValidAccount(q.Account) {
				return usagef("%q cannot name an account", q.Account)
			}
			if err := checkOutput(output); err != nil {
				return err
			}
			return explain(cmd, q, output)
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "explain what was true at this time of Stripe's (RFC 3339)")
	cmd.Flags().StringVar(&knownAt, "known-at", "", "by what had been recorded by this time of ours (RFC 3339)")
	addOutputFlag(cmd, &output)
	return cmd
}

func explain(cmd *cobra.Command, q projections.Question, output string) error {
	r, err := openRecord(cmd)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.folded(cmd.Context()); err != nil {
		return err
	}
	x, err := projections.Explain(cmd.Context(), r.store, r.model, q, systemClock())
	if errors.Is(err, projections.ErrNoFeature) {
		return fmt.Errorf("the catalog has no feature %s", q.Feature)
	}
	if err != nil {
		return err
	}
	if output == outputJSON {
		return writeJSON(cmd.OutOrStdout(), api.ExplanationAnswer{Explanation: x, Epoch: r.about.Epoch})
	}
	for _, sentence := range x.Summary {
		cmd.Println(sentence)
	}
	return nil
}
