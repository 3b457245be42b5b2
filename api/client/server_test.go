package client_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/api"
	"github.com/daybookhq/daybook/decisions"
	"github.com/daybookhq/daybook/eventstore/sqlite"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/projections"
	model "github.com/daybookhq/daybook/projections/sqlite"
)

// The keys of a server.
const (
	readKey  = "read-key"
	auditKey = "audit-key"
	boundKey = "bound-key" // to acme
	adminKey = "admin-key"
)

// daybook is a server of Daybook's on real files, in which acme is on the tier
// Basic, mallory is blocked, and nothing is known of anybody else.
type daybook struct {
	url   string
	asked atomic.Int64 // requests that came
	// open and opened count the connections, at present and in all.
	open, opened atomic.Int64
	most         atomic.Int64 // at once

	dir     string
	store   *sqlite.Store
	model   *model.Model
	answers *projections.Answers
	probe   *api.Probe
	ahead   atomic.Int64 // of the server's clock, in nanoseconds
	server  *httptest.Server
	stop    context.CancelFunc
	running sync.WaitGroup
}

func (d *daybook) now() time.Time { return time.Now().Add(time.Duration(d.ahead.Load())).UTC() }

func newDaybook(t testing.TB) *daybook {
	t.Helper()
	d, err := startDaybook()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d
}

func startDaybook() (d *daybook, err error) {
	d = &daybook{}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.dir, err = os.MkdirTemp("", "daybook-client-"); err != nil {
		return d, err
	}
	ctx := context.Background()
	if d.store, err = sqlite.Open(ctx, filepath.Join(d.dir, "events.db"), sqlite.Options{}); err != nil {
		return d, err
	}
	if d.model, err = model.Open(ctx, filepath.Join(d.dir, "model.db")); err != nil {
		return d, err
	}
	handler, err := d.handler()
	if err != nil {
		return d, err
	}
	d.serve(handler)
	return d, errors.Join(
		d.decide("/v1/accounts/acme/waivers", `{"tier":"basic","reason":"for the tests of the client"}`),
		d.decide("/v1/accounts/mallory/block", `{"reason":"for the tests of the client"}`))
}

// handler is the server, with the read model that it answers from.
func (d *daybook) handler() (http.Handler, error) {
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	runner := projections.NewRunner(projections.Options{
		Store: d.store, Model: d.model, Epoch: "epoch-1", Now: d.now, Log: logger,
		Sleep: func(ctx context.Context, _ time.Time) error { <-ctx.Done(); return ctx.Err() },
	})
	var ctx context.Context
	ctx, d.stop = context.WithCancel(context.Background())
	d.running.Go(func() { _ = runner.Run(ctx) })
	builtin := aggregate.BuiltinCatalog()
	catalogs := aggregate.Catalogs{}.With(aggregate.CatalogAdopted{Schema: 1, Hash: builtin.Hash(), Catalog: builtin})
	d.probe = api.NewProbe(d.store, d.now)
	d.answers = projections.NewAnswers(d.model, "epoch-1", false)
	keys, err := api.ParseKeys(fmt.Sprintf("reader:read:%s,auditor:audit:%s,bound:read:%s:acme,admin:admin:%s",
		hashOf(readKey), hashOf(auditKey), hashOf(boundKey), hashOf(adminKey)))
	if err != nil {
		return nil, err
	}
	server, err := api.New(api.Config{
		Epoch: "epoch-1", Verifier: intake.NewVerifier([]string{"whsec_client"}, d.now), Journal: intake.NewJournal(d.store, d.now),
		Store: d.store, Health: d.probe, Model: d.model, Entitlements: d.answers,
		Decider: decisions.NewBook(decisions.Config{Store: d.store, Catalogs: func() aggregate.Catalogs { return catalogs },
			Now: d.now, AwaitModel: runner.WaitFor}),
		Catalog: aggregate.BuiltinCatalog, Keys: keys, Clock: d.now, Log: logger,
	})
	return server, err
}

// serve listens, and counts.
func (d *daybook) serve(handler http.Handler) {
	d.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.asked.Add(1)
		handler.ServeHTTP(w, r)
	}))
	d.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			d.opened.Add(1)
			if n := d.open.Add(1); n > d.most.Load() {
				d.most.Store(n) // states are told one after the other
			}
		case http.StateClosed, http.StateHijacked:
			d.open.Add(-1)
		}
	}
	d.server.Start()
	d.url = d.server.URL
}

// decide has an operator decide.
func (d *daybook) decide(path, body string) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, d.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+adminKey)
	req.Header.Set("Content-Type", "application/json")
	res, err := d.server.Client().Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("POST %s: %d %s", path, res.StatusCode, answer)
	}
	return err
}

// loseStore takes the event store away, and lets some time pass.
func (d *daybook) loseStore(t testing.TB, ago time.Duration) {
	t.Helper()
	if err := d.store.Close(); err != nil {
		t.Fatal(err)
	}
	if d.probe.Check(t.Context()) == nil {
		t.Fatal("the store is still there")
	}
	d.ahead.Add(int64(ago))
}

func (d *daybook) close() {
	if d.server != nil {
		d.server.Close()
	}
	if d.stop != nil {
		d.stop()
		d.running.Wait()
	}
	if d.model != nil {
		_ = d.model.Close()
	}
	if d.store != nil {
		_ = d.store.Close()
	}
	_ = os.RemoveAll(d.dir)
}

func hashOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// front stands between, and answers some requests itself.
func (d *daybook) front(t testing.TB, instead func(w http.ResponseWriter, r *http.Request, nth int64) bool) (url string, came *atomic.Int64) {
	t.Helper()
	came = new(atomic.Int64)
	behind := d.server.Config.Handler
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !instead(w, r, came.Add(1)) {
			behind.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(front.Close)
	return front.URL, came
}

// listener takes connections and has a fault do with them what it wants.
func listener(t testing.TB, fault func(net.Conn)) (url string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
			fault(conn)
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		accepting.Wait()
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	return "http://" + l.Addr().String()
}

// The faults of listeners.
func hangs(net.Conn) {}

func resets(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// nobody is an address at which nobody listens.
func nobody(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	return "http://" + l.Addr().String()
}
