package api

import (
	"context"
	"net/http"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// entitlementAnswer is an entitlement, and how old the knowledge behind it may
// be.
type entitlementAnswer struct {
	aggregate.Entitlement
	// StaleSeconds, beside stale, is how long ago the store last answered; it
	// is missing if it never did.
	StaleSeconds *int64 `json:"stale_seconds,omitempty"`
	// KnownAt is the time of ours that was asked for, of an answer about the past.
	KnownAt time.Time `json:"known_at,omitzero"`
}

// entitlement answers GET /v1/entitlements/{account}: from the read model, or,
// with as_of or known_at, from the record.
func (s *Server) entitlement(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	account, at := p.accountInPath(), p.moments()
	if err := p.err(); err != nil {
		return err
	}
	if at.Past() {
		_, _, then, err := s.recordThen(r.Context(), account, at)
		if err != nil {
			return err
		}
		return writeJSON(w, then)
	}
	answer, err := s.entitlementOf(r.Context(), account)
	if err != nil {
		return err
	}
	if answer.StaleSeconds != nil {
		return writeJSON(w, answer)
	}
	// This is asked more often than anything else, and printed faster so.
	doc, err := aggregate.EncodeEntitlement(answer.Entitlement)
	if err != nil {
		return err
	}
	writeDocument(w, http.StatusOK, append(doc, '\n'))
	return nil
}

// entitlementOf asks the read model, and says so if the record behind it cannot
// be reached, or lacks history.
func (s *Server) entitlementOf(ctx context.Context, account string) (entitlementAnswer, error) {
	if err := authorizeAccount(ctx, account); err != nil {
		return entitlementAnswer{}, err
	}
	now := s.now()
	e, err := s.Entitlements.Entitlement(ctx, account, now)
	if err != nil {
		return entitlementAnswer{}, err
	}
	e.ValidUntil = validUntil(e, now, s.EntitlementLease)
	answer := entitlementAnswer{Entitlement: e}
	answer.Stale = s.HistoryLost != nil && s.HistoryLost() != nil
	if h := s.Health.StoreHealth(); !h.Reachable {
		answer.Stale = true
		if !h.LastReached.IsZero() {
			age := int64(max(now.Sub(h.LastReached), 0) / time.Second)
			answer.StaleSeconds = &age
		}
	}
	return answer, nil
}

// validUntil is when a reader must ask again: the earliest of the lease, the
// end of grace and a scheduled cancellation. A period's end is none of these.
func validUntil(e aggregate.Entitlement, now time.Time, lease time.Duration) time.Time {
	until := now.Add(lease)
	for _, t := range []time.Time{e.ValidUntil, e.GraceUntil, e.CancelAt} {
		if t.After(now) && t.Before(until) {
			until = t
		}
	}
	return until.UTC()
}

// featureAnswer says whether an account has a feature, and what would give it.
type featureAnswer struct {
	aggregate.Feature
	Stale        bool   `json:"stale,omitempty"`
	StaleSeconds *int64 `json:"stale_seconds,omitempty"`
}

var errNoFeature = notFound("The catalog has no feature of this name.")

// feature answers GET /v1/entitlements/{account}/features/{feature}.
func (s *Server) feature(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	account, feature := p.accountInPath(), p.name("feature")
	if err := p.err(); err != nil {
		return err
	}
	e, err := s.entitlementOf(r.Context(), account)
	if err != nil {
		return err
	}
	answer, exists := e.Feature(feature, s.Catalog())
	if !exists {
		return errNoFeature
	}
	return writeJSON(w, featureAnswer{Feature: answer, Stale: e.Stale, StaleSeconds: e.StaleSeconds})
}
