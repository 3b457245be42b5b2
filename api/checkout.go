package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/daybookhq/daybook/checkout"
	"github.com/daybookhq/daybook/intake/stripeapi"
)

// Where buyers are sent to Stripe from, and where they come back to.
const (
	sessionsPath = "/v1/checkout/sessions"
	sessionPath  = "/v1/checkout/sessions/{session}"
	portalPath   = "/v1/portal/sessions"
)

// The bounds of a request that Stripe is asked for.
const (
	// stripeTimeout is what Stripe may need for all that one request asks.
	stripeTimeout = 20 * time.Second
	// maxWait is the longest that a caller may wait for access.
	maxWait = 30 * time.Second
	// maxWaits bounds those that wait at once. Who comes then is answered at once.
	maxWaits = 256
)

var errNoStripe = problem(http.StatusNotImplemented, "This server sells nothing: it has no key of Stripe's API. The operator sets STRIPE_API_KEY.")

// saleAnswer says where a buyer is to be sent.
type saleAnswer struct {
	Kind      checkout.Kind `json:"kind"`
	SessionID string        `json:"session_id,omitempty"`
	URL       string        `json:"url"`
	// ExpiresAt is when a checkout session ends by itself.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// sell answers POST /v1/checkout/sessions.
func (s *Server) sell(w http.ResponseWriter, r *http.Request) error {
	b, err := s.saleOf(w, r)
	if err != nil {
		return err
	}
	o := checkout.Order{Account: b.account(), Tier: b.optional("tier"), Price: b.optional("price"), Interval: b.optional("interval"),
		Quantity: b.whole("quantity", checkout.MaxQuantity), Addons: b.addons(), TrialDays: b.whole("trial_days", checkout.MaxTrialDays),
		SuccessURL: b.text("success_url"), CancelURL: b.text("cancel_url"), Caller: b.caller(r)}
	if err := b.refuse(s.Checkout.Check(o)); err != nil {
		return err
	}
	sale, err := s.Checkout.Sell(r.Context(), o)
	if err != nil {
		return s.saleProblem(err)
	}
	return writeJSON(w, saleAnswer{Kind: sale.Kind, SessionID: sale.SessionID, URL: sale.URL, ExpiresAt: sale.ExpiresAt})
}

// openPortal answers POST /v1/portal/sessions.
func (s *Server) openPortal(w http.ResponseWriter, r *http.Request) error {
	b, err := s.saleOf(w, r)
	if err != nil {
		return err
	}
	account, back, caller := b.account(), b.text("return_url"), b.caller(r)
	if err := b.refuse(s.Checkout.CheckPortal(account, back)); err != nil {
		return err
	}
	url, err := s.Checkout.OpenPortal(r.Context(), account, back, caller)
	if err != nil {
		return s.saleProblem(err)
	}
	return writeJSON(w, map[string]string{"url": url})
}

// saleOf begins to read a request. A key that is bound to another account is
// refused before anything else is said.
func (s *Server) saleOf(w http.ResponseWriter, r *http.Request) (*body, error) {
	b, err := readBodyOf(w, r)
	if err != nil {
		return nil, err
	}
	if account := b.account(); !b.has("account") {
		if err := authorizeAccount(r.Context(), account); err != nil {
			return nil, err
		}
	}
	if s.Checkout == nil {
		return nil, errNoStripe
	}
	var of *Problem
	if errors.As(paramsOf(r).err(), &of) {
		b.faults = append(b.faults, of.Errors...)
	}
	outlive(w, stripeTimeout)
	return b, nil
}

// outlive lifts the server's deadlines for one request that takes its time. A
// connection that has none is one of a test.
func outlive(w http.ResponseWriter, d time.Duration) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Now().Add(d + queryTimeout))
}

// caller names who asks, and the key that it sent.
func (b *body) caller(r *http.Request) checkout.Caller {
	return checkout.Caller{Name: actorOf(r.Context()), Key: b.idempotencyKey(r.Header.Values(idempotencyHeader))}
}

// refuse answers a request with all that is wrong with it: as a bad one, if it
// cannot be read, and else as one for what cannot be had.
func (b *body) refuse(faults checkout.Faults) error {
	b.close()
	unreadable := len(b.faults) > 0
	for _, f := range faults {
		if !b.has(f.Field) {
			b.fault(f.Field, f.Reason)
		}
	}
	switch {
	case unreadable:
		return badRequest(b.faults...)
	case len(b.faults) > 0:
		return unprocessable(b.faults...)
	}
	return nil
}

// unprocessable lists why what was asked for cannot be had.
func unprocessable(faults ...Fault) *Problem {
	p := problem(http.StatusUnprocessableEntity, "What is asked for cannot be had; errors lists each reason.")
	p.Errors = faults
	return p
}

// addons reads how many of which add-ons are to be bought beside a tier.
func (b *body) addons() map[string]int64 {
	const want = `wants an object of whole numbers, like {"extra_seats": 5}`
	var raw map[string]json.RawMessage
	if !b.field("addons", &raw, want) {
		return nil
	}
	if name, twice := repeated(b.fields["addons"]); twice {
		b.fault("addons."+printable(name), "is there more than once")
	}
	if len(raw) > checkout.MaxAddons {
		b.fault("addons", fmt.Sprintf("wants at most %d", checkout.MaxAddons))
		return nil
	}
	addons := map[string]int64{}
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		var n int64
		if json.Unmarshal(raw[name], &n) != nil || n < 1 || n > checkout.MaxQuantity {
			b.fault("addons."+printable(name), wholeReason(checkout.MaxQuantity))
		}
		addons[name] = n
	}
	return addons
}

