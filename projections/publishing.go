package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/daybookhq/daybook/eventstore"
)

// askVouching is how often it is looked whether the model has caught up.
const askVouching = 50 * time.Millisecond

// errUnvouched says why entries are left to lapse.
var errUnvouched = errors.New("the read model is not known to be up with the event store: what is published is left to lapse")

// publishing is one term of a publisher: its loop, which one goroutine runs.
type publishing struct {
	*Publisher
	renewals renewals
	// sure says that the record is whole, as far as anybody knows, behind a model
	// of that content.
	sure    bool
	content uint64
	// ignored is why a heartbeat was ignored, as far as that was said.
	ignored string
	// nextBeat is when the heartbeat is due.
	nextBeat time.Time
	// since is when it was last possible to vouch for the model.
	since time.Time
	// drained is the place up to which all that was fed is published.
	drained eventstore.Position
	// round is the publication of everything that is under way, begun when.
	round   uint64
	begunAt time.Time
	sent    int
	// ahead is being read while the page before is sent, nil for nothing.
	ahead *pageAhead
}

// step does what is most urgent, and returns for how long there is nothing to do.
func (w *publishing) step(ctx context.Context) (idle time.Duration, err error) {
	if err := w.makeSure(ctx); err != nil {
		return 0, err
	}
	now := w.opts.Now()
	if !now.Before(w.nextBeat) {
		if err := w.beat(ctx, now); err != nil {
			return 0, err
		}
	}
	tillBeat := max(0, w.nextBeat.Sub(now))
	if !w.allowed() {
		return tillBeat, nil
	}
	if _, yes := w.vouches(); !yes {
		if now.Sub(w.since) > w.opts.Lease/vouchFor {
			return 0, errUnvouched
		}
		return min(tillBeat, askVouching), nil
	}
	w.since = now
	if err := w.publishFed(ctx); err != nil {
		return 0, err
	}
	w.startRound(now)
	tillRenewal, err := w.renew(ctx, now)
	if err == nil {
		w.well()
	}
	return min(tillBeat, tillRenewal), err
}

// makeSure asks whether the record is whole, before the first heartbeat of a term
// takes the place of what was told last, and when the model was folded anew: the
// log may have been cut under it. Until then nothing is published, nor by a check;
// a heartbeat allows it again.
func (w *publishing) makeSure(ctx context.Context) error {
	content := w.opts.Runner.Standing().Content
	if w.sure && w.content == content {
		return nil
	}
	w.sure, w.nextBeat = false, time.Time{}
	w.mu.Lock()
	w.allow = false
	w.mu.Unlock()
	told, err := w.opts.Outlet.Told(ctx)
	if err != nil {
		return err
	}
	if told.Ignored != "" && told.Ignored != w.ignored {
		w.opts.Log.WithField("why", told.Ignored).Warn("publisher: the heartbeat that is there is ignored, and replaced")
	}
	w.ignored = told.Ignored
	if err := w.opts.Vouch(ctx, told); err != nil {
		return err
	}
	w.sure, w.content = true, content
	return nil
}

