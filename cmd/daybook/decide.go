package main

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/api"
	"github.com/daybookhq/daybook/decisions"
)

// The kinds of decision that the control route takes.
const (
	kindGrant   = "grant"
	kindRevoke  = "revoke"
	kindBlock   = "block"
	kindUnblock = "unblock"
	kindGrace   = "grace"
)

// decideCall is a decision on an account, as the control route takes it.
type decideCall struct {
	Kind    string    `json:"kind"`
	Account string    `json:"account"`
	Actor   string    `json:"actor"`
	Reason  string    `json:"reason"`
	Waiver  string    `json:"waiver,omitempty"`
	Tier    string    `json:"tier,omitempty"`
	Until   time.Time `json:"until,omitzero"`
}

// command is what the call asks the account to decide.
func (c decideCall) command() (aggregate.Command, error) {
	switch c.Kind {
	case kindGrant:
		return aggregate.GrantWaiver{ID: c.Waiver, Tier: c.Tier, Reason: c.Reason, ExpiresAt: c.Until, Actor: c.Actor}, nil
	case kindRevoke:
		return aggregate.RevokeWaiver{ID: c.Waiver, Reason: c.Reason, Actor: c.Actor}, nil
	case kindBlock:
		return aggregate.BlockAccount{Reason: c.Reason, Actor: c.Actor}, nil
	case kindUnblock:
		return aggregate.UnblockAccount{Reason: c.Reason, Actor: c.Actor}, nil
	case kindGrace:
		return aggregate.ExtendGrace{Until: c.Until, Reason: c.Reason, Actor: c.Actor}, nil
	}
	return nil, fmt.Errorf("there is no decision %q", c.Kind)
}

// decide is the control route behind the commands.
func (n *node) decide(r *http.Request, _ func(done, total int64)) (any, error) {
	var call decideCall
	if err := readCall(r, &call); err != nil {
		return nil, err
	}
	command, err := call.command()
	if err != nil {
		return nil, err
	}
	return n.decisions.Decide(r.Context(), call.Account, command)
}

// deciding is a command by which an operator decides.
type deciding struct {
	decideCall
	until  string
	output string
}

func (d *deciding) run(cmd *cobra.Command) error {
	var err error
	if d.Actor, err = actorOr(d.Actor); err != nil {
		return err
	}
	if d.Until, err = momentOrSpan(d.until, systemClock()); err != nil {
		return err
	}
	var truth aggregate.AccountTruth
	if err := callWriting(cmd, d.output, "decide", d.decideCall, &truth); err != nil {
		return err
	}
	if d.output == outputJSON {
		return writeJSON(cmd.OutOrStdout(), truth)
	}
	return printDecided(cmd, truth)
}

// momentOrSpan reads a time, or how long from now; zero for neither.
func momentOrSpan(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, ok := api.ParseMoment(text); ok {
		return t, nil
	}
	var span aggregate.Span
	if err := span.UnmarshalText([]byte(text)); err != nil {
		return time.Time{}, usagef("%q: want a time like 2026-01-31T12:00:00Z, or how long from now, like 36h or 30d", text)
	}
	return now.Add(time.Duration(span)).UTC().Truncate(time.Second), nil
}

func printDecided(cmd *cobra.Command, a aggregate.AccountTruth) error {
	rows := newTable(cmd.OutOrStdout(), "account", a.Account)
	for _, w := range a.Waivers {
		rows.row("waiver "+w.ID, fmt.Sprintf("%s, %s", w.Tier, waiverStanding(w, systemClock())))
	}
	if a.Block != nil {
		rows.row("blocked", fmt.Sprintf("since %s by %s: %s", moment(a.Block.BlockedAt), a.Block.BlockedBy, a.Block.Reason))
	}
	if !a.GraceUntil.IsZero() {
		rows.row("grace", "does not end before "+moment(a.GraceUntil))
	}
	return rows.flush()
}

