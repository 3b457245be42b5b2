package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/daybookhq/daybook/api"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
)

// A store that was restored from a backup lacks what was recorded since, and does
// not know it. The heartbeat in Redis does: it told of a place in the log that is
// no more. Before anything is published, it is asked; and what it says is filed in
// the stream that says what the store is, so that neither a restart nor a log that
// grows again makes anybody forget it.

// The types of what is filed.
const (
	historyLostType      = "HistoryLost"
	historyRecoveredType = "HistoryRecovered"
)

// loss is the content of a HistoryLost event.
type loss struct {
	Schema    int       `json:"schema"`
	NoticedAt time.Time `json:"noticed_at"`
	// Head is where the log ended, with an event that was recorded at HeadAt.
	Head   eventstore.Position `json:"head"`
	HeadAt time.Time           `json:"head_at,omitzero"`
	// The heartbeat told of ToldPosition, at ToldAt, of a store founded at
	// ToldFoundedAt.
	ToldPosition  eventstore.Position `json:"told_position"`
	ToldAt        time.Time           `json:"told_at"`
	ToldFoundedAt time.Time           `json:"told_founded_at"`
}

// String says what is known.
func (l *loss) String() string {
	return fmt.Sprintf("this store lacks history: at %s Redis was told of position %d of it, and its log ended at %d, at %s. It was restored from a backup",
		moment(l.ToldAt), l.ToldPosition, l.Head, moment(l.HeadAt))
}

// How what was lost was made good.
const (
	bySweep    = "sweep"
	byOperator = "operator"
)

// recovery is the content of a HistoryRecovered event. From RecoveredAt on, what
// is published counts as newer than all that was published before.
type recovery struct {
	Schema      int       `json:"schema"`
	RecoveredAt time.Time `json:"recovered_at"`
	By          string    `json:"by"`
	Actor       string    `json:"actor,omitempty"`
	Reason      string    `json:"reason,omitempty"`
}

// historyBook knows whether the store lacks history, as its stream says.
type historyBook struct {
	store  eventstore.Store
	opened projections.Opening

	mu sync.Mutex
	// lost is nil while nothing is known to be missing.
	lost *loss
	// since is when the store was founded, or last made whole.
	since time.Time
	// noticed has a token when lost may have changed.
	noticed chan struct{}
}

// openHistory looks where the log ends before this process adds to it. Where
// others write too, that tells nothing.
func openHistory(ctx context.Context, store eventstore.Store, alone bool) (*historyBook, error) {
	h := &historyBook{store: store, noticed: make(chan struct{}, 1)}
	if !alone {
		return h, nil
	}
	head, err := store.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the log's end: %w", err)
	}
	h.opened = projections.Opening{Head: head, At: systemClock()}
	return h, nil
}

// load reads what is filed.
func (h *historyBook) load(ctx context.Context, about founded) error {
	lost, recovered, err := readHistory(ctx, h.store)
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.lost, h.since = lost, about.FoundedAt
	if recovered != nil {
		h.since = recovered.RecoveredAt
	}
	h.mu.Unlock()
	select {
	case h.noticed <- struct{}{}:
	default: // whoever takes it reads lost again
	}
	return nil
}

// readHistory returns what a store is known to lack, nil if nothing is, and how it
// was last made whole, nil if it never had to be.
func readHistory(ctx context.Context, store eventstore.Reader) (lost *loss, recovered *recovery, err error) {
	for e, err := range store.ReadStream(ctx, storeStream, 0, eventstore.Forwards, 0) {
		switch {
		case err != nil:
		case e.Type == historyLostType && lost == nil:
			lost = &loss{}
			err = json.Unmarshal(e.Data, lost)
		case e.Type == historyRecoveredType:
			lost, recovered = nil, &recovery{}
			err = json.Unmarshal(e.Data, recovered)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read whether the store lacks history: %w", err)
		}
	}
	return lost, recovered, nil
}

// present is what was loaded last.
func (h *historyBook) present() (lost *loss, since time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lost, h.since
}

// file appends to the stream, and reads it again.
func (h *historyBook) file(ctx context.Context, about founded, eventType string, content any) error {
	event, err := ownEvent(eventType, content, systemClock())
	if err != nil {
		return err
	}
	if _, err = h.store.Append(ctx, storeStream, eventstore.Any, event); err != nil {
		return fmt.Errorf("record %s: %w", eventType, err)
	}
	return h.load(ctx, about)
}

// lacks reports whether what was told is of this store, and of more than it has.
// What was told before it was last made whole is no news.
func (h *historyBook) lacks(ctx context.Context, about founded, told projections.Told) (bool, error) {
	_, since := h.present()
	since = since.Truncate(time.Millisecond) // as it is published
	switch {
	case told.Epoch != about.Epoch || told.FoundedAt.Before(since):
		return false, nil
	case told.FoundedAt.After(since): // it was made whole, and that is lost, too
		return true, nil
	}
	return projections.Lacks(ctx, h.store, told, h.opened)
}

