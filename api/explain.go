package api

import (
	"errors"
	"net/http"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
)

// ExplanationAnswer is an explanation, and the store in which its positions count.
type ExplanationAnswer struct {
	*aggregate.Explanation
	Epoch string `json:"epoch"`
}

// explain answers GET /v1/entitlements/{account}/explain: why an account may do
// what it may, now, or at a time of Stripe's; known_at leaves out what was
// recorded later.
func (s *Server) explain(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	q := projections.Question{Account: p.accountInPath(), Feature: p.text("feature"),
		At: projections.Moments{AsOf: p.moment("at"), KnownAt: p.moment("known_at")}}
	if err := p.err(); err != nil {
		return err
	}
	if _, err := s.entitlementOf(r.Context(), q.Account); err != nil {
		return err // it is another's, or the model cannot be asked
	}
	x, err := projections.Explain(r.Context(), s.Store, s.Model, q, s.now())
	if errors.Is(err, projections.ErrNoFeature) {
		return errNoFeature
	}
	if err != nil {
		return err
	}
	return writeJSON(w, ExplanationAnswer{Explanation: x, Epoch: s.Epoch})
}
