package decisions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// Waiver is a waiver and the account that it was granted to.
type Waiver struct {
	Account string `json:"account"`
	aggregate.Waiver
	// InEffect says that it grants its tier at the moment that was asked about.
	InEffect bool `json:"in_force"`
}

// Waivers lists the waivers of an account, or of all if that is empty, from the
// record, so that what was decided a moment ago is in it: ordered by account,
// and within one in the order of granting. Those that ended or were revoked are
// in it too.
func Waivers(ctx context.Context, store eventstore.Reader, account string, now time.Time) ([]Waiver, error) {
	accounts, err := readAll(ctx, store, account)
	if err != nil {
		return nil, err
	}
	waivers := []Waiver{}
	for _, a := range accounts {
		for _, w := range a.Waivers {
			waivers = append(waivers, Waiver{Account: a.Account, Waiver: w, InEffect: w.InForce(now)})
		}
	}
	return waivers, nil
}

// read folds the decisions on an account, and returns the revision at which the
// next one is expected. A stream that cannot be read to its end is an error:
// nothing may be decided on half of it.
func read(ctx context.Context, store eventstore.Reader, account string) (*aggregate.Account, eventstore.ExpectedRevision, error) {
	folded, expected := aggregate.NewAccount(account), eventstore.NoStream
	for e, err := range store.ReadStream(ctx, StreamOf(account), 0, eventstore.Forwards, 0) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			break
		}
		if err == nil {
			err = take(folded, e)
		}
		if err != nil {
			return nil, expected, fmt.Errorf("read the decisions on account %q: %w", account, err)
		}
		expected = eventstore.Exactly(e.Revision)
	}
	return folded, expected, nil
}

func take(into *aggregate.Account, e eventstore.RecordedEvent) error {
	event, err := aggregate.Decode(e.Type, e.Data)
	if err != nil {
		return fmt.Errorf("revision %d: %w", e.Revision, err)
	}
	into.Evolve(event, aggregate.Place{Position: uint64(e.Position)})
	return nil
}

// readAll folds the decisions on one account, or on all, ordered by account.
func readAll(ctx context.Context, store eventstore.Reader, account string) ([]aggregate.AccountTruth, error) {
	if account != "" {
		folded, _, err := read(ctx, store, account)
		if err != nil {
			return nil, err
		}
		return []aggregate.AccountTruth{folded.Truth()}, nil
	}
	byName := map[string]*aggregate.Account{}
	filter := eventstore.Filter{Prefixes: []string{Category + "-"}}
	for e, err := range store.ReadAll(ctx, 0, eventstore.Forwards, filter, 0) {
		name := e.Stream.ID()
		if err == nil && byName[name] == nil {
			byName[name] = aggregate.NewAccount(name)
		}
		if err == nil {
			err = take(byName[name], e)
		}
		if err != nil {
			return nil, fmt.Errorf("read the decisions on accounts: %w", err)
		}
	}
	truths := make([]aggregate.AccountTruth, 0, len(byName))
	for _, folded := range byName {
		truths = append(truths, folded.Truth())
	}
	slices.SortFunc(truths, func(a, b aggregate.AccountTruth) int { return strings.Compare(a.Account, b.Account) })
	return truths, nil
}
