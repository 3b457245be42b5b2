package e2e_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/daybookhq/daybook/api/openapitest"
)

const webhookPath = "/webhooks/stripe"

// client is what most tests speak through; its timeout turns a server that
// hangs into a failure.
var client = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// sign makes the Stripe-Signature header. It is written down here a second
// time, from Stripe's description, so that it can disagree with the server.
func sign(body []byte, secret string, at time.Time) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	signature := hex.EncodeToString(mac.Sum(nil))
	overheard.keepSignature(signature)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), signature)
}

// deliver posts a body as Stripe does.
func (s *server) deliver(body []byte) (answer, error) {
	return s.post(client, body, sign(body, s.secret, time.Now()))
}

// post makes one webhook request; without a header, it is unsigned.
func (s *server) post(via *http.Client, body []byte, signature string) (answer, error) {
	req, err := http.NewRequest(http.MethodPost, s.base+webhookPath, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	if signature != "" {
		req.Header.Set("Stripe-Signature", signature)
	}
	return do(via, req)
}

// do makes a request. An exchange that is not as api/openapi.yaml has it is an
// error.
func do(via *http.Client, req *http.Request) (answer, error) {
	resp, err := via.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{resp.StatusCode, resp.Header, body}, asDescribed(req, resp, body)
}

// described is the description that belongs to the command under test.
var described = sync.OnceValues(func() (*openapitest.Description, error) {
	document, err := os.ReadFile("../../../api/openapi.yaml")
	if err != nil {
		return nil, err
	}
	return openapitest.Load(document)
})

func asDescribed(req *http.Request, resp *http.Response, body []byte) error {
	description, err := described()
	if err != nil {
		return err
	}
	var sent []byte
	if req.GetBody != nil {
		again, err := req.GetBody()
		if err != nil {
			return err
		}
		if sent, err = io.ReadAll(again); err != nil {
			return err
		}
	}
	return description.Check(openapitest.Exchange{Method: req.Method, URL: req.URL, RequestHeader: req.Header, RequestBody: sent,
		Status: resp.StatusCode, Header: resp.Header, Body: body})
}

// mustDeliver wants a 200 with a status.
func (s *server) mustDeliver(body []byte, status string) {
	s.t.Helper()
	a, err := s.deliver(body)
	if err != nil {
		s.t.Fatal(err)
	}
	var said struct {
		Received  bool
		Status    string
		EventID   string `json:"event_id"`
		EventType string `json:"event_type"`
	}
	var sent struct{ ID, Type string }
	if err := errors.Join(json.Unmarshal(a.body, &said), json.Unmarshal(body, &sent)); err != nil {
		s.t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	if a.status != http.StatusOK || !said.Received || said.Status != status || said.EventID != sent.ID || said.EventType != sent.Type {
		s.t.Fatalf("%s (%s): answered %d %s: want 200 %s", sent.ID, sent.Type, a.status, a.body, status)
	}
}

// ask makes a request with the server's API key.
func (s *server) ask(path, key string) answer {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.base+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	a, err := do(client, req)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// get reads an answer that must be there.
func (s *server) get(path string, into any) {
	s.t.Helper()
	a := s.ask(path, s.key)
	if a.status != http.StatusOK {
		s.t.Fatalf("GET %s: %d %s", path, a.status, a.body)
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		s.t.Fatalf("GET %s: %v in %s", path, err, a.body)
	}
}

// progress is how far a server is.
type progress struct {
	Store     struct{ Head uint64 }
	Followers []struct {
		Name     string
		Position uint64
		Error    string
	}
}

// settle waits until everything that was taken in is posted, and all of that in
// the read model.
func (s *server) settle() {
	s.t.Helper()
	s.awaitFollower("posting")
	s.awaitFollower("projection")
}

// awaitFollower waits until a follower has done all that is recorded by now.
func (s *server) awaitFollower(name string) {
	s.t.Helper()
	var goal progress
	s.get("/v1/status", &goal)
	eventually(s.t, name+" has caught up", func() bool { return s.position(name) >= goal.Store.Head })
}

// position is the place in the log up to which a follower has done everything.
func (s *server) position(follower string) uint64 {
	s.t.Helper()
	var now progress
	s.get("/v1/status", &now)
	for _, f := range now.Followers {
		if f.Error != "" {
			s.t.Fatalf("%s stands still: %s", f.Name, f.Error)
		}
		if f.Name == follower {
			return f.Position
		}
	}
	s.t.Fatalf("there is no follower %s", follower)
	return 0
}

// outcome is how a command ended.
type outcome struct {
	code           int
	stdout, stderr string
}

// command runs a command of the binary to its end.
func command(t testing.TB, env []string, args ...string) outcome {
	t.Helper()
	return commandWithin(t, 2*patience, env, args...)
}

// commandWithin is command for work that may take its time.
func commandWithin(t testing.TB, limit time.Duration, env []string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = environment(append(storeEnvironment(dirOf(args)), env...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("daybook %q: %v\n%s%s", args, err, &stdout, &stderr)
	}
	overheard.listen(&stderr, append(cmd.Env, args...)) // what it prints else may be for whoever asked
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// mustRun runs a command that must end well, and returns what it printed.
func mustRun(t testing.TB, args ...string) string {
	t.Helper()
	o := command(t, nil, args...)
	if o.code != 0 {
		t.Fatalf("daybook %q ended with %d:\n%.4000s%.4000s", args, o.code, o.stdout, o.stderr)
	}
	return o.stdout
}
