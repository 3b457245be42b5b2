package api

import (
	"context"
	"net/http"
	"time"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/reconcile"
	"github.com/daybookhq/daybook/projections"
)

// livez answers that the process runs.
func (s *Server) livez(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, map[string]string{"status": "alive"})
}

// readyz answers whether webhooks can be accepted: the store must answer.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if _, err := s.Store.Head(ctx); err != nil {
		s.Log.WithError(err).Warn("not ready: the event store does not answer")
		return unavailable("The event store does not answer; webhooks cannot be accepted.")
	}
	return writeJSON(w, map[string]string{"status": "ready"})
}

// Follower is somebody who follows the log: posting, or a projection.
type Follower interface {
	// Progress tells how far it is. It must answer at once.
	Progress() Progress
}

// Progress is how far a follower of the log has come.
type Progress struct {
	// Name is the follower's, as in "posting".
	Name string `json:"name"`
	// Position is the place in the log up to which it has done everything.
	Position eventstore.Position `json:"position"`
	// CaughtUp says that it had done everything there was when it last looked.
	CaughtUp bool `json:"caught_up"`
	// LagSeconds is how old the oldest event is that it has not done, 0 if it
	// has done all.
	LagSeconds float64 `json:"lag_seconds"`
	// Standby says that another process does this work, and that this one would
	// take over. Position is then where it did so last.
	Standby bool `json:"standby,omitempty"`
	// Error is why it does not go on, empty if it does.
	Error string `json:"error,omitempty"`
}

// Status is the answer of GET /v1/status.
type Status struct {
	Version   string      `json:"version"`
	Now       time.Time   `json:"now"`
	StartedAt time.Time   `json:"started_at"`
	Store     StoreStatus `json:"store"`
	// Model tells how far the read model is, as it stands on disk.
	Model projections.Checkpoint `json:"model"`
	// Rebuilding says that the read model is being folded from zero.
	Rebuilding bool `json:"rebuilding"`
	// LastEventAt is when a webhook was last recorded, missing if none is known.
	LastEventAt time.Time `json:"last_event_at,omitzero"`
	// DiskFreeBytes is the room for the data dir, missing if it is not known.
	DiskFreeBytes *uint64 `json:"disk_free_bytes,omitempty"`

	Followers []Progress `json:"followers"`
	// HistoryLost is missing unless the store is known to lack history.
	HistoryLost *HistoryLost `json:"history_lost,omitempty"`
	// Publisher is missing where entitlements are not published, Drift while the
	// read model was not compared with one folded anew.
	Publisher *projections.PublisherStatus `json:"publisher,omitempty"`
	Drift     *projections.DriftCheck      `json:"drift,omitempty"`
	Webhooks  WebhookCounts                `json:"webhooks"`
	Counts    map[string]int64             `json:"counts"`
	Failures  []projections.Failure        `json:"failures"`
	Parked    []projections.Parked         `json:"parked"`
	Unmapped  []projections.UnmappedPrice  `json:"unmapped"`
	// Reconciliation tells how the record was compared with Stripe.
	Reconciliation *reconcile.Status `json:"reconciliation,omitempty"`
}

// StoreStatus tells how the event store is.
type StoreStatus struct {
	Kind      string `json:"kind,omitempty"`
	Reachable bool   `json:"reachable"`
	// LastReachedAt is when it last answered.
	LastReachedAt time.Time `json:"last_reached_at,omitzero"`
	// Head is the position of the last event, missing if it cannot be reached.
	Head *eventstore.Position `json:"head,omitempty"`
}

// HistoryLost tells of a store that lacks events which it had, as one does that
// was restored from a backup.
type HistoryLost struct {
	// NoticedAt is when that was found out. The log ended at Head then, whose event
	// was recorded at HeadAt.
	NoticedAt time.Time           `json:"noticed_at"`
	Head      eventstore.Position `json:"head"`
	HeadAt    time.Time           `json:"head_at,omitzero"`
	// ToldPosition is how far readers of Redis had been told of it, at ToldAt.
	ToldPosition eventstore.Position `json:"told_position"`
	ToldAt       time.Time           `json:"told_at"`
	// Advice is a sentence: what is done about it, or has to be.
	Advice string `json:"advice"`
}