// checkoutAnswer is how a checkout stands.
type checkoutAnswer struct {
	SessionID string `json:"session_id"`
	Account   string `json:"account,omitempty"`
	// Status is "pending", "granted", "failed", "ended" or "expired".
	Status checkout.Stage `json:"status"`
	// Detail says, in a sentence, why nothing is to be waited for.
	Detail string `json:"detail,omitempty"`
	// PaymentStatus is Stripe's: "paid", "unpaid" or "no_payment_required".
	PaymentStatus  string `json:"payment_status,omitempty"`
	SubscriptionID string `json:"subscription_id,omitempty"`
	// Entitlement is there once the subscription is posted, whatever it grants.
	Entitlement *entitlementAnswer `json:"entitlement,omitempty"`
}

// checkoutSession answers GET /v1/checkout/sessions/{session}: at once, or, with
// wait, as soon as what was bought gives access.
func (s *Server) checkoutSession(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	id, wait := p.name("session"), p.wait()
	if err := p.err(); err != nil {
		return err
	}
	if s.Checkout == nil {
		return errNoStripe
	}
	outlive(w, wait+stripeTimeout)
	st, err := s.lookAt(r.Context(), id)
	if err != nil {
		return err
	}
	if wait > 0 && st.Stage == checkout.Pending {
		if st, err = s.await(r.Context(), st, wait); err != nil {
			return s.saleProblem(err)
		}
		if err := authorizeAccount(r.Context(), st.Account); err != nil {
			return err
		}
	}
	answer := checkoutAnswer{SessionID: st.Session.ID, Account: st.Account, Status: st.Stage, Detail: st.Detail,
		PaymentStatus: st.Session.PaymentStatus, SubscriptionID: st.Session.Subscription}
	if st.Posted {
		e, err := s.entitlementOf(r.Context(), st.Account)
		if err != nil {
			return err
		}
		answer.Entitlement = &e
	}
	return writeJSON(w, answer)
}

// lookAt finds a session. A key that is bound to an account is not told whether
// there is one of another.
func (s *Server) lookAt(ctx context.Context, id string) (checkout.Standing, error) {
	missing := notFound("There is no such checkout session.")
	if boundAccount(ctx) != "" {
		missing = errOtherAccount
	}
	if !checkout.IsSession(id) {
		return checkout.Standing{}, missing
	}
	asking, cancel := context.WithTimeout(ctx, stripeTimeout)
	defer cancel()
	st, err := s.Checkout.Look(asking, id)
	switch {
	case stripeapi.IsKind(err, stripeapi.NotFound):
		return st, missing
	case err != nil:
		return st, s.saleProblem(err)
	}
	return st, authorizeAccount(ctx, st.Account)
}

// await waits for access, unless too many wait already or the server ends.
func (s *Server) await(ctx context.Context, st checkout.Standing, wait time.Duration) (checkout.Standing, error) {
	select {
	case s.waits <- struct{}{}:
		defer func() { <-s.waits }()
	default:
		return st, nil
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	go func() { // it ends with ctx
		select {
		case <-s.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	return s.Checkout.Await(ctx, st)
}

// wait is for how long a caller waits, 0 if it does not.
func (p *params) wait() time.Duration {
	text := p.text("wait")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxWait {
		p.fault("wait", fmt.Sprintf("wants a duration from 0s to %s, like 10s", maxWait))
	}
	return d
}

// saleProblem is the answer to what came of an order. What an operator must mend,
// or may have to, is logged, because whoever asked cannot.
func (s *Server) saleProblem(err error) error {
	var faults checkout.Faults
	var asked *stripeapi.Error
	switch {
	case errors.As(err, &faults):
		return (&body{}).refuse(faults)
	case errors.Is(err, checkout.ErrBlocked):
		return problem(http.StatusConflict, "The account is blocked, and would pay for nothing.")
	case errors.Is(err, checkout.ErrBusy):
		return unavailable("Too many orders of the account are under way already.")
	case errors.Is(err, checkout.ErrKeySpent):
		return problem(http.StatusConflict, "The session that this Idempotency-Key made is over; use another key for another session.")
	case !errors.As(err, &asked):
		return err
	}
	p := stripeProblem(asked)
	switch p.Status {
	case http.StatusBadGateway:
		s.Log.WithError(asked).Error("Stripe's API cannot be used")
	case http.StatusUnprocessableEntity:
		s.Log.WithError(asked).Warn("Stripe refuses what it was asked for")
	}
	return p
}

// stripeProblem is the answer to trouble with Stripe's API.
func stripeProblem(e *stripeapi.Error) *Problem {
	p := problem(stripeStatus(e), "Daybook "+e.Error()+".")
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusGatewayTimeout {
		p.retryAfter = max(retryAfterSeconds, int(math.Ceil(e.RetryAfter().Seconds())))
	}
	return p
}

func stripeStatus(e *stripeapi.Error) int {
	switch e.Kind {
	case stripeapi.Unavailable:
		if errors.Is(e, context.DeadlineExceeded) {
			return http.StatusGatewayTimeout
		}
		return http.StatusServiceUnavailable
	case stripeapi.RateLimited:
		return http.StatusServiceUnavailable
	case stripeapi.KeyReused:
		return http.StatusConflict
	case stripeapi.BadKey, stripeapi.Forbidden, stripeapi.WrongMode, stripeapi.Unreadable:
		return http.StatusBadGateway // the operator's to mend
	}
	switch e.Status {
	case http.StatusPaymentRequired, http.StatusConflict:
		return e.Status
	}
	return http.StatusUnprocessableEntity
}