// waiverStanding says in words whether a waiver is in force, and for how long.
func waiverStanding(w aggregate.Waiver, now time.Time) string {
	switch {
	case !w.RevokedAt.IsZero():
		return "revoked at " + moment(w.RevokedAt)
	case w.ExpiresAt.IsZero():
		return "in force, without an end"
	case w.InForce(now):
		return "in force until " + moment(w.ExpiresAt)
	}
	return "ended at " + moment(w.ExpiresAt)
}

// decideCommand makes a command of one kind.
func decideCommand(kind, use, short string, args ...string) (*cobra.Command, *deciding) {
	d := &deciding{decideCall: decideCall{Kind: kind}}
	cmd := &cobra.Command{Use: use + " " + strings.Join(args, " "), Short: short, Args: exactArgs(args...),
		RunE: func(cmd *cobra.Command, given []string) error {
			if d.Account = given[0]; len(given) > 1 {
				d.Waiver = given[1]
			}
			return d.run(cmd)
		}}
	addActorFlags(cmd, &d.Actor, &d.Reason)
	addOutputFlag(cmd, &d.output)
	return cmd, d
}

func waiverCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "waiver", Short: "Grant a tier without payment, revoke it, list what was granted", Args: noArgs, RunE: showHelp}
	grant, d := decideCommand(kindGrant, "grant", "Grant an account a tier without payment", "ACCOUNT")
	d.Waiver = newWaiverID()
	grant.Flags().StringVar(&d.Tier, "tier", "", "the tier, by its id in the catalog in force")
	grant.Flags().StringVar(&d.until, "expires", "", "when it ends: a time (RFC 3339), or how long from now (36h, 30d); without it, never")
	revoke, _ := decideCommand(kindRevoke, "revoke", "End a waiver now", "ACCOUNT", "ID")
	cmd.AddCommand(grant, revoke, waiverListCommand())
	return cmd
}

func newWaiverID() string {
	id := uuid.New()
	return "wvr_" + hex.EncodeToString(id[:])
}

func blockCommand() *cobra.Command {
	cmd, _ := decideCommand(kindBlock, "block", "Refuse an account all access, whatever it pays for", "ACCOUNT")
	return cmd
}

func unblockCommand() *cobra.Command {
	cmd, _ := decideCommand(kindUnblock, "unblock", "Undo a block", "ACCOUNT")
	return cmd
}

func graceCommand() *cobra.Command {
	cmd, d := decideCommand(kindGrace, "grace", "Let no grace of an account end before a time", "ACCOUNT")
	cmd.Flags().StringVar(&d.until, "until", "", "the time (RFC 3339), or how long from now (36h, 7d)")
	return cmd
}

func waiverListCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "list [ACCOUNT]", Short: "List the waivers of an account, or of all, those that ended too", Args: oneArgAtMost("ACCOUNT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			r, err := openRecord(cmd)
			if err != nil {
				return err
			}
			defer r.close()
			waivers, err := decisions.Waivers(cmd.Context(), r.store, strings.Join(args, ""), systemClock())
			if err != nil {
				return err
			}
			if output == outputJSON {
				return writeJSON(cmd.OutOrStdout(), map[string]any{"waivers": waivers})
			}
			return printWaivers(cmd, waivers)
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func printWaivers(cmd *cobra.Command, waivers []decisions.Waiver) error {
	if len(waivers) == 0 {
		cmd.Println("no waivers")
		return nil
	}
	rows := newTable(cmd.OutOrStdout(), "ACCOUNT", "WAIVER", "TIER", "STATE", "GRANTED BY", "GRANTED", "REASON")
	for _, w := range waivers {
		rows.row(w.Account, w.ID, w.Tier, waiverStanding(w.Waiver, systemClock()), w.GrantedBy, moment(w.GrantedAt), w.Reason)
	}
	return rows.flush()
}
