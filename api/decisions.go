package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/decisions"
	"github.com/daybookhq/daybook/eventstore"
)

// Decider records what operators decide on accounts.
type Decider interface {
	// Decide records what follows from a command, waits for the read model to
	// know it, and returns how the account then stands. A command that changes
	// nothing records nothing. Errors are those of aggregate.Account.Decide,
	// and the store's.
	Decide(ctx context.Context, account string, command aggregate.Command) (aggregate.AccountTruth, error)
}

// The answers to commands that contradict what was decided before.
var (
	errNoWaiver      = notFound("The account has no waiver of this id.")
	errWaiverDiffers = problem(http.StatusConflict, "This Idempotency-Key was used for a waiver with other content.")
)

// decision is a request to decide something on an account.
type decision struct {
	*body
	params  *params
	account string
	actor   string
}

// decisionOf begins to read a request. A key that is bound to another account
// is refused before anything else is said.
func decisionOf(w http.ResponseWriter, r *http.Request) (*decision, error) {
	d := &decision{params: paramsOf(r), actor: actorOf(r.Context())}
	d.account = d.params.accountInPath()
	if len(d.params.faults) == 0 {
		if err := authorizeAccount(r.Context(), d.account); err != nil {
			return nil, err
		}
	}
	var err error
	if r.Method == http.MethodDelete && r.ContentLength == 0 {
		d.body = &body{}
	} else if d.body, err = readBodyOf(w, r); err != nil {
		return nil, err
	}
	return d, nil
}

// actorOf names who asks: the key's name.
func actorOf(ctx context.Context) string {
	if key, ok := ctx.Value(keyContext{}).(*Key); ok {
		return key.Name
	}
	return ""
}

// decide has a command carried out, unless anything is wrong with the request:
// then it tells all that is, and nothing is decided.
func (s *Server) decide(ctx context.Context, d *decision, command aggregate.Command) (aggregate.AccountTruth, error) {
	d.close()
	if err := d.params.err(); err != nil {
		d.faults = append(d.params.faults, d.faults...)
	}
	if len(d.faults) > 0 { // nothing is decided, but what else is wrong is told too
		catalogs := aggregate.Catalogs{}.With(aggregate.CatalogAdopted{Catalog: s.Catalog()})
		_, err := aggregate.NewAccount(d.account).Decide(command, catalogs, s.now())
		d.addFaults(err)
		return aggregate.AccountTruth{}, badRequest(d.faults...)
	}
	truth, err := s.Decider.Decide(ctx, d.account, command)
	d.addFaults(err)
	switch {
	case len(d.faults) > 0:
		return truth, badRequest(d.faults...)
	case errors.Is(err, aggregate.ErrNoWaiver):
		return truth, errNoWaiver
	case errors.Is(err, aggregate.ErrWaiverDiffers):
		return truth, errWaiverDiffers
	}
	return truth, err
}

// addFaults adds what a command refuses, where the field is not faulty already.
func (d *decision) addFaults(err error) {
	for _, fault := range aggregate.CommandErrors(err) {
		if !d.has(fault.Field) {
			d.fault(fault.Field, fault.Reason)
		}
	}
}

// waiverAnswer is a waiver as the API shows it.
func (s *Server) waiverAnswer(truth aggregate.AccountTruth, id string) (decisions.Waiver, error) {
	i := slices.IndexFunc(truth.Waivers, func(w aggregate.Waiver) bool { return w.ID == id })
	if i < 0 {
		return decisions.Waiver{}, errors.New("a waiver that was decided on is not there")
	}
	w := truth.Waivers[i]
	return decisions.Waiver{Account: truth.Account, Waiver: w, InEffect: w.InForce(s.now())}, nil
}

// grantWaiver answers POST /v1/accounts/{account}/waivers.
func (s *Server) grantWaiver(w http.ResponseWriter, r *http.Request) error {
	d, err := decisionOf(w, r)
	if err != nil {
		return err
	}
	grant := aggregate.GrantWaiver{ID: d.waiverID(r.Header.Values(idempotencyHeader)), Actor: d.actor,
		Tier: d.text("tier"), Reason: d.text("reason"), ExpiresAt: d.moment("expires_at")}
	truth, err := s.decide(r.Context(), d, grant)
	if err != nil {
		return err
	}
	answer, err := s.waiverAnswer(truth, grant.ID)
	if err != nil {
		return err
	}
	return writeJSONStatus(w, http.StatusCreated, answer)
}

const (
	idempotencyHeader = "Idempotency-Key"
	maxIdempotencyKey = 255
)

// waiverID names a new waiver. With an idempotency key it follows from that, so
// that a request sent again grants nothing more; keys of different callers never
// meet.
func (d *decision) waiverID(keys []string) string {
	if len(keys) == 0 {
		var random [16]byte
		_, _ = rand.Read(random[:]) // never fails
		return "wvr_" + hex.EncodeToString(random[:])
	}
	key := d.idempotencyKey(keys)
	sum := sha256.Sum256([]byte(d.account + "\x00" + d.actor + "\x00" + key))
	return "wvr_" + hex.EncodeToString(sum[:16])
}

