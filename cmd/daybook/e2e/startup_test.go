package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecondServerNamesTheFirst starts two servers on one data dir.
func TestSecondServerNamesTheFirst(t *testing.T) {
	t.Parallel()
	onEachStore(t, secondServerNamesTheFirst)
}

func secondServerNamesTheFirst(t *testing.T, dir string) {
	t.Helper()
	first := start(t, development(dir))
	refused(t, spawn(t, development(first.dir)), 1, fmt.Sprintf("in use by process %d", first.process.Pid))
	// The first is none the worse for it: its socket and its store are its own.
	first.mustDeliver(customerEvent("evt_first"), "recorded")
	wantRebuildSame(t, first)
	first.kill()
	third := start(t, development(first.dir))
	third.mustDeliver(customerEvent("evt_first"), "duplicate")
	third.stop()
}

// refused wants a server to end by itself, with a code and an intelligible
// sentence.
func refused(t *testing.T, s *server, code int, says ...string) {
	t.Helper()
	if got := s.wait(); got != code {
		t.Errorf("ended with %d: want %d", got, code)
	}
	wantSentence(t, s.log.String(), says...)
}

func wantSentence(t *testing.T, text string, says ...string) {
	t.Helper()
	for _, want := range says {
		if !strings.Contains(text, want) {
			t.Errorf("does not say %q:\n%s", want, text)
		}
	}
	for _, trace := range []string{"goroutine ", "panic", "runtime error", ".go:"} {
		if strings.Contains(text, trace) {
			t.Errorf("a stack trace is no sentence:\n%s", text)
		}
	}
	if strings.Contains(text, "daybook serves") {
		t.Errorf("says that it serves:\n%s", text)
	}
}

// TestEveryFaultOfTheConfigurationIsListed gets nearly everything wrong.
func TestEveryFaultOfTheConfigurationIsListed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "tiers: [{id: a, prices: [p]}, {id: b, prices: [p]}]\nsurprise: 1\n")
	const secret = "whsec_with a blank"
	s := spawn(t, launch{dir: file, args: []string{"--addr", "nowhere"}, env: []string{
		"DAYBOOK_CATALOG=" + file, "DAYBOOK_LIVEMODE=perhaps", "DAYBOOK_API_KEYS=ops:everything:12",
		"DAYBOOK_CONNECT_ACCOUNTS=me", "DAYBOOK_WEBHOOK_MAX_BYTES=lots", "DAYBOOK_LOG_LEVEL=loud", "DAYBOOK_LOG_FORMAT=xml",
		"STRIPE_WEBHOOK_SECRETS=" + secret, "REDIS_URL=localhost:6379",
		"REDIS_CONNECT_TIMEOUT=5", "DAYBOOK_ENTITLEMENT_TTL=1s", "DAYBOOK_ENTITLEMENT_KEY=short"}})
	refused(t, s, 2, "DAYBOOK_ADDR: ", "DAYBOOK_DATA_DIR: ", "DAYBOOK_CATALOG: ", "DAYBOOK_LIVEMODE: ", "DAYBOOK_API_KEYS: ",
		"DAYBOOK_CONNECT_ACCOUNTS: ", "DAYBOOK_WEBHOOK_MAX_BYTES: ", "DAYBOOK_LOG_LEVEL: ", "DAYBOOK_LOG_FORMAT: ",
		"STRIPE_WEBHOOK_SECRETS: ", "REDIS_URL: ", "REDIS_CONNECT_TIMEOUT: ", "DAYBOOK_ENTITLEMENT_TTL: ", "DAYBOOK_ENTITLEMENT_KEY: ")
	if strings.Contains(s.log.String(), secret) {
		t.Errorf("a secret is told:\n%s", s.log)
	}
	refused(t, spawn(t, launch{}), 2, "STRIPE_WEBHOOK_SECRETS: not set")
	refused(t, spawn(t, development("", "--surprise")), 2, "--surprise")
}

// TestDamagedStoreIsRefused puts something else where the store should be.
func TestDamagedStoreIsRefused(t *testing.T) {
	t.Parallel()
	garbage := t.TempDir()
	writeFile(t, filepath.Join(garbage, "daybook.db"), strings.Repeat("not a database, but long enough to be one. ", 500))
	refused(t, spawn(t, development(garbage)), 1, "daybook.db is damaged")

	s := start(t, development(""))
	s.mustDeliver(customerEvent("evt_damaged"), "recorded")
	s.stop()
	overwrite(t, filepath.Join(s.dir, "daybook.db"), 4096)
	refused(t, spawn(t, development(s.dir)), 1, "damaged")
}

// overwrite spoils a file from an offset to its end.
func overwrite(t *testing.T, path string, offset int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() <= offset {
		t.Fatalf("%s has %d bytes, %v: nothing to spoil", path, info.Size(), err)
	}
	noise := strings.Repeat("\xa5spoilt", int(info.Size()-offset)/7+1)[:info.Size()-offset]
	if _, err := file.WriteAt([]byte(noise), offset); err != nil {
		t.Fatal(err)
	}
}

// TestStoreKeepsItsMode founds a store in test mode and opens it in live mode.
func TestStoreKeepsItsMode(t *testing.T) {
	t.Parallel()
	onEachStore(t, storeKeepsItsMode)
}

func storeKeepsItsMode(t *testing.T, dir string) {
	t.Helper()
	s := start(t, development(dir))
	s.stop()
	live := launch{dir: s.dir, env: []string{"DAYBOOK_LIVEMODE=live", "STRIPE_WEBHOOK_SECRETS=whsec_livelivelive"}}
	refused(t, spawn(t, live), 2, "this store belongs to test mode")
	o := command(t, []string{"DAYBOOK_LIVEMODE=live"}, "rebuild", "--data-dir", s.dir)
	if o.code != 2 || !strings.Contains(o.stderr, "this store belongs to test mode") {
		t.Errorf("rebuild in live mode: %+v", o)
	}
	again := start(t, development(s.dir))
	again.stop()
}

// TestDataDirTooDeepForASocketIsRefused gives a path that no socket can have.
func TestDataDirTooDeepForASocketIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	refused(t, spawn(t, development(dir)), 1, "control socket", "use a shorter DAYBOOK_DATA_DIR")
}
