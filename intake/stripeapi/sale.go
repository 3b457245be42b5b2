package stripeapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"
)

// Portals is where portal sessions are made; Stripe lists none.
var Portals = Resource{"billing_portal.session", "/v1/billing_portal/sessions", "portal sessions"}

// SessionStatus is how a checkout session stands.
type SessionStatus string

// The statuses.
const (
	SessionOpen     SessionStatus = "open"
	SessionComplete SessionStatus = "complete"
	SessionExpired  SessionStatus = "expired"
)

// Session is a checkout session: the page at Stripe where somebody buys.
type Session struct {
	Object
	Status SessionStatus
	// URL is where the buyer is sent, empty once the session is not open.
	URL string
	// PaymentStatus is "paid", "unpaid" or "no_payment_required".
	PaymentStatus string
	Customer      string
	// Subscription is what was bought, empty until then.
	Subscription string
	Metadata     map[string]string
	ExpiresAt    time.Time
	// Replayed says that this is what an earlier request of the same idempotency key
	// was answered; how the session stands now is to be asked.
	Replayed bool
}

// Line is so many of a price.
type Line struct {
	Price string
	// Quantity is 0 for a price that bills usage.
	Quantity int64
}

// SessionOrder is what a checkout session is to be.
type SessionOrder struct {
	Customer string
	Lines    []Line
	// TrialDays is 0 for none.
	TrialDays             int64
	SuccessURL, CancelURL string
	// ClientReference may be empty.
	ClientReference string
	// Metadata is the session's, SubscriptionMetadata that of what is bought.
	Metadata, SubscriptionMetadata map[string]string
}

// params are the order in Stripe's words.
func (o *SessionOrder) params() *stripe.CheckoutSessionParams {
	p := &stripe.CheckoutSessionParams{
		Mode: stripe.String(string(stripe.CheckoutSessionModeSubscription)), Customer: stripe.String(o.Customer),
		SuccessURL: stripe.String(o.SuccessURL), CancelURL: stripe.String(o.CancelURL), Metadata: o.Metadata,
		SubscriptionData: &stripe.CheckoutSessionSubscriptionDataParams{Metadata: o.SubscriptionMetadata},
	}
	for _, l := range o.Lines {
		line := &stripe.CheckoutSessionLineItemParams{Price: stripe.String(l.Price)}
		if l.Quantity > 0 {
			line.Quantity = stripe.Int64(l.Quantity)
		}
		p.LineItems = append(p.LineItems, line)
	}
	if o.TrialDays > 0 {
		p.SubscriptionData.TrialPeriodDays = stripe.Int64(o.TrialDays)
	}
	if o.ClientReference != "" {
		p.ClientReferenceID = stripe.String(o.ClientReference)
	}
	return p
}

// CreateSession makes a checkout session. Two requests of one idempotency key
// make one session; they must be alike, or the error is of the kind KeyReused.
func (c *Client) CreateSession(ctx context.Context, o SessionOrder, key string) (Session, error) {
	const doing = "create a checkout session"
	made, err := c.create(ctx, request{path: Sessions.Path, form: formOf(o.params()), idempotencyKey: key, doing: doing})
	if err != nil {
		return Session{}, err
	}
	s, err := decodeSession(made.Object, doing)
	if err == nil && s.URL == "" {
		err = &Error{Kind: Unreadable, Doing: doing}
	}
	s.Replayed = made.replayed
	return s, err
}

// Session returns one checkout session, as it stands now. One that never was is
// an error of the kind NotFound.
func (c *Client) Session(ctx context.Context, id string) (Session, error) {
	o, err := c.Fetch(ctx, Sessions, id)
	if err != nil {
		return Session{}, err
	}
	return decodeSession(o, Sessions.fetching(id))
}

// SessionsOf lists the newest hundred checkout sessions of a customer, the newest
// first.
func (c *Client) SessionsOf(ctx context.Context, customer string) ([]Session, error) {
	page, err := c.page(ctx, Listing{Resource: Sessions, Where: map[string]string{"customer": customer}})
	if err != nil {
		return nil, err
	}
	sessions := make([]Session, len(page.Objects))
	for i, o := range page.Objects {
		if sessions[i], err = decodeSession(o, Sessions.listing()); err != nil {
			return nil, err
		}
	}
	return sessions, nil
}

// ExpireSession ends an open checkout session, so that nobody buys by it any
// more. One that is not open is an error of the kind Refused.
func (c *Client) ExpireSession(ctx context.Context, id string) error {
	_, err := c.create(ctx, request{path: Sessions.at(id) + "/expire", idempotencyKey: uuid.NewString(), doing: "expire the checkout session " + id})
	return err
}

// CreatePortal makes a portal session, where a customer sees to what it has, and
// returns its address, which lasts some minutes.
func (c *Client) CreatePortal(ctx context.Context, customer, returnURL, key string) (string, error) {
	const doing = "create a portal session"
	params := &stripe.BillingPortalSessionParams{Customer: stripe.String(customer), ReturnURL: stripe.String(returnURL)}
	made, err := c.create(ctx, request{path: Portals.Path, form: formOf(params), idempotencyKey: key, doing: doing})
	if err != nil {
		return "", err
	}
	var wire struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal(made.Raw, &wire); err != nil || wire.URL == "" {
		return "", &Error{Kind: Unreadable, Doing: doing}
	}
	return wire.URL, nil
}

// made is an object that was made, or was made by an earlier request.
type made struct {
	Object
	replayed bool
}

// create asks for something to be made. Without an idempotency key it must not be
// asked, because it may be asked more than once.
func (c *Client) create(ctx context.Context, q request) (made, error) {
	q.method = http.MethodPost
	got, err := c.ask(ctx, q)
	if err != nil {
		return made{}, err
	}
	o, err := c.object(got.body, got.askedAt, q.doing)
	return made{o, got.replayed}, err
}

// formOf writes parameters of stripe-go's in Stripe's form.
func formOf(params any) *form.Values {
	f := &form.Values{}
	form.AppendTo(f, params)
	return f
}

func decodeSession(o Object, doing string) (Session, error) {
	var wire struct {
		Status        SessionStatus     `json:"status"`
		URL           string            `json:"url"`
		PaymentStatus string            `json:"payment_status"`
		Customer      string            `json:"customer"`
		Subscription  string            `json:"subscription"`
		Metadata      map[string]string `json:"metadata"`
		ExpiresAt     int64             `json:"expires_at"`
	}
	if err := json.Unmarshal(o.Raw, &wire); err != nil {
		return Session{}, &Error{Kind: Unreadable, Doing: doing}
	}
	return Session{Object: o, Status: wire.Status, URL: wire.URL, PaymentStatus: wire.PaymentStatus, Customer: wire.Customer,
		Subscription: wire.Subscription, Metadata: wire.Metadata, ExpiresAt: time.Unix(wire.ExpiresAt, 0).UTC()}, nil
}