// status answers GET /v1/status. It tells of all accounts, so a key that is
// bound to one gets no answer.
func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	if err := p.err(); err != nil {
		return err
	}
	if boundAccount(r.Context()) != "" {
		return errOtherAccount
	}
	status, err := s.statusNow(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, status)
}

func (s *Server) statusNow(ctx context.Context) (Status, error) {
	st := s.processStatus(ctx)
	return st, s.modelStatus(ctx, &st)
}

// processStatus is what can be told without the read model.
func (s *Server) processStatus(ctx context.Context) Status {
	st := Status{
		Version: s.Version, Now: s.now(), StartedAt: s.started.UTC(),
		Store: s.storeStatus(ctx), Webhooks: s.WebhookCounts(), Followers: []Progress{},
	}
	for _, f := range s.Progress {
		st.Followers = append(st.Followers, f.Progress())
	}
	st.LastEventAt = s.lastEventAt(ctx, st.Store.Reachable)
	if s.Rebuilding != nil {
		st.Rebuilding = s.Rebuilding()
	}
	if s.DiskFree != nil {
		if free, err := s.DiskFree(); err == nil {
			st.DiskFreeBytes = &free
		}
	}
	if s.HistoryLost != nil {
		st.HistoryLost = s.HistoryLost()
	}
	if s.Publisher != nil {
		published := s.Publisher()
		st.Publisher = &published
	}
	if s.Drift != nil {
		st.Drift = s.Drift()
	}
	if s.Reconciliation != nil {
		reconciled := s.Reconciliation()
		st.Reconciliation = &reconciled
	}
	return st
}

// lastEventLook bounds how many journal entries are looked at for one that a
// webhook brought.
const lastEventLook = 20

// lastEventAt is when a webhook was last recorded: by this process or, as long
// as it has recorded none, as the record tells. It is zero if that tells nothing.
func (s *Server) lastEventAt(ctx context.Context, reachable bool) time.Time {
	if at := s.lastEvent.Load(); at != 0 || !reachable {
		return sinceEpoch(at)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	journal := eventstore.Filter{Prefixes: []string{intake.JournalCategory + "-"}}
	for e, err := range s.Store.ReadAll(ctx, eventstore.End, eventstore.Backwards, journal, lastEventLook) {
		if err != nil {
			break
		}
		receipt, err := intake.DecodeReceipt(e.Metadata)
		if err == nil && receipt.Source == intake.SourceWebhook {
			return receipt.ReceivedAt.UTC()
		}
	}
	return time.Time{}
}

// sinceEpoch is a time of so many nanoseconds since 1970, zero for 0.
func sinceEpoch(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds).UTC()
}

func (s *Server) storeStatus(ctx context.Context) StoreStatus {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	st := StoreStatus{Kind: s.StoreKind, LastReachedAt: s.Health.StoreHealth().LastReached.UTC()}
	head, err := s.Store.Head(ctx)
	if err != nil {
		return st
	}
	st.Reachable, st.Head, st.LastReachedAt = true, &head, s.now()
	return st
}

// modelStatus adds what the read model knows. Lists are never null.
func (s *Server) modelStatus(ctx context.Context, st *Status) (err error) {
	if st.Model, err = s.Model.Checkpoint(ctx); err != nil {
		return err
	}
	if st.Counts, err = s.Model.Counts(ctx); err != nil {
		return err
	}
	if st.Failures, err = s.Model.Failures(ctx); err != nil {
		return err
	}
	if st.Parked, err = s.Model.Parked(ctx); err != nil {
		return err
	}
	if st.Unmapped, err = s.Model.Unmapped(ctx); err != nil {
		return err
	}
	st.Model.Filter = present(st.Model.Filter) // of a model in which nothing is yet
	st.Failures, st.Parked, st.Unmapped = present(st.Failures), present(st.Parked), present(st.Unmapped)
	return nil
}

// present makes a list that is not there an empty one.
func present[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
