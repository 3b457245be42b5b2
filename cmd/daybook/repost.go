package main

import (
	"net/http"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/intake/posting"
)

// repostCall is what the control route is asked for.
type repostCall struct {
	Events   []string `json:"events,omitempty"`
	Failed   bool     `json:"failed,omitempty"`
	Unposted bool     `json:"unposted,omitempty"`
	Type     string   `json:"type,omitempty"`
	DryRun   bool     `json:"dry_run,omitempty"`
}

func (c repostCall) selection() posting.Selection {
	return posting.Selection{Events: c.Events, Failed: c.Failed, Unposted: c.Unposted, Type: c.Type}
}

func repostCommand() *cobra.Command {
	var call repostCall
	var output string
	cmd := &cobra.Command{
		Use: "repost [EVT…]", Short: "Post recorded events again, after an upgrade or a fix",
		Long: "Reads recorded Stripe events as this build does. Facts that are not there are added, those that say\n" +
			"something else are superseded, and those that an event does not state any more, or states of something\n" +
			"else, are retracted; the record only grows, and to repeat it changes nothing. It begins with a look\n" +
			"through the record for the facts that are there. Choose events by their ids, or with one of --failed,\n" +
			"--unposted and --type. Exits 1 if one could not be posted.",
		RunE: func(cmd *cobra.Command, args []string) error {
			call.Events = args
			if err := call.selection().Check(); err != nil {
				return &usageError{err}
			}
			var result posting.Reposted
			if err := callWriting(cmd, output, "repost", call, &result); err != nil {
				return err
			}
			return reportReposted(cmd, output, result)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&call.Failed, "failed", false, "every event that could not be posted (see daybook failures)")
	f.BoolVar(&call.Unposted, "unposted", false, "events whose facts are nowhere, because an earlier build did not post their type; what is there stays")
	f.StringVar(&call.Type, "type", "", "every event of a Stripe type, as in customer.subscription.updated")
	f.BoolVar(&call.DryRun, "dry-run", false, "only report what would change")
	addOutputFlag(cmd, &output)
	return cmd
}

func reportReposted(cmd *cobra.Command, output string, r posting.Reposted) error {
	write := printReposted
	if output == outputJSON {
		write = func(cmd *cobra.Command, r posting.Reposted) error { return writeJSON(cmd.OutOrStdout(), r) }
	}
	if err := write(cmd, r); err != nil {
		return err
	}
	if r.Failed > 0 {
		return errReported
	}
	return nil
}

func printReposted(cmd *cobra.Command, r posting.Reposted) error {
	if len(r.Events) > 0 {
		rows := newTable(cmd.OutOrStdout(), "EVENT", "TYPE", "OUTCOME", "ADDED", "CORRECTED", "RETRACTED", "WHY")
		for _, e := range r.Events {
			outcome := string(e.Outcome)
			if e.Repaired {
				outcome += ", repaired"
			}
			rows.row(e.StripeEventID, orDash(e.EventType), outcome, e.Added, e.Corrected, e.Retracted, orDash(e.Reason))
		}
		if err := rows.flush(); err != nil {
			return err
		}
	}
	if r.MoreEvents > 0 {
		cmd.Printf("and %d more\n", r.MoreEvents)
	}
	cmd.Printf("%s: %s added, %d corrected, %d retracted; %s repaired, %d failed\n",
		counted(r.Looked, "event"), counted(r.Added, "fact"), r.Corrected, r.Retracted, counted(r.Repaired, "event"), r.Failed)
	if r.Rehearsed {
		cmd.Println("dry run: everything was left as it is")
	}
	return nil
}

// repost is the control route behind the command.
func (n *node) repost(r *http.Request, tell func(done, total int64)) (any, error) {
	var call repostCall
	if err := readCall(r, &call); err != nil {
		return nil, err
	}
	result, err := n.poster.Repost(r.Context(), posting.RepostPlan{
		Selection: call.selection(), Rehearse: call.DryRun, Progress: tell})
	if err != nil || call.DryRun {
		return result, err
	}
	return result, n.awaitProjected(r.Context())
}
