package e2e_test

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/cmd/daybook/simulate"
)

// documented is the first command under a heading of docs/OPERATIONS.md.
func documented(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n### "+heading+"\n")
	command := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(section)
	if !found || command == nil {
		t.Fatalf("docs/OPERATIONS.md has no command under %q", heading)
	}
	return command[1]
}

// shell runs a command as an operator would, in a folder.
func shell(t *testing.T, folder, command string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", command)
	cmd.Dir, cmd.Env = folder, environment("PATH="+filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"), "DAYBOOK_LIVEMODE=test")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// TestBackupAndRestoreAsDocumented backs a store up while webhooks stream in, by
// the command of the document, restores it elsewhere by the other, and wants it to
// have every event that was acknowledged before. What came later is sent again.
func TestBackupAndRestoreAsDocumented(t *testing.T) {
	t.Parallel()
	here, elsewhere := dataDir(t), dataDir(t)
	end := time.Now().UTC().Truncate(time.Second)
	run := simulate.Generate(simulate.Options{Seed: 22, Accounts: 100, End: end, Shuffle: 0.2, Duplicates: 0.1})
	load := &load{deliveries: run.Deliveries, acked: map[string]bool{}}
	s := start(t, development(filepath.Join(here, "data")))
	var before map[string]bool
	load.sendUntil(s, len(run.Deliveries)/6, 0, func() {
		load.mu.Lock()
		before = maps.Clone(load.acked)
		load.mu.Unlock()
		shell(t, here, documented(t, "Back up"))
		s.kill()
	})
	if len(load.acked) == len(before) {
		t.Error("nothing came in beside the backup: it met no load")
	}
	if err := os.Rename(filepath.Join(here, "backup"), filepath.Join(elsewhere, "backup")); err != nil {
		t.Fatal(err)
	}
	shell(t, elsewhere, documented(t, "Restore"))
	dir := filepath.Join(elsewhere, "data")
	wantOnce(t, journal(t, dir), before)
	t.Logf("%d acknowledged before, %d in the backup, %d acknowledged in all", len(before), len(journal(t, dir)), len(load.acked))

	restored := start(t, development(dir))
	restored.settle()
	wantRebuildEqual(t, dir)
	deliverAll(t, restored, run, func() bool { return true })
	wantExpected(t, restored, run)
	restored.stop()
	wantWell(t, dir)
}

// wantWell wants a data dir that doctor finds nothing wrong with, but for prices
// that the simulation sells and no catalog knows.
func wantWell(t *testing.T, dir string) {
	t.Helper()
	for check, findings := range examined(t, nil, "--dev", "--data-dir", dir) {
		for _, f := range findings {
			if f.Grade == "fault" && check != "catalog" {
				t.Errorf("%s: %+v", check, f)
			}
		}
	}
}

// TestABackupOverwritesNothing: nor does it begin what it cannot end.
func TestABackupOverwritesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, development(""))
	s.mustDeliver(customerEvent("evt_backup"), "recorded")
	file := filepath.Join(t.TempDir(), "backup.db")
	args := []string{"backup", file, "--dev", "--data-dir", s.dir}
	wantSaid(t, command(t, nil, args...), 0, file, "checked")
	wantSaid(t, command(t, nil, args...), 1, "exists")
	wantSaid(t, command(t, nil, "backup", "--dev", "--data-dir", s.dir), 2, "FILE")
	missing := filepath.Join(t.TempDir(), "none")
	wantSaid(t, command(t, nil, "backup", filepath.Join(missing, "x.db"), "--dev", "--data-dir", s.dir), 1, "no such file")
	wantSaid(t, command(t, nil, "backup", missing, "--dev", "--data-dir", t.TempDir()), 1, "there is no store")
	wantSaid(t, command(t, []string{"EVENTSTORE_URL=esdb://127.0.0.1:1?tls=false"}, "backup", missing, "--dev", "--data-dir", s.dir), 1, "EVENTSTOREDB.md")
	if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
		t.Error("a backup of nothing is there")
	}
	s.stop()
	wantSaid(t, command(t, nil, "backup", file+"2", "--dev", "--data-dir", s.dir, "-o", "json"), 0, `"position"`)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read the backup: %v %v", info, err)
	}
}
