package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/cmd/daybook/simulate"
)

// TestShuffledAndDuplicatedTrafficConverges sends 1,000 accounts' traffic of
// each seed, half of it out of order and a third of it again, and asks the
// simulation's own model what must have become of it. Then history is folded
// anew, and must give what the live path left.
func TestShuffledAndDuplicatedTrafficConverges(t *testing.T) {
	t.Parallel()
	onEachStore(t, shuffledAndDuplicatedTrafficConverges)
}

func shuffledAndDuplicatedTrafficConverges(t *testing.T, dir string) {
	t.Helper()
	s := start(t, development(dir, "--log-level", "trace"))
	var personal []string
	seeds := uint64(3)
	if _, on := clusterOf(dir); on {
		seeds = 1 // what differs between seeds does not differ between stores
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		end := time.Now().UTC().Truncate(time.Second)
		o := commandWithin(t, manyMinutes, nil, "simulate", "--dev", "--url", s.base+webhookPath, "--check",
			"--seed", fmt.Sprint(seed), "--accounts", "1000", "--shuffle", "0.5", "--duplicates", "0.3", "--end", end.Format(time.RFC3339))
		if o.code != 0 || !strings.Contains(o.stdout, "all as expected") || !strings.Contains(o.stdout, " 0 refused") {
			t.Fatalf("seed %d: ended with %d: %s%s", seed, o.code, o.stdout, o.stderr)
		}
		// The same options give the same invented people.
		run := simulate.Generate(simulate.Options{Seed: seed, Accounts: 1000, End: end, Shuffle: 0.5, Duplicates: 0.3})
		personal = append(personal, run.Personal...)
		wantEachOnce(t, s, run)
	}
	wantRebuildEqual(t, s.dir)
	wantOnlyUnmapped(t, s.dir)
	wantUnsaid(t, s.log.String(), append(personal, devSecret))
	s.stop()
}

// wantEachOnce checks that duplicates left no second entry.
func wantEachOnce(t *testing.T, s *server, run *simulate.Run) {
	t.Helper()
	ids := map[string]bool{}
	for _, d := range run.Deliveries {
		ids[d.EventID] = true
	}
	if len(ids) != run.Events || len(run.Deliveries) <= run.Events {
		t.Fatalf("%d deliveries of %d events, said to be %d: no duplicates to speak of", len(run.Deliveries), len(ids), run.Events)
	}
	wantOnce(t, journal(t, s.dir), ids)
}

// wantRebuildEqual rebuilds, first for show and then in earnest.
func wantRebuildEqual(t *testing.T, dir string) {
	t.Helper()
	for _, extra := range []string{"--dry-run=true", "--dry-run=false"} {
		out := mustRun(t, "rebuild", "--dev", "--data-dir", dir, extra)
		if !strings.Contains(out, "the same as the live model") {
			t.Fatalf("rebuild %s: %s", extra, out)
		}
		if dry := strings.Contains(out, "left as it is"); dry != (extra == "--dry-run=true") {
			t.Errorf("rebuild %s says: %s", extra, out)
		}
	}
}

// wantOnlyUnmapped checks that nothing needs a person but the prices that the
// simulation sells and no catalog knows.
func wantOnlyUnmapped(t *testing.T, dir string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(mustRun(t, "failures", "--dev", "--data-dir", dir)), "\n")
	if len(lines) < 2 {
		t.Fatalf("no unmapped price: %q", lines)
	}
	for _, line := range lines[1:] {
		if !strings.HasPrefix(line, "no tier  price_1SimLegacy2019") {
			t.Errorf("failures lists %q", line)
		}
	}
}

// TestCheckFindsWhatIsMissing sends live traffic to a server in test mode, which
// records it and posts none of it: so the check must find everything missing.
func TestCheckFindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	s := start(t, development(""))
	o := command(t, nil, "simulate", "--url", s.base+webhookPath, "--secret", devSecret, "--accounts", "3", "--check", "--check-timeout", "1s")
	if o.code != 1 || !strings.Contains(o.stdout, "differences") || !strings.Contains(o.stdout, " 0 refused") {
		t.Errorf("ended with %d:\n%.2000s%s", o.code, o.stdout, o.stderr)
	}
	if n := len(journal(t, s.dir)); n == 0 {
		t.Error("the events of the other mode were not recorded")
	}
	var page struct{ Subscriptions []any }
	if s.get("/v1/subscriptions", &page); len(page.Subscriptions) != 0 {
		t.Errorf("the events of the other mode were posted: %v", page.Subscriptions)
	}
	s.stop()
}
