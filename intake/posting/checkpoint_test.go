package posting_test

import (
	"encoding/json"
	"sync"
	"testing"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/sqlite/sqlitetest"
	"github.com/daybookhq/daybook/intake/posting"
)

// TestTheCheckpointNeverGoesBack has many nodes, each as far as it has got,
// write their checkpoints into one stream.
func TestTheCheckpointNeverGoesBack(t *testing.T) {
	t.Parallel()
	store := sqlitetest.Open(t)
	const nodes = 20
	write := func(epoch string, at eventstore.Position) {
		if err := posting.WriteCheckpoint(t.Context(), store, epoch, at, now); err != nil {
			t.Error(err)
		}
	}
	var writing sync.WaitGroup
	for i := range nodes {
		writing.Go(func() {
			for at := range 10 {
				write("epoch-1", eventstore.Position(1+i+at*nodes))
			}
		})
	}
	writing.Wait()
	want := func(epoch string, position eventstore.Position) {
		t.Helper()
		if at, err := posting.Checkpoint(t.Context(), store, epoch); err != nil || at != position {
			t.Errorf("the checkpoint of %s is %d, %v: want %d", epoch, at, err, position)
		}
	}
	want("epoch-1", 10*nodes)
	want("epoch-2", 0)
	last := eventstore.Position(0)
	for e, err := range store.ReadStream(t.Context(), posting.CheckpointStream, 0, eventstore.Forwards, 0) {
		if err != nil {
			t.Fatal(err)
		}
		var c struct{ Position eventstore.Position }
		if err := json.Unmarshal(e.Data, &c); err != nil || c.Position <= last {
			t.Fatalf("%d after %d: %v", c.Position, last, err)
		}
		last = c.Position
	}
	// A store of another epoch begins anew, in whatever stream it finds.
	write("epoch-2", 7)
	want("epoch-2", 7)
}
