package api

import (
	"net/http"

	"github.com/daybookhq/daybook/projections"
)

// accountAnswer is an account with all that belongs to it: links, subscriptions,
// what operators decided, and the sums of its payments.
type accountAnswer struct {
	projections.AccountRecord
	Entitlement entitlementAnswer `json:"entitlement"`
}

// account answers GET /v1/accounts/{account}. Unlike an entitlement, which every
// account has, an account that nothing is known of is not found.
func (s *Server) account(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	account := p.accountInPath()
	if err := p.err(); err != nil {
		return err
	}
	e, err := s.entitlementOf(r.Context(), account)
	if err != nil {
		return err
	}
	record, known, err := s.Model.Account(r.Context(), account)
	if err != nil {
		return err
	}
	if !known {
		return notFound("Nothing is known of this account.")
	}
	return writeJSON(w, accountAnswer{AccountRecord: record, Entitlement: e})
}
