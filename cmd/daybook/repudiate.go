package main

import (
	"cmp"
	"fmt"
	"net/http"
	"os/user"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/intake/posting"
)

// repudiateCall is what the control route is asked for.
type repudiateCall struct {
	StripeEventID string `json:"stripe_event_id"`
	Actor         string `json:"actor"`
	Reason        string `json:"reason"`
}

func repudiateCommand() *cobra.Command {
	var call repudiateCall
	var output string
	cmd := &cobra.Command{
		Use: "repudiate EVT", Short: "Declare a recorded event forged or mistaken, for ever", Args: exactArgs("EVT"),
		Long: "Takes everything that a Stripe event said out of force, wherever it was ever posted, and records who did so\n" +
			"and why. If a price was mapped by the event's lookup key, that counts no more, and what other events show of\n" +
			"the price takes its place. The event itself stays in the record, and is never posted again. To repeat it\n" +
			"changes nothing. It looks through the whole record.",
		RunE: func(cmd *cobra.Command, args []string) error {
			call.StripeEventID = args[0]
			if err := posting.CheckReason(call.Reason); err != nil {
				return usagef("--reason: %w", err)
			}
			var err error
			if call.Actor, err = actorOr(call.Actor); err != nil {
				return err
			}
			var result posting.Repudiation
			if err := callWriting(cmd, output, "repudiate", call, &result); err != nil {
				return err
			}
			return reportRepudiation(cmd, output, result)
		},
	}
	addActorFlags(cmd, &call.Actor, &call.Reason)
	addOutputFlag(cmd, &output)
	return cmd
}

// addActorFlags are the flags of every command by which a person decides.
func addActorFlags(cmd *cobra.Command, actor, reason *string) {
	cmd.Flags().StringVar(reason, "reason", "", "why, for those who read the record later (10 to 500 characters)")
	cmd.Flags().StringVar(actor, "actor", "", "who decides; by default the user of this system")
}

// actorOr returns who decides: who is named, else the user of the system.
func actorOr(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	who, err := user.Current()
	if err != nil {
		return "", usagef("the system does not tell who you are: name yourself with --actor")
	}
	return cmp.Or(who.Username, who.Uid), nil
}

func reportRepudiation(cmd *cobra.Command, output string, r posting.Repudiation) error {
	if output == outputJSON {
		return writeJSON(cmd.OutOrStdout(), r)
	}
	how := "repudiated"
	if r.Already {
		how = "had been repudiated already"
	}
	cmd.Printf("%s (%s) %s, by %s at %s: %s\n", r.StripeEventID, r.EventType, how, r.Actor, moment(r.RepudiatedAt), r.Reason)
	cmd.Printf("%s taken out of force", counted(r.Facts, "fact"))
	for i, stream := range r.Streams {
		cmd.Printf("%s%s", []string{" in ", ", "}[min(i, 1)], stream)
	}
	cmd.Println()
	for _, p := range r.Prices {
		now := "no mapping is left"
		if m := p.Mapping; m != nil {
			now = fmt.Sprintf("it maps to %s, as %s shows", cmp.Or(m.Tier, m.Addon), m.StripeEventID)
		}
		cmd.Printf("price %s: what the event showed of it is withdrawn; %s\n", p.Price, now)
	}
	return nil
}

// repudiate is the control route behind the command.
func (n *node) repudiate(r *http.Request, tell func(done, total int64)) (any, error) {
	var call repudiateCall
	if err := readCall(r, &call); err != nil {
		return nil, err
	}
	result, err := n.poster.Repudiate(r.Context(), posting.RepudiationPlan{
		StripeEventID: call.StripeEventID, Actor: call.Actor, Reason: call.Reason, Progress: tell})
	if err != nil {
		return nil, err
	}
	n.log.WithField("event_id", call.StripeEventID).WithField("actor", result.Actor).Warn("event repudiated")
	return result, n.awaitProjected(r.Context())
}
