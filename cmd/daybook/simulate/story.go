package simulate

import (
	"math/rand/v2"
	"time"
)

// event is one Stripe event, rendered.
type event struct {
	id, typ, version          string
	account                   string
	created                   int64
	object, previous          object
	requestID, idempotencyKey string
	body                      []byte
}

// naming is how a subscription says which account it belongs to.
type naming int

const (
	// nameInMetadata: the subscription's metadata, and the session's.
	nameInMetadata naming = iota
	// nameInSession: only the checkout session's metadata.
	nameInSession
	// nameInReference: only the session's client_reference_id.
	nameInReference
	// nameNowhere: only the customer id is known.
	nameNowhere
)

// story plays one lifecycle: it has the time, the customer, and the
// subscriptions in their present state, and writes down an event for each move.
type story struct {
	options   Options
	rng       *rand.Rand
	letters   []byte // what ids are written with
	lifecycle string
	account   string
	key       string
	customer  *customer
	// first is the API version of the endpoint until switchAt, second after.
	first, second generation
	switchAt      int64

	now, start, end int64
	subscriptions   []*subscription
	payments        []*payment
	accounts        []string
	// strangers are the customers of whom nothing may be known, connected is the
	// Stripe account that the events come from, empty for the endpoint's own.
	strangers []*customer
	connected string
	events    []event
}

// newStory casts lifecycle number i. Each has a generator of its own, so that
// it is the same however many others there are.
func newStory(o Options, i int) *story {
	s := &story{
		options: o, rng: rand.New(rand.NewPCG(o.Seed, uint64(i)+1)), letters: lettersOf(o),
		account: accountName(o, i), key: o.AccountKey, start: o.Start.Unix(), end: o.End.Unix(),
	}
	s.customer = s.newCustomer(i + 1)
	if i%10 == 9 {
		s.key = "community_id"
	}
	s.accounts = []string{s.account}
	s.castGenerations()
	return s
}

// castGenerations picks the API versions: two in five endpoints are old, two
// in five new, the rest are upgraded somewhere within the history.
func (s *story) castGenerations() {
	older, modern := pick(s, olderGenerations), pick(s, modernGenerations)
	s.first, s.second = older, modern
	switch n := s.rng.IntN(5); {
	case n < 2:
		s.second = older
	case n < 4:
		s.first = modern
	default:
		s.switchAt = s.end - s.rng.Int64N(int64(60*24*time.Hour/time.Second))
	}
}

// play runs a lifecycle to its end.
func (s *story) play(l lifecycle) {
	s.lifecycle = l.name
	l.script(s)
	s.strange()
}

// generation is the one in force now.
func (s *story) generation() generation {
	if s.now < s.switchAt {
		return s.first
	}
	return s.second
}

// pick draws one of several.
func pick[T any](s *story, from []T) T { return from[s.rng.IntN(len(from))] }

func (s *story) chance(p float64) bool { return s.rng.Float64() < p }

// between draws a number of seconds.
func (s *story) between(low, high time.Duration) int64 {
	return int64(low/time.Second) + s.rng.Int64N(int64((high-low)/time.Second))
}

// wait lets time pass.
func (s *story) wait(low, high time.Duration) { s.now += s.between(low, high) }

// span is the length of a duration in whole seconds.
func span(d time.Duration) int64 { return int64(d / time.Second) }

// origin tells who caused an event.
type origin int

const (
	// byStripe: billing itself; the event's request is null.
	byStripe origin = iota
	// byRequest: a call to the API, the portal or the dashboard.
	byRequest
)

// emit writes down an event that happens now.
func (s *story) emit(typ string, o object, before object, who origin) {
	e := event{id: "evt_1" + s.token(23), typ: typ, version: s.generation().version, created: s.now, object: o, previous: before}
	if who == byRequest {
		e.requestID = "req_" + s.token(14)
		e.idempotencyKey = "stripe-node-retry-" + s.token(22)
	}
	e.account = s.connected
	e.body = envelope(e, s.options.Livemode)
	e.object, e.previous = nil, nil
	s.events = append(s.events, e)
}

func (s *story) show(sub *subscription) object {
	return subscriptionObject(sub, s.generation(), s.options.Livemode)
}

func (s *story) showInvoice(i *invoice) object {
	return invoiceObject(i, s.generation(), s.options.Livemode)
}

func (s *story) showCustomer() object { return customerObject(s.customer, s.options.Livemode) }

// change moves a subscription, and tells of it by customer.subscription.updated.
func (s *story) change(sub *subscription, who origin, move func()) {
	before := s.show(sub)
	move()
	after := s.show(sub)
	s.emit("customer.subscription.updated", after, previous(before, after), who)
}

// accountEnd is what a lifecycle left behind for one account.
type accountEnd struct {
	account, lifecycle string
	subscriptions      []*subscription
	payments           []*payment
}

// ends lists what the story left behind, account by account.
func (s *story) ends() []accountEnd {
	var ends []accountEnd
	for _, account := range s.accounts {
		end := accountEnd{account: account, lifecycle: s.lifecycle}
		for _, sub := range s.subscriptions {
			if sub.owner == account {
				end.subscriptions = append(end.subscriptions, sub)
			}
		}
		for _, p := range s.payments {
			if p.owner() == account {
				end.payments = append(end.payments, p)
			}
		}
		ends = append(ends, end)
	}
	return ends
}
