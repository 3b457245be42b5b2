package projections

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// This file holds what makes a read model out of events, as pure functions: the
// live path and a rebuild both go through them, and so agree.

// The events of posting- streams: the latest one of a stream says whether its
// Stripe event still waits to be posted.
const (
	postingFailed   = "PostingFailed"
	postingRepaired = "PostingRepaired"
	eventRepudiated = "EventRepudiated"
)

// postingSchema is the newest stored shape of those events that is understood.
const postingSchema = 1

// errNoRows is the fault of a stream of which no rows are made.
var errNoRows = errors.New("no row is made of such a stream")

// folded is what the events of one stream fold into. At rest it has no state: see
// wake.
type folded struct {
	kind Kind
	id   string
	// state takes the events in: subscription, facts or account, by kind.
	state interface {
		Grow(events int)
		Evolve(aggregate.Event, aggregate.Place)
		Position() uint64
	}
	subscription *aggregate.Subscription
	facts        *aggregate.FactSet
	account      *aggregate.Account

	// next is the revision behind the last event that was folded.
	next eventstore.Revision
	// told holds the ends of grace that notes tell of, in Unix nanoseconds.
	told map[int64]bool
	// events counts what was folded.
	events int
	// fresh are the events folded since it was last at rest, if it is ever to rest.
	fresh []aggregate.Event
	rests bool
	// position is that of the state before it rested.
	position uint64
	// written is what the model has of it, nil if that is not known.
	written *SubscriptionKeys
	// decoder may be nil.
	decoder *aggregate.Decoder
	// invoices are those that the model has under a subscription, nil if that
	// must be looked up.
	invoices []string
	// prices are all that the subscription ever held, named the accounts that its
	// facts, or a customer's, ever named.
	prices, named []string
}

func newFolded(stream eventstore.Stream) *folded {
	f := &folded{kind: Kind(stream.Category()), id: stream.ID()}
	f.begin()
	return f
}

// begin gives f the state before the first event.
func (f *folded) begin() {
	switch f.kind {
	case KindSubscription:
		f.subscription = aggregate.NewSubscription(f.id)
		f.state = f.subscription
	case KindAccount:
		f.account = aggregate.NewAccount(f.id)
		f.state = f.account
	default:
		f.facts = &aggregate.FactSet{}
		f.state = f.facts
	}
}

// rest drops the state, which is large, and returns the events folded since the
// last time.
func (f *folded) rest() []aggregate.Event {
	f.position = f.state.Position()
	fresh := f.fresh
	f.state, f.subscription, f.facts, f.account, f.fresh = nil, nil, nil, nil, nil
	return fresh
}

// wake gives f its state again, from all events that were folded into it.
func (f *folded) wake(events []aggregate.Event) {
	f.begin()
	f.state.Grow(len(events) + 1)
	for _, e := range events {
		f.state.Evolve(e, aggregate.Place{Position: f.position})
	}
}

// makesRows reports whether a stream becomes a row of the model.
func makesRows(stream eventstore.Stream) bool {
	switch Kind(stream.Category()) {
	case KindSubscription, KindAccount, KindClock, KindCustomer, KindBill, KindPayment:
		return true
	}
	return false
}

// fault is the first event of a stream that cannot be applied.
type fault struct {
	position eventstore.Position
	revision eventstore.Revision
	err      error
}

func (f *fault) park(stream eventstore.Stream, at time.Time) Parked {
	return Parked{Stream: stream, Position: f.position, Revision: f.revision, Error: f.err.Error(), ParkedAt: at.UTC()}
}

// take folds events in, in the order of their stream, up to the first that
// cannot be applied. Events that were folded before are passed over.
func (f *folded) take(events []eventstore.RecordedEvent) *fault {
	for i := range events {
		e := &events[i]
		if e.Revision < f.next {
			continue
		}
		if err := f.takeOne(e); err != nil {
			return &fault{position: e.Position, revision: e.Revision, err: err}
		}
		f.next = e.Revision + 1
		f.events++
	}
	return nil
}

func (f *folded) takeOne(e *eventstore.RecordedEvent) (err error) {
	defer recovered(&err)
	event, err := f.decoder.Decode(e.Type, e.Data)
	if err != nil {
		return err
	}
	// When we recorded the event is left out: no truth rests on it, and reading
	// metadata would make up a tenth of a rebuild.
	f.state.Evolve(event, aggregate.Place{Position: uint64(e.Position)})
	if f.rests {
		f.fresh = append(f.fresh, event)
	}
	if event.Fact != nil {
		f.takeNames(event.Fact)
	}
	if event.Fact != nil && event.Fact.Subscription != nil {
		f.takePrices(event.Fact.Subscription.Items)
	}
	if n := event.Note; n != nil && n.Type == aggregate.GracePeriodExpired {
		f.tell(n.Until)
	}
	return nil
}

func (f *folded) tell(end time.Time) {
	if f.told == nil {
		f.told = map[int64]bool{}
	}
	f.told[end.UnixNano()] = true
}

func (f *folded) takePrices(items []aggregate.Item) {
	for _, item := range items {
		if item.Price != "" && !slices.Contains(f.prices, item.Price) {
			f.prices = append(f.prices, item.Price)
		}
	}
}

// takeNames remembers the accounts that a fact says its subject belongs to, by
// whichever link. A later correction does not undo that it once was said.
func (f *folded) takeNames(fact *aggregate.Fact) {
	switch {
	case fact.Subscription != nil:
		f.name(fact.Subscription.Account, fact.Subscription.Customer)
	case fact.Invoice != nil && f.kind == KindSubscription:
		f.name(fact.Invoice.Account, fact.Invoice.Customer)
	case fact.Checkout != nil:
		f.name(fact.Checkout.Account, fact.Checkout.ClientReference, fact.Checkout.Customer)
	case fact.Customer != nil:
		f.name(fact.Customer.Account)
	}
}