// notice files what the store lacks, if what was told says so, and returns what
// it is known to lack now.
func (n *node) notice(ctx context.Context, told projections.Told) (*loss, error) {
	if err := n.history.load(ctx, n.about); err != nil {
		return nil, err
	}
	if lost, _ := n.history.present(); lost != nil {
		return lost, nil
	}
	lacks, err := n.history.lacks(ctx, n.about, told)
	if !lacks || err != nil {
		return nil, err
	}
	lost := &loss{Schema: 1, NoticedAt: systemClock().UTC(), ToldPosition: told.Position, ToldAt: told.At.UTC(), ToldFoundedAt: told.FoundedAt.UTC()}
	for e, err := range n.store.ReadAll(ctx, eventstore.End, eventstore.Backwards, eventstore.Filter{}, 1) {
		if err != nil {
			return nil, fmt.Errorf("read the log's end: %w", err)
		}
		lost.Head = e.Position
		lost.HeadAt, _ = eventstore.RecordedAt(e.Metadata)
	}
	if err := n.history.file(ctx, n.about, historyLostType, lost); err != nil {
		return nil, err
	}
	n.log.WithFields(logrus.Fields{"head": lost.Head, "head_at": lost.HeadAt, "told_position": lost.ToldPosition, "told_at": lost.ToldAt}).
		Error(lost.String() + ". " + n.advice())
	return lost, nil
}

// errGap says that the last sweep is hours ago.
var errGap = errors.New("this store was last compared with Stripe hours ago: no server ran since, or it is restored from a backup. What Stripe has since is fetched first")

// vouch is asked by the publisher before it publishes: see PublisherOptions.
//
// Where the heartbeat tells that history is lost, nothing is published before it
// is made good, by a sweep or by an operator's word. Where only the last sweep is
// hours ago, nothing is known to be lost, and a server that was merely off should
// not be silent for as long as Stripe is: one attempt at a sweep is waited for.
func (n *node) vouch(ctx context.Context, told projections.Told) error {
	lost, err := n.notice(ctx, told)
	switch {
	case err != nil:
		return err
	case lost != nil:
		return errors.New(lost.String() + ". " + n.advice())
	case !n.recordsOnly && n.reconciler.Gap():
		return errGap
	}
	_, since := n.history.present()
	n.redis.outlet.SetFounded(since)
	return nil
}

// advice says what is done about lost history, or has to be.
func (n *node) advice() string {
	const held = "Entitlements are not published, and those that were lapse, "
	status := n.reconciler.Status()
	switch {
	case !status.Configured:
		return held + "until what is missing is there: set STRIPE_API_KEY and start again, and it is fetched; or have Stripe send it again, and then run daybook accept-loss"
	case n.recordsOnly:
		return held + "until a server that posts has fetched what is missing: this one was told not to"
	case status.LastError != "":
		return held + "until what is missing is fetched from Stripe, which is tried again every few minutes, or at once by daybook reconcile: " + status.LastError
	}
	return held + "until what is missing is fetched from Stripe, which is under way"
}

// historyLost is what the status tells, nil if nothing is known to be missing.
func (n *node) historyLost() *api.HistoryLost {
	lost, _ := n.history.present()
	if lost == nil {
		return nil
	}
	return &api.HistoryLost{NoticedAt: lost.NoticedAt, Head: lost.Head, HeadAt: lost.HeadAt,
		ToldPosition: lost.ToldPosition, ToldAt: lost.ToldAt, Advice: n.advice()}
}

// askRecovered is how often it is looked whether what was lost is there again.
const askRecovered = time.Second

// recoverHistory has what the store lacks fetched from Stripe, whenever that
// becomes known, until ctx ends.
func (n *node) recoverHistory(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.history.noticed:
		}
		if lost, _ := n.history.present(); lost != nil {
			n.reconciler.Hurry()
			n.awaitRecovered(ctx, lost)
		}
	}
}

// awaitRecovered waits for a sweep, whoever makes it, and files that it has made
// the loss good; or until somebody else has filed that.
func (n *node) awaitRecovered(ctx context.Context, lost *loss) {
	tick := time.NewTicker(askRecovered)
	defer tick.Stop()
	for ctx.Err() == nil {
		if still, _ := n.history.present(); still == nil {
			return
		}
		err := n.reconciler.Load(ctx)
		if err == nil && n.reconciler.SweptSince(lost.NoticedAt) {
			err = n.recovered(ctx, lost, recovery{By: bySweep})
		}
		if err != nil {
			n.log.WithError(err).Debug("whether lost history is there again is asked once more")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// recovered files that what was lost counts as made good. The moment is later
// than any that entries were ordered by before, whatever the clock says.
func (n *node) recovered(ctx context.Context, lost *loss, r recovery) error {
	_, since := n.history.present()
	r.Schema, r.RecoveredAt = 1, systemClock().UTC()
	for _, before := range []time.Time{since, lost.ToldFoundedAt} {
		if next := before.Add(time.Millisecond); r.RecoveredAt.Before(next) {
			r.RecoveredAt = next
		}
	}
	if err := n.history.file(ctx, n.about, historyRecoveredType, r); err != nil {
		return err
	}
	n.log.WithFields(logrus.Fields{"by": r.By, "actor": cmp.Or(r.Actor, "daybook"), "from": lost.HeadAt, "until": lost.ToldAt}).
		Warn("lost history counts as made good, and entitlements are published again. Waivers, blocks and other decisions of operators from that time are at nobody else's: repeat them")
	return nil
}
