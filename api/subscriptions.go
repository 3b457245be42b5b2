package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
)

// subscriptionPage is a page of subscriptions, ordered by id.
type subscriptionPage struct {
	Subscriptions []projections.SubscriptionRecord `json:"subscriptions"`
	// Next continues behind this page; it is missing on the last one.
	Next string `json:"next,omitempty"`
}

// listSubscriptions answers GET /v1/subscriptions.
func (s *Server) listSubscriptions(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	filter := projections.SubscriptionFilter{
		Status: p.status(), Account: p.accountFilter(), Customer: p.customerFilter(),
		Tier: p.text("tier"), Flag: p.text("flag"), After: p.after(s.cursors(subscriptionsCursor, eventstore.Forwards)),
	}
	limit := p.limit()
	if err := p.err(); err != nil {
		return err
	}
	if bound := boundAccount(r.Context()); bound != "" {
		if filter.Account != "" && filter.Account != bound {
			return errOtherAccount
		}
		filter.Account = bound
	}
	filter.Limit = limit + 1 // the one too many tells that there is a next page
	rows, err := s.Model.Subscriptions(r.Context(), filter)
	if err != nil {
		return err
	}
	page := subscriptionPage{Subscriptions: rows}
	if len(rows) > limit {
		page.Subscriptions = rows[:limit]
		page.Next = s.cursors(subscriptionsCursor, eventstore.Forwards).at(rows[limit-1].ID)
	}
	if page.Subscriptions == nil {
		page.Subscriptions = []projections.SubscriptionRecord{}
	}
	return writeJSON(w, page)
}

// status is a subscription's status.
func (p *params) status() aggregate.Status {
	status := aggregate.Status(p.text("status"))
	if status != "" && !status.Known() {
		p.fault("status", "wants one of Stripe's subscription statuses, like active or past_due")
	}
	return status
}

// pastSubscription is a subscription as it was, with the times that were asked
// for.
type pastSubscription struct {
	projections.SubscriptionRecord
	AsOf    time.Time `json:"as_of,omitzero"`
	KnownAt time.Time `json:"known_at,omitzero"`
}

// subscription answers GET /v1/subscriptions/{subscription}: from the read
// model, or, with as_of or known_at, from the record.
func (s *Server) subscription(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	id, at := p.name("subscription"), p.moments()
	if err := p.err(); err != nil {
		return err
	}
	present, known, err := s.Model.Subscription(r.Context(), id)
	if err != nil {
		return err
	}
	if err := authorizeAccount(r.Context(), present.Account); err != nil {
		return err
	}
	if at.Past() {
		return s.subscriptionThen(w, r, id, at)
	}
	if !known {
		return notFound("There is no such subscription.")
	}
	return writeJSON(w, present)
}

// subscriptionThen answers from the record. A key that is bound to an account
// sees only what belonged to it then, too.
func (s *Server) subscriptionThen(w http.ResponseWriter, r *http.Request, id string, at projections.Moments) error {
	then, facts, err := projections.SubscriptionAt(r.Context(), s.Store, id, at)
	if errors.Is(err, eventstore.ErrStreamNotFound) {
		return notFound("There is no such subscription.")
	}
	if err != nil {
		return err
	}
	if facts == 0 {
		return notFound("Nothing was known of this subscription then.")
	}
	if err := authorizeAccount(r.Context(), then.Account); err != nil {
		return err
	}
	return writeJSON(w, pastSubscription{SubscriptionRecord: then, AsOf: at.AsOf, KnownAt: at.KnownAt})
}
