package api

import (
	"context"
	"net/http"
	"time"

	"github.com/daybookhq/daybook/projections"
)

// accountAnswer is an account with all that belongs to it: links, subscriptions,
// what operators decided, and the sums of its payments.
type accountAnswer struct {
	projections.AccountRecord
	Entitlement entitlementAnswer `json:"entitlement"`
	AsOf        time.Time         `json:"as_of,omitzero"`
	KnownAt     time.Time         `json:"known_at,omitzero"`
}

var errNoAccount = notFound("Nothing is known of this account.")

// account answers GET /v1/accounts/{account}: from the read model, or, with as_of
// or known_at, from the record. Unlike an entitlement, which every account has,
// an account that nothing is known of is not found.
func (s *Server) account(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	account, at := p.accountInPath(), p.moments()
	if err := p.err(); err != nil {
		return err
	}
	if at.Past() {
		return s.accountThen(r.Context(), w, account, at)
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
		return errNoAccount
	}
	return writeJSON(w, accountAnswer{AccountRecord: record, Entitlement: e})
}

func (s *Server) accountThen(ctx context.Context, w http.ResponseWriter, account string, at projections.Moments) error {
	record, known, e, err := s.recordThen(ctx, account, at)
	if err != nil {
		return err
	}
	if !known {
		return notFound("Nothing was known of this account then.")
	}
	return writeJSON(w, accountAnswer{AccountRecord: record, Entitlement: e, AsOf: at.AsOf, KnownAt: at.KnownAt})
}

// recordThen reads from the record what an account was, and might do, then.
func (s *Server) recordThen(ctx context.Context, account string, at projections.Moments) (record projections.AccountRecord, known bool, e entitlementAnswer, err error) {
	present, err := s.entitlementOf(ctx, account) // it tells too whether the model can be asked
	if err != nil {
		return record, false, e, err
	}
	if record, known, err = projections.AccountThen(ctx, s.Store, s.Model, account, at); err != nil {
		return record, false, e, err
	}
	catalogs, err := projections.CatalogsAt(ctx, s.Store, at)
	if err != nil {
		return record, false, e, err
	}
	record.Account = account
	e.Entitlement = record.Entitle(catalogs, at.Now(s.now()))
	e.Epoch, e.Livemode, e.KnownAt = present.Epoch, present.Livemode, at.KnownAt
	e.ValidUntil = time.Time{} // the past is no lease
	return record, known, e, nil
}