// rest waits for as long as there is nothing to do; after a success, something
// new ends the wait.
func (w *publishing) rest(ctx context.Context, idle time.Duration, wakeable bool) error {
	if idle <= 0 {
		return ctx.Err()
	}
	var woke <-chan struct{}
	if wakeable {
		woke = w.opts.Feed.woke
	}
	timer := time.NewTimer(idle)
	defer timer.Stop()
	select {
	case <-woke:
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// beat writes the heartbeat, and learns from it.
func (w *publishing) beat(ctx context.Context, now time.Time) error {
	w.mu.Lock()
	position := w.status.Position
	w.mu.Unlock()
	beat, err := w.opts.Outlet.Beat(ctx, position, now)
	if err != nil {
		return err
	}
	w.nextBeat = now.Add(beatEvery)
	w.mu.Lock()
	w.status.BeatAt, w.status.SkewMillis = now.UTC(), beat.Skew.Milliseconds()
	w.allow = beat.Occupied == "" && beat.Skew.Abs() <= MaxSkew
	w.mu.Unlock()
	switch {
	case beat.Occupied != "":
		return fmt.Errorf("the store %s is published there: two stores never share an outlet", beat.Occupied)
	case beat.Skew.Abs() > MaxSkew:
		return fmt.Errorf("this machine's clock and the outlet's differ by %s, and nothing is published beyond %s",
			beat.Skew.Round(time.Millisecond), MaxSkew)
	}
	if beat.Republish != "" {
		w.Republish(beat.Republish)
	}
	return nil
}

// publishFed publishes what has changed.
func (w *publishing) publishFed(ctx context.Context) error {
	began, got := w.opts.Now(), w.opts.Feed.take()
	if got.all != "" {
		w.Republish(got.all)
	}
	failed, err := w.sendFed(ctx, got.rows)
	if len(failed) > 0 {
		w.opts.Feed.putBack(failed, got.since)
		return err
	}
	w.drained = got.position
	w.acknowledge()
	w.tell(got.rows, began)
	return err
}

// tell tells that entitlements which had changed are published.
func (w *publishing) tell(rows map[string]fedRow, began time.Time) {
	if w.opts.OnPublished == nil || len(rows) == 0 {
		return
	}
	p := Published{Entries: len(rows), Began: began, Ended: w.opts.Now()}
	for _, row := range rows {
		p.Position = max(p.Position, row.position)
	}
	w.opts.OnPublished(p)
}

// sendFed returns those of which nothing is known.
func (w *publishing) sendFed(ctx context.Context, rows map[string]fedRow) (failed map[string]fedRow, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	now := w.opts.Now()
	var entries []Publication
	var gone []Withdrawal
	for account, row := range rows {
		switch {
		case row.Doc == nil:
			gone = append(gone, Withdrawal{Account: account, Position: row.position, AsOf: now})
		case inForce(time.Time{}, row.Until, now): // else the next is under way
			entries = append(entries, Publication{Account: account, Doc: row.Doc, Position: row.position, AsOf: now})
		}
	}
	if len(gone) > 0 {
		w.dropAhead()
	}
	failed = map[string]fedRow{}
	outcomes, err := w.send(ctx, entries)
	for i, outcome := range outcomes {
		if outcome == OutcomeFailed {
			failed[entries[i].Account] = rows[entries[i].Account]
		}
	}
	outcomes, also := w.withdraw(ctx, gone)
	for i, outcome := range outcomes {
		if outcome == OutcomeFailed {
			failed[gone[i].Account] = rows[gone[i].Account]
		}
	}
	return failed, errors.Join(err, also)
}

// startRound begins to publish everything, if that was asked for.
func (w *publishing) startRound(now time.Time) {
	w.mu.Lock()
	asked, why := w.rounds.asked, w.rounds.why
	begin := w.rounds.begun < asked
	w.rounds.begun = asked
	w.mu.Unlock()
	if begin {
		w.opts.Log.WithField("why", why).Info("publisher: all entitlements are published again")
		w.round, w.begunAt, w.sent = asked, now, 0
		w.renewals.everything(now)
	}
}

// renew publishes one page of what is due, and returns how long it takes until
// there is more.
func (w *publishing) renew(ctx context.Context, now time.Time) (idle time.Duration, err error) {
	i, at, found := w.renewals.next()
	if !found {
		return time.Hour, nil
	}
	if wait := at.Sub(now); wait > 0 && !w.renewals.spans[i].owed {
		return wait, nil
	}
	read := w.page(ctx, i)
	if read.err != nil || read.standing.Content != w.opts.Runner.Standing().Content {
		return 0, read.err // where the content was replaced, it is read again
	}
	rows, more := w.renewals.within(i, read.rows)
	if more && w.renewals.spans[i].owed {
		w.ahead = w.read(ctx, rows[len(rows)-1].Account, w.renewals.page(i))
	}
	now = w.opts.Now()
	if _, err := w.send(ctx, publications(rows, read.standing.Position, now)); err != nil {
		return 0, err
	}
	w.sent += len(rows)
	w.renewals.renewed(i, rows, more, now)
	w.acknowledge()
	w.endRound(now)
	return 0, nil
}

// publications are rows that were read of the model when the log was folded up
// to a position, as far as they are true at now.
func publications(rows []EntitlementRow, position eventstore.Position, now time.Time) []Publication {
	entries := make([]Publication, 0, len(rows))
	for i := range rows {
		if inForce(time.Time{}, rows[i].Until, now) {
			entries = append(entries, Publication{Account: rows[i].Account, Doc: rows[i].Doc, Position: position, AsOf: now})
		}
	}
	return entries
}

// acknowledge moves the place up to which everything is published.
func (w *publishing) acknowledge() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rounds.begun == w.rounds.asked && !w.renewals.owes() {
		w.status.Position = max(w.status.Position, w.drained)
	}
}

// endRound notes that everything was published, and has it checked.
func (w *publishing) endRound(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rounds.published == w.round || w.renewals.owes() {
		return
	}
	w.rounds.published = w.round
	signal(w.check)
	w.opts.Log.WithFields(logrus.Fields{"entitlements": w.sent, "took": now.Sub(w.begunAt).Round(time.Millisecond).String()}).
		Info("publisher: all entitlements are published")
}
