package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/intake/posting"
)

// acceptLossCall is what the control route is asked for.
type acceptLossCall struct {
	Actor  string `json:"actor"`
	Reason string `json:"reason"`
}

// acceptedLoss is what came of it.
type acceptedLoss struct {
	From       time.Time `json:"from"`
	Until      time.Time `json:"until"`
	AcceptedAt time.Time `json:"accepted_at"`
}

func acceptLossCommand() *cobra.Command {
	var call acceptLossCall
	var output string
	cmd := &cobra.Command{
		Use: "accept-loss", Short: "Publish again from a store that was restored and lacks history", Args: noArgs,
		Long: "A store that was restored from a backup lacks what was recorded since. A server with STRIPE_API_KEY fetches it\n" +
			"before it publishes to Redis again. Without a key, nothing is published until you say by this command that\n" +
			"what was missing is there, or that you do without it: who did so, and why, is recorded.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := posting.CheckReason(call.Reason); err != nil {
				return usagef("--reason: %w", err)
			}
			var err error
			if call.Actor, err = actorOr(call.Actor); err != nil {
				return err
			}
			var result acceptedLoss
			if err := callWriting(cmd, output, "accept-loss", call, &result); err != nil {
				return err
			}
			if output == outputJSON {
				return writeJSON(cmd.OutOrStdout(), result)
			}
			cmd.Printf("what was lost between %s and %s is accepted; entitlements are published again\n", moment(result.From), moment(result.Until))
			return nil
		},
	}
	addActorFlags(cmd, &call.Actor, &call.Reason)
	addOutputFlag(cmd, &output)
	return cmd
}

// errNothingLost refuses what would record that nothing happened.
var errNothingLost = errors.New("nothing is known to be lost")

// askRedisWithin bounds how long Redis may take to tell what it was told last.
const askRedisWithin = 10 * time.Second

// acceptLoss is the control route behind the command.
func (n *node) acceptLoss(r *http.Request, _ func(done, total int64)) (any, error) {
	var call acceptLossCall
	if err := readCall(r, &call); err != nil {
		return nil, err
	}
	lost, err := n.look(r.Context())
	if err != nil {
		return nil, err
	}
	if lost == nil {
		return nil, errNothingLost
	}
	if err := n.recovered(r.Context(), lost, recovery{By: byOperator, Actor: call.Actor, Reason: call.Reason}); err != nil {
		return nil, err
	}
	_, since := n.history.present()
	return acceptedLoss{From: lost.HeadAt, Until: lost.ToldAt, AcceptedAt: since}, nil
}

// look returns what the store is known to lack, or what Redis tells that it does.
func (n *node) look(ctx context.Context) (*loss, error) {
	if err := n.history.load(ctx, n.about); err != nil {
		return nil, err
	}
	if lost, _ := n.history.present(); lost != nil || n.redis == nil {
		return lost, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askRedisWithin)
	defer cancel()
	told, err := n.redis.outlet.Told(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w, and what Redis was told last cannot be read: %w", errNothingLost, err)
	}
	return n.notice(ctx, told)
}
