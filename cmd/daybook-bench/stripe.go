package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// stripeList is Stripe's API as far as a sweep asks it: lists of events and of
// subscriptions, the newest first, by pages. It is empty until it is opened. What
// it answers is made beforehand, for it shares the machine with what is measured.
type stripeList struct {
	opened atomic.Bool
	lists  map[string]*listed
}

// listed are the objects of a list, the newest first.
type listed struct {
	raw     [][]byte
	created []int64
	place   map[string]int // by id
}

// newStripeList lists the first n events of each maker, which are of the same
// times, and their subscriptions as these events leave them.
func newStripeList(n int, makers ...*eventMaker) (*stripeList, error) {
	events, subscriptions := &listed{place: map[string]int{}}, &listed{place: map[string]int{}}
	for i := n - 1; i >= 0; i-- {
		for _, m := range makers {
			var e struct {
				Data struct {
					Object json.RawMessage `json:"object"`
				} `json:"data"`
			}
			body := []byte(m.body(i))
			if err := json.Unmarshal(body, &e); err != nil {
				return nil, err
			}
			if err := events.add(body); err != nil {
				return nil, err
			}
			// The newest event of a subscription comes first, and shows what it is.
			if turn := i / m.accounts; turn == 0 || turn%2 == 1 {
				if err := subscriptions.add(e.Data.Object); err != nil {
					return nil, err
				}
			}
		}
	}
	return &stripeList{lists: map[string]*listed{"/v1/events": events, "/v1/subscriptions": subscriptions}}, nil
}

// add appends an object, unless one of its id is there.
func (l *listed) add(raw []byte) error {
	var o struct {
		ID      string `json:"id"`
		Created int64  `json:"created"`
	}
	if err := json.Unmarshal(raw, &o); err != nil || o.ID == "" {
		return fmt.Errorf("no object of Stripe's: %w", err)
	}
	if _, there := l.place[o.ID]; there {
		return nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return err
	}
	l.place[o.ID] = len(l.raw)
	l.raw, l.created = append(l.raw, compact.Bytes()), append(l.created, o.Created)
	return nil
}

// ServeHTTP implements http.Handler.
func (s *stripeList) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/readyz":
		return
	case "/open":
		s.opened.Store(true)
		return
	}
	var page [][]byte
	more := false
	if l := s.lists[r.URL.Path]; l != nil && s.opened.Load() {
		page, more = l.page(r)
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"object":"list","has_more":%t,"data":[%s]}`, more, bytes.Join(page, []byte{','}))
}

// page is what is behind the cursor, of the times that are asked for.
func (l *listed) page(r *http.Request) (page [][]byte, more bool) {
	query := r.URL.Query()
	number := func(name string, otherwise int64) int64 {
		if n, err := strconv.ParseInt(query.Get(name), 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	from := 0
	if id := query.Get("starting_after"); id != "" {
		from = l.place[id] + 1
	}
	newest := number("created[lte]", 1<<62)
	descending := func(created, bound int64) int { return int(min(max(bound-created, -1), 1)) }
	if i, _ := slices.BinarySearchFunc(l.created, newest, descending); i > from {
		from = i
	}
	end, _ := slices.BinarySearchFunc(l.created, number("created[gte]", 0)-1, descending)
	until := min(from+int(number("limit", 10)), end)
	if until <= from {
		return nil, false
	}
	return l.raw[from:until], until < end
}

// serveStripe is the child process that lists.
func serveStripe(args []string) error {
	fs := flag.NewFlagSet("stripe", flag.ContinueOnError)
	addr := fs.String("addr", "127.0.0.1:0", "address")
	events := fs.Int("events", 1, "events of each load")
	accounts := fs.Int("accounts", 1, "accounts of each load")
	began := fs.Int64("began", 0, "when the loads began, in Unix seconds")
	loads := fs.String("loads", "", "the loads whose events are listed, comma-separated")
	if err := fs.Parse(args); err != nil {
		return err
	}
	var makers []*eventMaker
	for prefix := range strings.SplitSeq(*loads, ",") {
		m, err := newEventMaker(prefix, *accounts, time.Unix(*began, 0))
		if err != nil {
			return err
		}
		makers = append(makers, m)
	}
	list, err := newStripeList(*events, makers...)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return serveUntil(ctx, *addr, list)
}

// startStripe starts this binary as Stripe's lists.
func startStripe(ctx context.Context, events, accounts int, began time.Time, loads ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(ctx, self, "stripe", "--events", strconv.Itoa(events), "--accounts", strconv.Itoa(accounts),
		"--began", strconv.FormatInt(began.Unix(), 10), "--loads", strings.Join(loads, ","))
}

// openLists has it list what it has.
func openLists(ctx context.Context, stripe *child) error {
	status, err := stripe.get(ctx, "/open", nil)
	if err == nil && status != http.StatusOK {
		err = errors.New("the lists do not open")
	}
	return err
}
