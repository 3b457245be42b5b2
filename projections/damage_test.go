package projections_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/sqlite"
)

func TestAModelThatIsNotOursIsFoldedAnew(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_basic", begin)
	r.settle()
	for name, spoil := range map[string]func(t *testing.T){
		"garbage": func(t *testing.T) {
			if err := os.WriteFile(r.modelPath(), []byte("this is no database, though it is long enough"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"torn": func(t *testing.T) {
			if err := os.Truncate(r.modelPath(), 5000); err != nil {
				t.Fatal(err)
			}
		},
		"overwritten": func(t *testing.T) {
			f, err := os.OpenFile(r.modelPath(), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteAt(make([]byte, info.Size()-200), 200)
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		},
		"of another store": func(t *testing.T) {
			m, err := sqlite.Open(t.Context(), r.modelPath())
			if err != nil {
				t.Fatal(err)
			}
			err = m.Update(t.Context(), func(tx projections.Tx) error {
				return tx.SetCheckpoint(projections.Checkpoint{
					Position: 999, Epoch: "another", Schema: projections.Schema, Filter: projections.Prefixes})
			})
			if err := errors.Join(err, m.Close()); err != nil {
				t.Fatal(err)
			}
		},
		"ahead of the log": func(t *testing.T) {
			m, err := sqlite.Open(t.Context(), r.modelPath())
			if err != nil {
				t.Fatal(err)
			}
			err = m.Update(t.Context(), func(tx projections.Tx) error {
				return tx.SetCheckpoint(projections.Checkpoint{
					Position: 999, Epoch: epoch, Schema: projections.Schema, Filter: projections.Prefixes})
			})
			if err := errors.Join(err, m.Close()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r.stop()
			if err := r.model.Close(); err != nil {
				t.Fatal(err)
			}
			spoil(t)
			r.openModel()
			r.start()
			r.eventually("the model is whole again", func() bool {
				cp, err := r.model.Checkpoint(t.Context())
				return err == nil && cp.Epoch == epoch && cp.Position > 0 && cp.Position < 999 && r.entitlement("a").Tier == "basic"
			})
			r.settle()
			r.sameAsRebuilt()
		})
	}
}

// TestARebuildMendsADamagedModel damages pages that are read when the model is
// loaded, and others that are read when it is compared. A dry run leaves them be.
func TestARebuildMendsADamagedModel(t *testing.T) {
	const pageSize = 8192 // of a model
	for name, content := range map[string]string{"loaded": aggregate.CatalogAdoptedType, "compared": "sub_1"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.adopt(aggregate.BuiltinCatalog())
			r.start()
			r.subscribed("sub_1", "a", aggregate.Active, "price_basic", begin)
			r.settle()
			r.stop()
			if err := r.model.Close(); err != nil {
				t.Fatal(err)
			}
			file, err := os.ReadFile(r.modelPath())
			if err != nil {
				t.Fatal(err)
			}
			for page := range slices.Chunk(file, pageSize) {
				if bytes.Contains(page, []byte(content)) {
					clear(page)
				}
			}
			if err := os.WriteFile(r.modelPath(), file, 0o600); err != nil {
				t.Fatal(err)
			}
			r.openModel()
			r.runner = projections.NewRunner(r.options())
			if _, err := r.runner.Rebuild(t.Context(), projections.RebuildPlan{Compare: true, Keep: true}); !errors.Is(err, projections.ErrModelBroken) {
				t.Fatalf("a dry run: %v", err)
			}
			rebuilt, err := r.runner.Rebuild(t.Context(), projections.RebuildPlan{Compare: true})
			if err != nil || rebuilt.Compared {
				t.Fatalf("%+v, %v", rebuilt, err)
			}
			if tier := r.entitlement("a").Tier; tier != "basic" {
				t.Errorf("the tier is %s", tier)
			}
			r.sameAsRebuilt()
		})
	}
}

func TestAReaderBesideSeesEveryModel(t *testing.T) {
	r := newRig(t)
	r.start()
	r.subscribed("sub_1", "a", aggregate.Active, "price_basic", begin)
	r.settle()
	beside, err := sqlite.OpenReader(t.Context(), r.modelPath())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := beside.Close(); err != nil {
			t.Error(err)
		}
	}()
	tier := func() string {
		e, _, err := beside.Entitlement(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		return e.Tier
	}
	if tier() != "basic" {
		t.Errorf("before: %s", tier())
	}
	if _, err := r.runner.Rebuild(t.Context(), projections.RebuildPlan{}); err != nil {
		t.Fatal(err)
	}
	if tier() != "basic" {
		t.Errorf("after a rebuild: %s", tier())
	}
	r.subscribed("sub_1", "a", aggregate.Active, "price_elite", begin.Add(time.Minute))
	r.settle()
	if tier() != "elite" {
		t.Errorf("after a rebuild and a change: %s", tier())
	}
	if _, err := sqlite.OpenReader(t.Context(), r.modelPath()+".none"); err == nil {
		t.Error("a model that is not there was opened")
	}
}

// While models take each other's place, every answer is of a whole one.
func TestReadersNeverSeeHalfAModel(t *testing.T) {
	r := newRig(t)
	r.start()
	for i := range 40 {
		r.subscribed("sub_"+string(rune('A'+i)), "a", aggregate.Active, "price_elite", begin)
	}
	r.settle()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		var bad error
		for ctx.Err() == nil && bad == nil {
			account, known, err := r.model.Account(ctx, "a")
			if ctx.Err() == nil && (err != nil || !known || len(account.Subscriptions) != 40) {
				bad = errors.Join(errors.New("a part of an account"), err)
			}
		}
		failed <- bad
	}()
	for range 5 {
		if _, err := r.runner.Rebuild(t.Context(), projections.RebuildPlan{}); err != nil {
			t.Error(err)
		}
	}
	cancel()
	if err := <-failed; err != nil {
		t.Error(err)
	}
}
