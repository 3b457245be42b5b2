// Package decisions is the way by which operators' decisions on accounts enter
// the record: waivers, blocks, extensions of grace. Each account's decisions are
// a stream of their own, "account-<account>", in the order in which they were
// taken.
//
// A command is decided by the aggregate, folded from that stream, and recorded
// at the very revision that it was decided at. If somebody else decided
// meanwhile, the stream is read and the command decided again; one that changes
// nothing any more records nothing. So a command may be given again after any
// failure, and no lock is needed.
package decisions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// Category is that of the streams with the decisions on accounts.
const Category = "account"

// StreamOf names the stream with the decisions on an account.
func StreamOf(account string) eventstore.Stream { return eventstore.NewStream(Category, account) }

// Config is what a Book needs.
type Config struct {
	Store eventstore.Store
	// Catalogs returns the history of catalogs in force.
	Catalogs func() aggregate.Catalogs
	Now      func() time.Time
	// AwaitModel returns once the read model has everything up to a position, or
	// ctx ends. Nil waits for nothing.
	AwaitModel func(ctx context.Context, position eventstore.Position) error
}

// Book records decisions. It may be used from many goroutines.
type Book struct{ Config }

// NewBook returns a Book.
func NewBook(c Config) *Book { return &Book{c} }

// againAfter is the pause before a decision whose outcome is unknown is looked
// for and, if it is not there, taken again.
const againAfter = 50 * time.Millisecond

// Decide records what follows from a command, and returns how the account then
// stands, once the read model knows it; if ctx ends before that, the decision
// stands all the same. Errors are those of aggregate.Account.Decide, and the
// store's.
func (b *Book) Decide(ctx context.Context, account string, command aggregate.Command) (aggregate.AccountTruth, error) {
	id := uuid.New() // of the decision, however often it is tried
	for {
		truth, err := b.try(ctx, account, command, id)
		switch {
		case err == nil:
			if b.AwaitModel != nil {
				_ = b.AwaitModel(ctx, eventstore.Position(truth.Position)) // it is recorded, seen yet or not
			}
			return truth, nil
		case eventstore.IsConflict(err):
			continue
		case !errors.Is(err, eventstore.ErrOutcomeUnknown):
			return truth, err
		}
		timer := time.NewTimer(againAfter)
		select {
		case <-ctx.Done():
			timer.Stop()
			return truth, err
		case <-timer.C:
		}
	}
}

func (b *Book) try(ctx context.Context, account string, command aggregate.Command, id uuid.UUID) (aggregate.AccountTruth, error) {
	folded, expected := aggregate.NewAccount(account), eventstore.NoStream
	if aggregate.ValidAccount(account) { // else Decide says what is wrong
		var err error
		if folded, expected, err = read(ctx, b.Store, account); err != nil {
			return aggregate.AccountTruth{}, err
		}
	}
	now := b.Now()
	events, err := folded.Decide(command, b.Catalogs(), now)
	if err != nil || len(events) == 0 {
		return folded.Truth(), err
	}
	proposed := make([]eventstore.ProposedEvent, len(events))
	for i, e := range events {
		if proposed[i], err = propose(e, id, i, now); err != nil {
			return aggregate.AccountTruth{}, err
		}
	}
	result, err := b.Store.Append(ctx, StreamOf(account), expected, proposed...)
	if err != nil {
		return aggregate.AccountTruth{}, fmt.Errorf("record a decision on account %q: %w", account, err)
	}
	for _, e := range events {
		folded.Evolve(e, aggregate.Place{Position: uint64(result.Position)})
	}
	return folded.Truth(), nil
}

func propose(e aggregate.Event, id uuid.UUID, ordinal int, now time.Time) (eventstore.ProposedEvent, error) {
	data, err := aggregate.Encode(e)
	if err != nil {
		return eventstore.ProposedEvent{}, err
	}
	metadata, err := eventstore.EncodeMetadata(eventstore.Metadata{RecordedAt: now.UTC()})
	if err != nil {
		return eventstore.ProposedEvent{}, err
	}
	return eventstore.ProposedEvent{ID: uuid.NewSHA1(id, []byte{byte(ordinal)}), Type: e.Type(), Data: data, Metadata: metadata}, nil
}
