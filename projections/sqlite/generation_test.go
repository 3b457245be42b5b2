package sqlite_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/sqlite"
)

// models is a folder with a read model in it.
type models struct {
	*testing.T
	dir string
}

func (m models) path() string { return filepath.Join(m.dir, "model.db") }

func (m models) open() *sqlite.Model {
	m.Helper()
	model, err := sqlite.Open(m.Context(), m.path())
	if err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() {
		if err := model.Close(); err != nil {
			m.Error(err)
		}
	})
	return model
}

func (m models) reader() *sqlite.Model {
	m.Helper()
	reader, err := sqlite.OpenReader(m.Context(), m.path())
	if err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() {
		if err := reader.Close(); err != nil {
			m.Error(err)
		}
	})
	return reader
}

// rebuilt makes a model beside, in which an account has a tier.
func (m models) rebuilt(of *sqlite.Model, tier string) projections.Model {
	m.Helper()
	beside, err := of.Beside(m.Context())
	if err == nil {
		err = beside.Load(m.Context(), projections.Rows{Entitlements: []projections.EntitlementRow{entitlement("a", tier, time.Time{})}})
	}
	if err == nil {
		err = beside.Seal(m.Context())
	}
	if err != nil {
		m.Fatal(err)
	}
	return beside
}

func (m models) adopt(model *sqlite.Model, tier string) {
	m.Helper()
	beside := m.rebuilt(model, tier)
	if err := model.Adopt(m.Context(), beside); err != nil {
		m.Fatal(err)
	}
	if err := beside.Discard(m.Context()); err != nil {
		m.Fatal(err)
	}
}

func (m models) want(reader projections.Reader, tier string) {
	m.Helper()
	e, _, err := reader.Entitlement(m.Context(), "a")
	if err != nil || e.Tier != tier {
		m.Errorf("the tier is %q, %v, want %q", e.Tier, err, tier)
	}
}

// files lists what is there, the files that belong to one left aside.
func (m models) files() []string {
	m.Helper()
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		m.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), "-wal") && !strings.HasSuffix(e.Name(), "-shm") {
			names = append(names, e.Name())
		}
	}
	return names
}

func (m models) wantFiles(names ...string) {
	m.Helper()
	if got := m.files(); !slices.Equal(got, names) {
		m.Errorf("files %v, want %v", got, names)
	}
}

func TestOneGenerationIsLeft(t *testing.T) {
	m := models{t, t.TempDir()}
	model := m.open()
	m.wantFiles("model.db")
	for _, tier := range []string{"basic", "elite", "premium"} {
		m.adopt(model, tier)
		m.want(model, tier)
	}
	m.wantFiles("model-3.db", "model.db")
	if err := model.Discard(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.want(model, "")
	m.wantFiles("model-4.db", "model.db")
	m.adopt(model, "basic")
	if err := model.Close(); err != nil {
		t.Fatal(err)
	}
	m.want(m.open(), "basic")
}

// A rebuild that was killed leaves files behind, before it took over or after.
func TestWhatAKilledRebuildLeftIsRemoved(t *testing.T) {
	m := models{t, t.TempDir()}
	model := m.open()
	m.adopt(model, "basic")
	if err := model.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"model-7.db", "model-7.db-journal", "model-0.db", "model-x.db", "model.db.link"} {
		if err := os.WriteFile(filepath.Join(m.dir, name), []byte("half a model"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	model = m.open()
	m.want(model, "basic")
	m.wantFiles("model-0.db", "model-1.db", "model-x.db", "model.db", "model.db.link")
	m.adopt(model, "elite")
	m.want(model, "elite")
	m.wantFiles("model-0.db", "model-2.db", "model-x.db", "model.db")
}

// The link is the model: without it, what it led to is nothing.
func TestALinkThatIsGoneOrLeadsNowhereIsAnEmptyModel(t *testing.T) {
	for _, lost := range []string{"model.db", "model-1.db"} {
		m := models{t, t.TempDir()}
		model := m.open()
		m.adopt(model, "basic")
		if err := model.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(m.dir, lost)); err != nil {
			t.Fatal(err)
		}
		model = m.open()
		m.want(model, "")
		m.adopt(model, "elite")
		m.want(model, "elite")
	}
}

// A data dir may be moved, the link with it.
func TestAModelMayBeMoved(t *testing.T) {
	m := models{t, filepath.Join(t.TempDir(), "here")}
	if err := os.Mkdir(m.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	model := m.open()
	m.adopt(model, "basic")
	if err := model.Close(); err != nil {
		t.Fatal(err)
	}
	moved := models{t, m.dir + "-moved"}
	if err := os.Rename(m.dir, moved.dir); err != nil {
		t.Fatal(err)
	}
	moved.want(moved.open(), "basic")
}

// A reader in another process may be in the middle of a read when its file gives
// way: it ends with what it began with, and its next read is of the new one.
func TestAReaderEndsWithTheGenerationItBeganWith(t *testing.T) {
	m := models{t, t.TempDir()}
	model := m.open()
	m.adopt(model, "basic")
	update(t, model, func(tx projections.Tx) error { return tx.PutEntitlement(entitlement("a", "premium", time.Time{})) })
	foreign, err := sql.Open("sqlite", filepath.Join(m.dir, "model.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close() //nolint:errcheck // it only reads
	snapshot, err := foreign.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	count := func() (n int) {
		t.Helper()
		err := snapshot.QueryRowContext(t.Context(), `SELECT count(*) FROM entitlements WHERE CAST(doc AS TEXT) LIKE '%premium%'`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	reader := m.reader()
	m.want(reader, "premium")
	if n := count(); n != 1 {
		t.Fatalf("%d entitlements", n)
	}
	update(t, model, func(tx projections.Tx) error { return tx.PutEntitlement(entitlement("a", "elite", time.Time{})) })
	m.adopt(model, "starter")
	if n := count(); n != 1 {
		t.Errorf("%d entitlements once the file gave way", n)
	}
	m.want(reader, "starter")
	m.want(model, "starter")
	m.wantFiles("model-1.db", "model-2.db", "model.db")
	if err := snapshot.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := model.Close(); err != nil {
		t.Fatal(err)
	}
	m.want(m.open(), "starter")
	m.wantFiles("model-2.db", "model.db")
}
