package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/projections"
)

// troubles is all that a person should look at.
type troubles struct {
	Failures []projections.Failure       `json:"failures"`
	Parked   []projections.Parked        `json:"parked"`
	Unmapped []projections.UnmappedPrice `json:"unmapped"`
}

func failuresCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "failures", Short: "List what could not be posted, what is parked, and prices without a tier", Args: noArgs,
		Long: "Lists what needs a person, each with the command that mends it once its cause is gone: an upgrade reads\n" +
			"what could not be read before. Exits 1 if anything could not be posted or is parked.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			r, err := openRecord(cmd)
			if err != nil {
				return err
			}
			defer r.close()
			found, err := readTroubles(cmd.Context(), r.model)
			if err != nil {
				return err
			}
			return found.report(cmd, output)
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func readTroubles(ctx context.Context, model projections.Reader) (t troubles, err error) {
	if t.Failures, err = model.Failures(ctx); err != nil {
		return t, err
	}
	if t.Parked, err = model.Parked(ctx); err != nil {
		return t, err
	}
	t.Unmapped, err = model.Unmapped(ctx)
	return t, err
}

func (t troubles) report(cmd *cobra.Command, output string) error {
	var err error
	if output == outputJSON {
		err = writeJSON(cmd.OutOrStdout(), t)
	} else {
		err = t.print(cmd)
	}
	if err == nil && len(t.Failures)+len(t.Parked) > 0 {
		return errReported
	}
	return err
}

func (t troubles) print(cmd *cobra.Command) error {
	if len(t.Failures)+len(t.Parked)+len(t.Unmapped) == 0 {
		cmd.Println("nothing failed, nothing is parked, every price has a tier")
		return nil
	}
	rows := newTable(cmd.OutOrStdout(), "WHAT", "WHERE", "SINCE", "MENDED BY", "WHY")
	for _, f := range t.Failures {
		rows.row("not posted", f.StripeEventID+" ("+f.EventType+")", moment(f.FailedAt), "daybook repost "+f.StripeEventID, f.Reason)
	}
	for _, p := range t.Parked {
		rows.row("parked", p.Stream, moment(p.ParkedAt), "daybook rebuild", p.Error)
	}
	for _, u := range t.Unmapped {
		rows.row("no tier", u.Price, "-", "daybook catalog check", "the catalog has no place for the price: add it, and reload")
	}
	return rows.flush()
}