func (f *folded) name(accounts ...string) {
	for _, account := range accounts {
		if account != "" && !slices.Contains(f.named, account) {
			f.named = append(f.named, account)
		}
	}
}

// namedBeside are those accounts from which nothing else leads here: neither the
// join, nor, where an account is named like a customer, that customer.
func (f *folded) namedBeside(found ...string) []string {
	var beside []string
	for _, account := range f.named {
		if !slices.Contains(found, account) {
			beside = append(beside, account)
		}
	}
	return beside
}

// row is what one stream becomes: one of the two rows is set.
type row struct {
	subscription *SubscriptionRow
	object       *ObjectRow
	// prices are all that the subscription ever held. They are shared.
	prices []string
}

// row derives what a model stores.
func (f *folded) row(c aggregate.Catalogs) (r row, err error) {
	defer recovered(&err)
	if f.kind == KindSubscription {
		s, err := newSubscriptionRow(f.subscription.Derive(c), f.told)
		joined := ""
		if s.Truth.Link.Rank < aggregate.LinkCustomer {
			joined = s.Account // whatever the customer claims
		}
		s.Named = f.namedBeside(joined, s.Customer)
		return row{subscription: &s, prices: f.prices}, err
	}
	var o ObjectRow
	if f.kind == KindAccount {
		o, err = ObjectRow{Kind: KindAccount, ID: f.id}.withDoc(f.account.Truth())
	} else {
		o, err = newObjectRow(f.kind, f.id, f.facts)
	}
	if f.kind == KindCustomer {
		o.Named = f.namedBeside(o.Account)
	}
	return row{object: &o}, err
}

// recovered turns a panic into an error, so that a fault that one stream's
// events lay open stops that stream, and no other.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v", p)
	}
}

// foldStream folds events into f and derives. Where an event cannot be
// applied, or nothing can be derived any more, the row is that of the events
// before, and the fault is returned. There is no row if not one event is left.
func foldStream(f *folded, events []eventstore.RecordedEvent, c aggregate.Catalogs, fresh func() (*folded, []eventstore.RecordedEvent, error)) (*row, *fault, error) {
	fault := f.take(events)
	if f.events == 0 {
		return nil, fault, nil
	}
	made, err := f.row(c)
	if err == nil {
		return &made, fault, nil
	}
	begin, all, err := fresh()
	if err != nil {
		return nil, nil, err
	}
	last, fault := lastDerivable(begin, all, c)
	return last, fault, nil
}

// lastDerivable folds events one by one and returns the row before the first
// after which nothing can be derived. It is slow, and there for faults of ours
// only; the answer does not depend on how events came in batches.
func lastDerivable(f *folded, events []eventstore.RecordedEvent, c aggregate.Catalogs) (*row, *fault) {
	var last *row
	for i := range events {
		if fault := f.take(events[i : i+1]); fault != nil {
			return last, fault
		}
		made, err := f.row(c)
		if err != nil {
			return last, &fault{position: events[i].Position, revision: events[i].Revision, err: err}
		}
		last = &made
	}
	return last, nil
}

// postingOutcome is what one posting- stream says.
type postingOutcome struct {
	known   bool     // at least one event could be read
	failure *Failure // nil: it was repaired, or repudiated
	fault   *fault
}

// foldPosting reads a stream's latest event; what came before it is superseded.
func foldPosting(stream eventstore.Stream, events []eventstore.RecordedEvent) postingOutcome {
	var out postingOutcome
	for i := range events {
		e := &events[i]
		failure, err := decodePosting(stream, e)
		if err != nil {
			out.fault = &fault{position: e.Position, revision: e.Revision, err: err}
			return out
		}
		out.known, out.failure = true, failure
	}
	return out
}

func decodePosting(stream eventstore.Stream, e *eventstore.RecordedEvent) (*Failure, error) {
	var stored struct {
		Schema    int       `json:"schema"`
		EventType string    `json:"event_type"`
		Reason    string    `json:"reason"`
		FailedAt  time.Time `json:"failed_at"`
	}
	if e.Type != postingFailed && e.Type != postingRepaired && e.Type != eventRepudiated {
		return nil, fmt.Errorf("decode %q: %w", e.Type, aggregate.ErrUnknownType)
	}
	if err := json.Unmarshal(e.Data, &stored); err != nil {
		return nil, fmt.Errorf("decode %s: %w", e.Type, err)
	}
	if stored.Schema > postingSchema {
		return nil, fmt.Errorf("decode %s: schema %d, this build reads up to %d", e.Type, stored.Schema, postingSchema)
	}
	if e.Type != postingFailed {
		return nil, nil
	}
	return &Failure{
		StripeEventID: stream.ID(), EventType: stored.EventType, Reason: stored.Reason,
		Position: e.Position, FailedAt: stored.FailedAt.UTC(),
	}, nil
}

// checkCatalog reports an event of the catalogs' stream that cannot be applied.
func checkCatalog(e *eventstore.RecordedEvent) error {
	_, err := aggregate.Catalogs{}.Evolve(e.Type, e.Data)
	return err
}

// checkOther reads an event of a stream that adds nothing to the model yet: one
// that this build does not know might.
func checkOther(events []eventstore.RecordedEvent) *fault {
	for i := range events {
		if _, err := aggregate.Decode(events[i].Type, events[i].Data); err != nil {
			return &fault{position: events[i].Position, revision: events[i].Revision, err: err}
		}
	}
	return nil
}
