package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// ingested is what became of a file of events.
type ingested struct {
	Recorded  int64 `json:"recorded"`
	Duplicate int64 `json:"duplicate"`
	// Faults are the lines that are no events; the others were taken in.
	Faults []lineFault `json:"faults,omitempty"`
	// MoreFaults counts those that the list had no room for.
	MoreFaults int64 `json:"more_faults,omitempty"`
}

// lineFault is a line that could not be taken in.
type lineFault struct {
	Line   int64  `json:"line"`
	Reason string `json:"reason"`
}

// The bounds of an ingest.
const (
	maxListedFaults = 100
	parallelLines   = 64
	lineTimeout     = 30 * time.Second
	// maxLineBytes is more than any event that can be recorded.
	maxLineBytes = 2 * eventstore.MaxAppendBytes
)

func ingestCommand() *cobra.Command {
	var source string
	cmd := &cobra.Command{
		Use: "ingest FILE", Short: "Take in Stripe events from a file of JSON lines", Args: exactArgs("FILE"),
		Long: "Records the events of FILE (one JSON event a line; - is standard input) as entries of a named\n" +
			"source other than Stripe's webhook, and posts them. Events that are known already stay as they are.",
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(cmd, false)
			if err != nil {
				return err
			}
			if err := checkSource(source); err != nil {
				return err
			}
			file, size, err := openInput(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			bar := newProgress(cmd, "ingest", size)
			var result ingested
			route := "/ingest?source=" + url.QueryEscape(source)
			err = callControl(cmd.Context(), cfg, newLogger(cfg, cmd.ErrOrStderr()), route, bar.reading(file), bar.ignore, &result)
			bar.finish()
			if err != nil {
				return err
			}
			return reportIngested(cmd, result)
		},
	}
	cmd.Flags().StringVar(&source, "source", "ingest", "where the events come from, kept with each entry")
	return cmd
}

// checkSource refuses to pass events off as what Stripe delivered and signed.
func checkSource(source string) error {
	if source == "" || source == intake.SourceWebhook || source == intake.SourceAPI {
		return usagef("--source %q: name where the events come from; %q and %q are what Stripe delivers and answers itself",
			source, intake.SourceWebhook, intake.SourceAPI)
	}
	return nil
}

func openInput(name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(os.Stdin), 0, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}

func reportIngested(cmd *cobra.Command, r ingested) error {
	cmd.Printf("%d recorded, %d already known, %d refused\n", r.Recorded, r.Duplicate, int64(len(r.Faults))+r.MoreFaults)
	for _, f := range r.Faults {
		cmd.Printf("line %d: %s\n", f.Line, f.Reason)
	}
	if len(r.Faults) > 0 {
		return errReported
	}
	return nil
}

// ingest is the control route behind the command.
func (n *node) ingest(r *http.Request, _ func(done, total int64)) (any, error) {
	t := &taking{node: n, source: r.URL.Query().Get("source")}
	if err := checkSource(t.source); err != nil {
		return nil, err
	}
	if err := t.takeAll(r.Context(), r.Body); err != nil {
		return nil, err
	}
	t.result.Recorded, t.result.Duplicate = t.recorded.Load(), t.duplicate.Load()
	slices.SortFunc(t.result.Faults, func(a, b lineFault) int { return cmp.Compare(a.Line, b.Line) })
	return t.result, nil
}

// taking is one ingest under way.
type taking struct {
	*node
	source              string
	recorded, duplicate atomic.Int64

	mu     sync.Mutex
	result ingested
}

// takeAll records lines in parallel: they wait for one disk together, as
// webhooks do, and order makes no difference.
func (t *taking) takeAll(ctx context.Context, body io.Reader) error {
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(parallelLines)
	lines := bufio.NewReaderSize(body, 1<<16)
	var failed error
	for number := int64(1); working.Err() == nil; number++ {
		line, tooLong, err := readLine(lines)
		switch {
		case tooLong:
			t.fault(number, fmt.Sprintf("longer than %d bytes", maxLineBytes))
		case len(line) > 0:
			group.Go(func() error { return t.take(working, number, line) })
		}
		if err != nil && !errors.Is(err, io.EOF) {
			failed = fmt.Errorf("read line %d: %w", number, err)
		}
		if err != nil {
			break
		}
	}
	return errors.Join(failed, group.Wait(), ctx.Err())
}

// readLine reads a line, without the white space around it. Of one that is too
// long nothing is kept. The error comes with the last line.
func readLine(r *bufio.Reader) (line []byte, tooLong bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if tooLong = tooLong || len(line)+len(part) > maxLineBytes; tooLong {
			line = nil
		} else {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimSpace(line), tooLong, err
		}
	}
}

// take records one line. A line that is no event is a fault of the file; only
// trouble with the store ends the whole.
func (t *taking) take(ctx context.Context, number int64, line []byte) error {
	envelope, err := intake.ParseEnvelope(line)
	if err != nil {
		t.fault(number, err.Error())
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lineTimeout)
	defer cancel()
	outcome, err := t.journal.Record(ctx, intake.Entry{Body: line, Envelope: envelope, Source: t.source})
	if errors.Is(err, eventstore.ErrTooLarge) {
		t.fault(number, "too large to be recorded")
		return nil
	}
	if err != nil {
		return fmt.Errorf("line %d: %w", number, err)
	}
	if outcome.Status == intake.Duplicate {
		t.duplicate.Add(1)
	} else {
		t.recorded.Add(1)
	}
	return nil
}

func (t *taking) fault(number int64, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.result.Faults) < maxListedFaults {
		t.result.Faults = append(t.result.Faults, lineFault{number, reason})
	} else {
		t.result.MoreFaults++
	}
}
