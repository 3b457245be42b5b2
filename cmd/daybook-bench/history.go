package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite"
)

// The targets of history.
const (
	targetRebuild       = 200_000 // events per second
	targetRebuildMemory = 500 << 20
	targetOpen          = time.Second
	rebuildWithin       = 10 * time.Minute
	// writers append the history at once, so that they share flushes.
	writers = 64
)

// measureHistory makes a store with a long history, rebuilds the read model
// from it, and then opens it as a server would.
func measureHistory(ctx context.Context, b *bench) error {
	dir := filepath.Join(b.work, "history")
	if err := b.foundStore(ctx, dir); err != nil {
		return fmt.Errorf("found a store: %w", err)
	}
	began := time.Now()
	if err := writeHistory(ctx, dir, b.history, b.historyAccounts); err != nil {
		return fmt.Errorf("write a history: %w", err)
	}
	b.report.line("%d events of %d accounts written in %s", b.history, b.historyAccounts, time.Since(began).Round(time.Second/10))
	if err := b.catchUp(ctx, dir); err != nil {
		return fmt.Errorf("catch up: %w", err)
	}
	if err := b.rebuild(ctx, dir); err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	return b.open(ctx, dir)
}

// catchUp has a server fold the history into its model, as after the loss of
// that file. The rebuild that follows then has something to compare with.
func (b *bench) catchUp(ctx context.Context, dir string) error {
	began := time.Now()
	server, err := b.startDaybook(ctx, dir)
	if err != nil {
		return err
	}
	defer server.kill()
	for {
		var status serverStatus
		code, err := server.get(ctx, "/v1/status", &status)
		if err != nil || code != http.StatusOK {
			return fmt.Errorf("ask for the status: %d %w", code, err)
		}
		if model, _ := status.reached(); model >= status.Store.Head {
			break
		}
		if time.Since(began) > rebuildWithin {
			return fmt.Errorf("not caught up within %s", rebuildWithin)
		}
		if err := sleepUntil(ctx, time.Now().Add(50*time.Millisecond)); err != nil {
			return err
		}
	}
	took := time.Since(began)
	b.report.line("a server without a model caught up in %s: %.0f events/s, CPU %s, peak memory %s", took.Round(time.Millisecond),
		float64(b.history)/took.Seconds(), server.cpu(), mebibytes(server.peakMemory()))
	return server.stop()
}

// foundStore has a server make an empty data dir.
func (b *bench) foundStore(ctx context.Context, dir string) error {
	server, err := b.startDaybook(ctx, dir)
	if err != nil {
		return err
	}
	return server.stop()
}

func writeHistory(ctx context.Context, dir string, events, accounts int) (err error) {
	store, err := sqlite.Open(ctx, filepath.Join(dir, storeFile), sqlite.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	start := time.Now().Add(-365 * 24 * time.Hour).Truncate(time.Second)
	for i := range accounts {
		// The remainder goes to the first accounts.
		n := events / accounts
		if i < events%accounts {
			n++
		}
		if n > 0 {
			group.Go(func() error { return writeAccount(ctx, store, i, n, start) })
		}
	}
	return group.Wait()
}

// writeAccount appends one account's subscription: it starts, and then is
// renewed and paid in turn.
func writeAccount(ctx context.Context, store *sqlite.Store, account, events int, start time.Time) error {
	id := fmt.Sprintf("sub_history%08d", account)
	stream := eventstore.NewStream("subscription", id)
	proposed := make([]eventstore.ProposedEvent, events)
	for i := range proposed {
		fact := historyFact(id, account, i, start)
		event := aggregate.Event{Fact: &fact}
		data, err := aggregate.Encode(event)
		if err != nil {
			return err
		}
		metadata, err := eventstore.EncodeMetadata(eventstore.Metadata{RecordedAt: fact.OccurredAt.Add(time.Second),
			CorrelationID: fact.Key.StripeEventID, CausationID: fact.Key.StripeEventID})
		if err != nil {
			return err
		}
		proposed[i] = eventstore.ProposedEvent{ID: eventstore.DeriveID(stream, fact.Key.StripeEventID),
			Type: event.Type(), Data: data, Metadata: metadata}
	}
	_, err := store.Append(ctx, stream, eventstore.NoStream, proposed...)
	return err
}

func historyFact(subscription string, account, i int, start time.Time) aggregate.Fact {
	month := start.AddDate(0, i/2, 0)
	f := aggregate.Fact{
		Type:       aggregate.SubscriptionChanged,
		Key:        aggregate.FactKey{StripeEventID: fmt.Sprintf("evt_history%08d%04d", account, i)},
		OccurredAt: month.Add(time.Duration(i%2) * time.Second),
	}
	invoice := fmt.Sprintf("in_history%08d%04d", account, i)
	customer, name := fmt.Sprintf("cus_history%08d", account), fmt.Sprintf("history-%08d", account)
	if i%2 == 1 {
		f.Type = aggregate.PaymentSucceeded
		f.Invoice = &aggregate.InvoiceSnapshot{ID: invoice, Subscription: subscription, Customer: customer, Account: name,
			Status: "paid", BillingReason: "subscription_cycle", CollectionMethod: "charge_automatically", Currency: "usd",
			AmountDue: 2900, AmountPaid: 2900, Total: 2900, AttemptCount: 1,
			CreatedAt: month, FinalizedAt: month, PaidAt: f.OccurredAt}
		return f
	}
	if i == 0 {
		f.Type = aggregate.SubscriptionStarted
	}
	f.Subscription = &aggregate.SubscriptionSnapshot{ID: subscription, Customer: customer, Account: name,
		Status: aggregate.Active, CreatedAt: start, CollectionMethod: "charge_automatically", LatestInvoice: invoice,
		Items: []aggregate.Item{{Price: "price_basic", LookupKey: "basic", Product: "prod_basic", Quantity: 1,
			PeriodStart: month, PeriodEnd: month.AddDate(0, 1, 0)}}}
	return f
}

// rebuild times the command from its start to its end: the history folded from
// zero beside the model, compared with it, and put in its place.
func (b *bench) rebuild(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, rebuildWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.daybook, "rebuild", "--dev", "--data-dir", dir)
	cmd.Env = cleanEnviron()
	output := &tail{}
	cmd.Stdout, cmd.Stderr = output, output
	began := time.Now()
	memory, err := runWatched(cmd)
	took := time.Since(began)
	if err != nil {
		return fmt.Errorf("%w\n…%s", err, output)
	}
	perSecond := float64(b.history) / took.Seconds()
	b.report.line("rebuilt in %s with %s of CPU", took.Round(time.Millisecond),
		(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Round(time.Millisecond))
	b.report.target(perSecond >= targetRebuild, "rebuild", fmt.Sprintf("%.0f events/s", perSecond), fmt.Sprintf("at least %d events/s", targetRebuild))
	b.report.target(memory <= targetRebuildMemory, "memory of the rebuild", mebibytes(memory), "at most "+mebibytes(targetRebuildMemory))
	return nil
}

// open times a server on the long history, from its start until it is ready.
func (b *bench) open(ctx context.Context, dir string) error {
	server, err := b.startDaybook(ctx, dir)
	if err != nil {
		return err
	}
	defer server.kill()
	b.report.target(server.ready <= targetOpen, fmt.Sprintf("opening a store of %d events", b.history),
		"ready after "+server.ready.Round(time.Millisecond).String(), "at most "+targetOpen.String())
	return server.stop()
}
