package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/api"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/history"
	"github.com/daybookhq/daybook/projections"
)

// eventsQuery is what the events command was asked for.
type eventsQuery struct {
	history.Query
	from         uint64
	since, until string
	order        string
	follow       bool
	payload      bool
	backwards    bool
	output       string
}

func eventsCommand() *cobra.Command {
	var q eventsQuery
	cmd := &cobra.Command{
		Use: "events [EVT]", Short: "List the record, or follow it, or show one Stripe event", Args: oneArgAtMost("EVT"),
		Long: "Lists the events of the log, oldest first. With the id of a Stripe event it shows that one:\n" +
			"how it came in, what it says, and what followed from it.\n" +
			"Raw payloads hold personal data and are shown only with --payload.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := q.parse(cmd, len(args) > 0); err != nil {
				return err
			}
			r, err := openRecord(cmd)
			if err != nil {
				return err
			}
			defer r.close()
			if len(args) > 0 {
				return q.one(cmd, r, args[0])
			}
			return q.list(cmd, r)
		},
	}
	q.addFilters(cmd)
	f := cmd.Flags()
	f.Uint64Var(&q.from, "from", 0, "begin behind this position")
	f.IntVar(&q.Limit, "limit", 100, "at most so many; 0 for all, as it is with --follow if nothing else is said")
	f.StringVar(&q.order, "order", orderRecorded, "of an account or a customer: recorded, or occurred (when it happened)")
	f.BoolVar(&q.follow, "follow", false, "go on with new events until interrupted")
	f.BoolVar(&q.payload, "payload", false, "show raw payloads too")
	f.BoolVar(&q.backwards, "reverse", false, "newest first")
	cmd.AddCommand(statisticsCommand())
	return cmd
}

// The orders of a list.
const (
	orderRecorded = "recorded"
	orderOccurred = "occurred"
)

// addFilters adds the flags that choose events.
func (q *eventsQuery) addFilters(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&q.Stream, "stream", "", "only streams that begin so, as in subscription- or stripeEvent-evt_1MhUT5")
	f.StringSliceVar(&q.Types, "type", nil, "only events of these types")
	f.StringVar(&q.Owner.Account, "account", "", "only what belongs to this account now")
	f.StringVar(&q.Owner.Customer, "customer", "", "only what belongs to this customer of Stripe's")
	f.StringVar(&q.since, "since", "", "only what was recorded from this time on (RFC 3339)")
	f.StringVar(&q.until, "until", "", "only what was recorded before this time (RFC 3339)")
	addOutputFlag(cmd, &q.output)
}

func (q *eventsQuery) parse(cmd *cobra.Command, one bool) error {
	owned := q.Owner != projections.Owner{}
	switch {
	case one && anyChanged(cmd, "from", "limit", "order", "follow", "reverse", "stream", "type", "account", "customer", "since", "until"):
		return usagef("with the id of an event, only --payload and --output count")
	case q.follow && q.backwards:
		return usagef("--follow goes forwards: leave out --reverse")
	case q.follow && q.until != "":
		return usagef("--follow goes on: leave out --until")
	case q.Limit < 0:
		return usagef("--limit %d: want 0 or more", q.Limit)
	case anyChanged(cmd, "account") && q.Owner.Account == "", anyChanged(cmd, "customer") && q.Owner.Customer == "", anyChanged(cmd, "type") && len(q.Types) == 0:
		return usagef("--account, --customer, --type: want a name") // who forgot it does not want all
	case q.Owner.Account != "" && q.Owner.Customer != "":
		return usagef("--account or --customer: want one of them")
	case q.order != "" && q.order != orderRecorded && q.order != orderOccurred:
		return usagef("--order %q: want %s or %s", q.order, orderRecorded, orderOccurred)
	case q.order == orderOccurred && (!owned || q.follow || q.from != 0):
		return usagef("--order %s is for the events of an --account or a --customer, and goes with neither --follow nor --from", orderOccurred)
	}
	if q.follow && !anyChanged(cmd, "limit") {
		q.Limit = 0
	}
	q.From = eventstore.Position(q.from)
	if q.backwards {
		q.Direction = eventstore.Backwards
	}
	if err := parseMoments(bound{"--since", q.since, &q.Since}, bound{"--until", q.until, &q.Until}); err != nil {
		return err
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return usagef("--until %s: want a time after --since", q.until)
	}
	return checkOutput(q.output)
}

func anyChanged(cmd *cobra.Command, flags ...string) bool {
	for _, name := range flags {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

func (q *eventsQuery) list(cmd *cobra.Command, r *record) error {
	events, err := q.events(cmd.Context(), r.history)
	if err != nil {
		return err
	}
	rows := newTable(cmd.OutOrStdout(), "POSITION", "RECORDED", "STREAM", "REV", "TYPE", "HAPPENED", "STRIPE EVENT")
	for e, err := range events {
		if err != nil {
			return ignoreEnd(cmd.Context(), err)
		}
		if err := q.show(cmd, rows, e); err != nil {
			return err
		}
	}
	if q.output == outputJSON {
		return nil // the table's head alone is no JSON
	}
	return rows.flush()
}

func (q *eventsQuery) show(cmd *cobra.Command, rows table, e eventstore.RecordedEvent) error {
	view := api.NewEventView(e, q.payload)
	if q.output == outputJSON {
		return writeJSONLine(cmd.OutOrStdout(), view)
	}
	rows.row(view.Position, moment(view.RecordedAt), view.Stream, view.Revision, view.Type, moment(view.OccurredAt), orDash(view.StripeEventID))
	if q.follow {
		return rows.flush()
	}
	return nil
}

// events yields what was asked for.
func (q *eventsQuery) events(ctx context.Context, record *history.Record) (iter.Seq2[eventstore.RecordedEvent, error], error) {
	switch {
	case q.follow:
		return following(record.Follow(ctx, q.Query), q.Limit), nil
	case q.order == orderOccurred:
		return q.timeline(ctx, record), nil
	}
	return record.Events(ctx, q.Query), nil
}

// timelinePage is how many events of a timeline are held at a time.
const timelinePage = 500

// timeline yields page after page, up to the limit.
func (q *eventsQuery) timeline(ctx context.Context, record *history.Record) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		page, given := q.Query, 0
		page.Limit = timelinePage
		for place := (&history.Place{}); place != nil; {
			events, next, err := record.Timeline(ctx, page, *place)
			if err != nil {
				yield(eventstore.RecordedEvent{}, err)
				return
			}
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
				if given++; given == q.Limit {
					return
				}
			}
			place = next
		}
	}
}

