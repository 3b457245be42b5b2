package main

import (
	"context"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/api"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// eventsQuery is what the events command was asked for.
type eventsQuery struct {
	from      uint64
	limit     int
	stream    string
	eventType string
	follow    bool
	payload   bool
	backwards bool
	output    string
}

func eventsCommand() *cobra.Command {
	var q eventsQuery
	cmd := &cobra.Command{
		Use: "events", Short: "List the record, or follow it", Args: noArgs,
		Long: "Lists the events of the log, oldest first. Raw payloads hold personal data and are shown only with --payload.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := q.check(); err != nil {
				return err
			}
			r, err := openRecord(cmd)
			if err != nil {
				return err
			}
			defer r.close()
			return q.list(cmd, r)
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&q.from, "from", 0, "begin behind this position")
	f.IntVar(&q.limit, "limit", 100, "at most so many; 0 for all")
	f.StringVar(&q.stream, "stream", "", "only streams that begin so, as in subscription- or stripeEvent-evt_1MhUT5")
	f.StringVar(&q.eventType, "type", "", "only events of this type")
	f.BoolVar(&q.follow, "follow", false, "go on with new events until interrupted")
	f.BoolVar(&q.payload, "payload", false, "show raw payloads too (json only)")
	f.BoolVar(&q.backwards, "reverse", false, "newest first")
	addOutputFlag(cmd, &q.output)
	return cmd
}

func (q eventsQuery) check() error {
	switch {
	case q.follow && q.backwards:
		return usagef("--follow goes forwards: leave out --reverse")
	case q.limit < 0:
		return usagef("--limit %d: want 0 or more", q.limit)
	}
	return checkOutput(q.output)
}

func (q eventsQuery) list(cmd *cobra.Command, r *record) error {
	out := cmd.OutOrStdout()
	rows := newTable(out, "POSITION", "RECORDED", "STREAM", "REV", "TYPE")
	shown := 0
	for e, err := range q.events(cmd.Context(), r.store) {
		if err != nil {
			return ignoreEnd(cmd.Context(), err)
		}
		if q.eventType != "" && e.Type != q.eventType {
			continue
		}
		if err := q.show(cmd, rows, e); err != nil {
			return err
		}
		if shown++; q.limit > 0 && shown >= q.limit && !q.follow {
			break
		}
	}
	if q.output == outputJSON {
		return nil // the table's head alone is no JSON
	}
	return rows.flush()
}

func (q eventsQuery) show(cmd *cobra.Command, rows table, e eventstore.RecordedEvent) error {
	view := api.NewEventView(e, q.payload || e.Stream.Category() != intake.JournalCategory)
	if q.output == outputJSON {
		return writeJSONLine(cmd.OutOrStdout(), view)
	}
	rows.row(view.Position, moment(view.RecordedAt), view.Stream, view.Revision, view.Type)
	if q.follow {
		return rows.flush()
	}
	return nil
}

// events yields the log's events as asked, filtered by stream.
func (q eventsQuery) events(ctx context.Context, store eventstore.Reader) iter.Seq2[eventstore.RecordedEvent, error] {
	var filter eventstore.Filter
	if q.stream != "" {
		filter.Prefixes = []string{q.stream}
	}
	from := eventstore.Position(q.from)
	switch {
	case q.follow:
		return following(store.Follow(ctx, from, filter))
	case q.backwards:
		if q.from == 0 {
			from = eventstore.End
		}
		return store.ReadAll(ctx, from, eventstore.Backwards, filter, 0)
	}
	return store.ReadAll(ctx, from, eventstore.Forwards, filter, 0)
}

// following drops the messages of a subscription that carry no event.
func following(messages iter.Seq2[eventstore.Message, error]) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		for m, err := range messages {
			switch {
			case err != nil:
				yield(eventstore.RecordedEvent{}, fmt.Errorf("follow the log: %w", err))
				return
			case m.Event != nil && !yield(*m.Event, nil):
				return
			}
		}
	}
}
