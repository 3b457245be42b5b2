// Package eventstoretest is the conformance kit of eventstore.Store. An
// implementation passes if Run does:
//
//	func TestConformance(t *testing.T) {
//		eventstoretest.Run(t, func(t *testing.T) eventstore.Store { … })
//	}
package eventstoretest

import (
	"context"
	"testing"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// patience bounds every wait of the kit. Only a store that hangs reaches it.
const patience = 60 * time.Second

// Open returns a fresh store for one test: empty, or, on a server, one whose
// streams of this name space are. The kit closes it; what else was made for it
// is released by t.Cleanup.
type Open func(t *testing.T) eventstore.Store

// Run runs the whole kit, each test with a store of its own.
func Run(t *testing.T, open Open) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"Append", appendTests},
		{"Idempotency", idempotencyTests},
		{"ReadStream", streamTests},
		{"ReadAll", logTests},
		{"Follow", followTests},
		{"Concurrency", concurrencyTests},
		{"Close", closeTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.tests {
				t.Run(c.name, func(t *testing.T) { c.run(newSubject(t, open(t))) })
			}
		})
	}
}

// test is one statement of the contract.
type test struct {
	name string
	run  func(s *subject)
}

// subject is a store under test, with the shorthands the tests are written in.
type subject struct {
	*testing.T
	eventstore.Store
	ctx context.Context
}

func newSubject(t *testing.T, store eventstore.Store) *subject {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(func() {
		cancel()
		if err := store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &subject{T: t, Store: store, ctx: ctx}
}
