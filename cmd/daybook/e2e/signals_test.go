package e2e_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/daybookhq/daybook/cmd/daybook/simulate"
)

// TestTermDrains ends the server by SIGTERM under load. Whoever is let in gets
// an answer, and whoever gets none was not let in: so the journal holds exactly
// what was answered 200, and the next server goes on from there.
func TestTermDrains(t *testing.T) {
	t.Parallel()
	onEachStore(t, termDrains)
}

func termDrains(t *testing.T, dir string) {
	t.Helper()
	end := time.Now().UTC().Truncate(time.Second)
	run := simulate.Generate(simulate.Options{Seed: 7, Accounts: 150, End: end})
	s := start(t, development(dir))
	// A connection for each request: one that is kept may be closed as idle in
	// the moment in which a request sets out on it, which says nothing.
	fresh := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	drain := &draining{server: s, client: fresh, acked: map[string]bool{}}
	drain.send(run.Deliveries, len(run.Deliveries)/3)
	if code := s.wait(); code != 0 {
		t.Fatalf("ended with %d after SIGTERM", code)
	}
	if len(drain.rest) == 0 || len(drain.acked) == 0 {
		t.Fatalf("%d acknowledged, %d refused: SIGTERM met no load", len(drain.acked), len(drain.rest))
	}
	entries := journal(t, s.dir)
	wantOnce(t, entries, drain.acked)
	for id := range entries {
		if !drain.acked[id] {
			t.Errorf("event %s is in the journal, and its sender got no answer", id)
		}
	}
	next := start(t, development(s.dir))
	for _, d := range drain.rest {
		next.mustDeliver(d.Body, "recorded")
	}
	report, err := simulate.Check(t.Context(), simulate.CheckOptions{URL: next.base, APIKey: devKey, Timeout: patience}, run, end)
	if err != nil || !report.OK() {
		t.Fatalf("%v %.4000s", err, report)
	}
	next.stop()
}

// draining is a load under which a server is told to end.
type draining struct {
	*server
	client *http.Client

	mu    sync.Mutex
	acked map[string]bool
	rest  []simulate.Delivery
}

// send sends everything, each once, with a SIGTERM after so many answers.
func (d *draining) send(deliveries []simulate.Delivery, until int) {
	d.t.Helper()
	queue := make(chan simulate.Delivery)
	var senders sync.WaitGroup
	for range 16 {
		senders.Go(func() {
			for delivery := range queue {
				d.sendOne(delivery)
			}
		})
	}
	told := false
	for _, delivery := range deliveries {
		queue <- delivery
		if !told && d.answered() >= until {
			told = true
			d.signal(syscall.SIGTERM)
		}
	}
	close(queue)
	senders.Wait()
}

func (d *draining) answered() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.acked)
}

func (d *draining) sendOne(delivery simulate.Delivery) {
	a, err := d.post(d.client, delivery.Body, sign(delivery.Body, d.secret, time.Now()))
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err == nil && a.status == http.StatusOK:
		d.acked[delivery.EventID] = true
	case closedDoor(err):
		d.rest = append(d.rest, delivery)
	default:
		d.t.Errorf("event %s: neither a 200 nor a closed door: %d %s %v", delivery.EventID, a.status, a.body, err)
	}
}

// closedDoor tells that a server on its way out took nothing: it refused the
// connection, reset one that it had never accepted, hung up on a request that
// it had not looked at, or had closed the idle connection on which the client
// began to write. A timeout is none of these.
func closedDoor(err error) bool {
	for _, closed := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, io.EOF, net.ErrClosed} {
		if errors.Is(err, closed) {
			return true
		}
	}
	// net/http keeps this one to itself.
	return err != nil && strings.HasSuffix(err.Error(), "http: server closed idle connection")
}

// TestHangupReadsSecretsAgain rolls the signing secret without a restart. A
// file that holds nothing usable changes nothing.
func TestHangupReadsSecretsAgain(t *testing.T) {
	t.Parallel()
	const older, newer = "whsec_olderolderolder", "whsec_newernewernewer"
	file := filepath.Join(t.TempDir(), "secrets")
	writeFile(t, file, older+"\n")
	s := start(t, launch{env: []string{"STRIPE_WEBHOOK_SECRETS_FILE=" + file, "DAYBOOK_LIVEMODE=test"}})
	wantAccepted := func(id, secret string, want int) {
		t.Helper()
		body := customerEvent(id)
		a, err := s.post(client, body, sign(body, secret, time.Now()))
		if err != nil || a.status != want {
			t.Fatalf("%s: %d %s %v: want %d", id, a.status, a.body, err, want)
		}
	}
	wantAccepted("evt_h1", older, http.StatusOK)
	wantAccepted("evt_h2", newer, http.StatusBadRequest)

	writeFile(t, file, newer+","+older)
	s.hangup("configuration reloaded")
	wantAccepted("evt_h2", newer, http.StatusOK)
	wantAccepted("evt_h3", older, http.StatusOK)

	writeFile(t, file, "not a secret")
	s.hangup("reload refused")
	wantAccepted("evt_h4", newer, http.StatusOK)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s.hangupTimes("reload refused", 2)
	wantAccepted("evt_h5", older, http.StatusOK)

	writeFile(t, file, newer)
	s.hangupTimes("configuration reloaded", 2)
	wantAccepted("evt_h6", older, http.StatusBadRequest)
	wantAccepted("evt_h6", newer, http.StatusOK)
	wantUnsaid(t, s.log.String(), []string{older, newer, "not a secret"})
	s.stop()
}

func (s *server) hangup(says string) { s.hangupTimes(says, 1) }

// hangupTimes sends SIGHUP and waits until the log has said something so often.
func (s *server) hangupTimes(says string, times int) {
	s.t.Helper()
	s.signal(syscall.SIGHUP)
	eventually(s.t, says, func() bool { return s.log.count(says) >= times })
}

// customerEvent is an event of a type that is recorded and not posted.
func customerEvent(id string) []byte {
	return []byte(`{"id":"` + id + `","object":"event","api_version":"2024-06-20","type":"customer.created","created":1700000000,"livemode":false,"pending_webhooks":1,"data":{"object":{"id":"cus_1","object":"customer","email":"jane.doe@example.com"}}}`)
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