// idempotencyKey is the one that a request was sent with, empty if it was not.
func (b *body) idempotencyKey(keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	key := keys[0]
	foreign := func(c rune) bool { return c < 0x20 || c > 0x7e }
	if len(keys) > 1 || key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, foreign) {
		b.fault(idempotencyHeader, "wants 1 to 255 printable ASCII characters, once")
	}
	return key
}

// revokeWaiver answers DELETE /v1/accounts/{account}/waivers/{waiver}. The
// reason is a parameter, or stands in a body for those who can send one.
func (s *Server) revokeWaiver(w http.ResponseWriter, r *http.Request) error {
	d, err := decisionOf(w, r)
	if err != nil {
		return err
	}
	revoke := aggregate.RevokeWaiver{ID: d.params.name("waiver"), Actor: d.actor, Reason: d.params.text("reason")}
	if d.fields != nil {
		revoke.Reason = d.text("reason")
	}
	truth, err := s.decide(r.Context(), d, revoke)
	if err != nil {
		return err
	}
	answer, err := s.waiverAnswer(truth, revoke.ID)
	if err != nil {
		return err
	}
	return writeJSON(w, answer)
}

// block answers POST /v1/accounts/{account}/block.
func (s *Server) block(w http.ResponseWriter, r *http.Request) error {
	return s.decideByReason(w, r, func(d *decision, reason string) aggregate.Command {
		return aggregate.BlockAccount{Reason: reason, Actor: d.actor}
	})
}

// unblock answers POST /v1/accounts/{account}/unblock.
func (s *Server) unblock(w http.ResponseWriter, r *http.Request) error {
	return s.decideByReason(w, r, func(d *decision, reason string) aggregate.Command {
		return aggregate.UnblockAccount{Reason: reason, Actor: d.actor}
	})
}

// extendGrace answers POST /v1/accounts/{account}/grace.
func (s *Server) extendGrace(w http.ResponseWriter, r *http.Request) error {
	return s.decideByReason(w, r, func(d *decision, reason string) aggregate.Command {
		return aggregate.ExtendGrace{Until: d.moment("until"), Reason: reason, Actor: d.actor}
	})
}

// decideByReason carries out a command that answers with the account's decisions.
func (s *Server) decideByReason(w http.ResponseWriter, r *http.Request, command func(*decision, string) aggregate.Command) error {
	d, err := decisionOf(w, r)
	if err != nil {
		return err
	}
	truth, err := s.decide(r.Context(), d, command(d, d.text("reason")))
	if err != nil {
		return err
	}
	return writeJSON(w, truth)
}

// waiverPage is a page of waivers, ordered by account, then as they were granted.
type waiverPage struct {
	Waivers []decisions.Waiver `json:"waivers"`
	// Next continues behind this page; it is missing on the last one.
	Next string `json:"next,omitempty"`
}

// listWaivers answers GET /v1/waivers, from the record itself: of one account,
// or of all; those in force, or all that ever were.
func (s *Server) listWaivers(w http.ResponseWriter, r *http.Request) error {
	p := paramsOf(r)
	account, limit, after := p.accountFilter(), p.limit(), p.after(s.cursors(waiversCursor, eventstore.Forwards))
	inForce := p.oneOf("in_force", "false", "true") == "true"
	if err := p.err(); err != nil {
		return err
	}
	if bound := boundAccount(r.Context()); bound != "" {
		if account != "" && account != bound {
			return errOtherAccount
		}
		account = bound
	}
	waivers, err := decisions.Waivers(r.Context(), s.Store, account, s.now())
	if err != nil {
		return err
	}
	// The place is looked for before the filter: what it names may have ended.
	waivers = behind(waivers, after)
	if inForce {
		waivers = slices.DeleteFunc(waivers, func(w decisions.Waiver) bool { return !w.InEffect })
	}
	page := waiverPage{Waivers: waivers}
	if len(waivers) > limit {
		page.Waivers = waivers[:limit]
		page.Next = s.cursors(waiversCursor, eventstore.Forwards).at(waiverPlace(waivers[limit-1]))
	}
	return writeJSON(w, page)
}

func waiverPlace(w decisions.Waiver) string { return w.Account + "\x00" + w.ID }

// behind returns the waivers after the one at a place. Waivers are never
// removed, so it is there.
func behind(waivers []decisions.Waiver, place string) []decisions.Waiver {
	if place == "" {
		return waivers
	}
	i := slices.IndexFunc(waivers, func(w decisions.Waiver) bool { return waiverPlace(w) == place })
	return waivers[i+1:]
}
