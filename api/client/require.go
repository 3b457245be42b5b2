package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/daybookhq/daybook/aggregate"
)

// Refusal is the body of an answer by Require: application/problem+json, RFC 9457,
// with what would give the feature.
type Refusal struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail is a sentence for a person.
	Detail  string           `json:"detail"`
	Feature string           `json:"feature"`
	Reason  aggregate.Reason `json:"reason,omitempty"`
	// CurrentTier is the account's; RequiredTier the lowest that has the feature, and
	// UpgradeURL where to get it, as far as they are known.
	CurrentTier  string `json:"current_tier,omitempty"`
	RequiredTier string `json:"required_tier,omitempty"`
	UpgradeURL   string `json:"upgrade_url,omitempty"`
}

// unknownRetryAfter is after how many seconds a request may come again that was
// refused because nothing was known.
const unknownRetryAfter = 5

// Require lets requests through whose account may use a feature. account tells
// whose a request is, by what the program has established; empty if nobody's.
//
// What is refused is answered with a Refusal: 402 where the feature can be bought,
// 403 where an operator has blocked the account or the request is nobody's. Where
// nothing is known, FailOpen lets through, and FailClosed answers 503. A mistake,
// as a feature that does not exist, is 500 under either; Report is told of it.
func (c *Client) Require(feature string, account func(*http.Request) string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if refusal := c.decide(r, account(r), feature); refusal != nil {
				refusal.write(w)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// decide returns nil for a request that is let through.
func (c *Client) decide(r *http.Request, account, feature string) *Refusal {
	if account == "" {
		return refuse(http.StatusForbidden, feature, "This request belongs to no account.")
	}
	answer, err := c.Feature(r.Context(), account, feature)
	switch {
	case err != nil:
		if r.Context().Err() == nil { // else nobody waits for an answer
			c.report(r.Context(), fmt.Errorf("whether %q may use %q: %w", account, feature, err))
		}
		return refuse(http.StatusInternalServerError, feature, "It cannot be decided whether this account has the feature.")
	case answer.Allowed:
		return nil
	case answer.Unknown != nil:
		return refuse(http.StatusServiceUnavailable, feature, "It is not known at the moment whether this account has the feature.")
	}
	return denied(answer.Feature)
}

// denied is the refusal of what an account may not use.
func denied(f aggregate.Feature) *Refusal {
	status, detail := http.StatusPaymentRequired, "This account does not have the feature."
	switch {
	case f.Reason == aggregate.ReasonBlocked:
		status, detail = http.StatusForbidden, "This account is blocked."
	case f.RequiredTier != "":
		detail = fmt.Sprintf("This account does not have the feature; the tier %s does.", f.RequiredTier)
	}
	refusal := refuse(status, f.Feature, detail)
	refusal.Reason, refusal.CurrentTier, refusal.RequiredTier, refusal.UpgradeURL = f.Reason, f.CurrentTier, f.RequiredTier, f.UpgradeURL
	return refusal
}

func refuse(status int, feature, detail string) *Refusal {
	return &Refusal{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Feature: feature}
}

func (f *Refusal) write(w http.ResponseWriter) {
	body, err := json.Marshal(f)
	if err != nil {
		panic(errors.New("a refusal is plain data: " + err.Error()))
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	if f.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(unknownRetryAfter))
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write(body) // whoever has gone away misses it
}