// following drops the messages of a subscription that carry no event, and ends
// after so many that do, 0 for never.
func following(messages iter.Seq2[eventstore.Message, error], limit int) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		given := 0
		for m, err := range messages {
			switch {
			case err != nil:
				yield(eventstore.RecordedEvent{}, err)
				return
			case m.Event == nil:
				continue
			case !yield(*m.Event, nil):
				return
			}
			if given++; given == limit {
				return
			}
		}
	}
}

// one shows a Stripe event: receipt, payload and what followed, beside each other.
func (q *eventsQuery) one(cmd *cobra.Command, r *record, id string) error {
	e, err := r.history.StripeEvent(cmd.Context(), id)
	if errors.Is(err, eventstore.ErrInvalid) || err == nil && len(e.Entries) == 0 {
		return fmt.Errorf("no event %s was recorded", id)
	}
	if err != nil {
		return err
	}
	followed, err := r.history.Followed(cmd.Context(), e)
	if err != nil {
		return err
	}
	answer := api.NewEventAnswer(e, followed, q.payload)
	if q.output == outputJSON {
		return writeJSON(cmd.OutOrStdout(), answer)
	}
	return printEvent(cmd, answer)
}

func printEvent(cmd *cobra.Command, e api.EventAnswer) error {
	out := cmd.OutOrStdout()
	rows := newTable(out, "event", e.EventID)
	for i, entry := range e.Entries {
		which := fmt.Sprintf("entry %d of %d", i+1, len(e.Entries))
		if i == e.Posted {
			which += ", the one that is posted"
		}
		rows.row("", "")
		rows.row(which, entry.Type)
		printReceipt(rows, entry)
	}
	if err := rows.flush(); err != nil {
		return err
	}
	for _, entry := range e.Entries {
		if entry.Data != nil {
			fmt.Fprintf(out, "\npayload at position %d\n", entry.Position)
			if err := writeJSON(out, entry.Data); err != nil {
				return err
			}
		}
	}
	fmt.Fprintln(out)
	if len(e.Followed) == 0 {
		fmt.Fprintln(out, "nothing followed from it")
		return nil
	}
	rows = newTable(out, "FOLLOWED AT", "RECORDED", "STREAM", "REV", "TYPE", "SAYS")
	for _, f := range e.Followed {
		rows.row(f.Position, moment(f.RecordedAt), f.Stream, f.Revision, f.Type, string(f.Data))
	}
	return rows.flush()
}

func printReceipt(rows table, entry api.EventView) {
	receipt, err := api.ReceiptOf(entry)
	if err != nil {
		rows.row("receipt", "cannot be read")
		return
	}
	signed := "not signed"
	if receipt.Signed() {
		signed = "signed with the secret " + receipt.Secret
	}
	rows.row("position", entry.Position)
	rows.row("received", moment(receipt.ReceivedAt))
	rows.row("happened", moment(receipt.EventCreated))
	rows.row("source", receipt.Source+", "+signed)
	rows.row("api version", orDash(receipt.APIVersion))
	rows.row("mode", modeName(receipt.Livemode))
	if receipt.Account != "" {
		rows.row("connected account", receipt.Account)
	}
	rows.row("bytes", fmt.Sprintf("%d, SHA-256 %s", entry.DataBytes, entry.DataSHA256))
}

// countPatience bounds one count; a log has an end.
const countPatience = time.Hour

func statisticsCommand() *cobra.Command {
	var q eventsQuery
	cmd := &cobra.Command{
		Use: "statistics", Short: "Count the events of the record, by type", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := q.parse(cmd, false); err != nil {
				return err
			}
			r, err := openRecord(cmd)
			if err != nil {
				return err
			}
			defer r.close()
			s, err := r.history.Count(cmd.Context(), q.Query, countPatience)
			if err != nil {
				return err
			}
			if q.output == outputJSON {
				return writeJSON(cmd.OutOrStdout(), s)
			}
			rows := newTable(cmd.OutOrStdout(), "CATEGORY", "TYPE", "EVENTS", "BYTES", "FIRST RECORDED", "LAST RECORDED")
			for _, t := range s.Types {
				rows.row(t.Category, t.Type, t.Events, t.Bytes, moment(t.FirstRecordedAt), moment(t.LastRecordedAt))
			}
			rows.row("all", "", s.Events, "", moment(s.FirstRecordedAt), moment(s.LastRecordedAt))
			return rows.flush()
		},
	}
	q.addFilters(cmd)
	return cmd
}
