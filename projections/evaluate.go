package projections

import (
	"errors"
	"hash/maphash"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// evaluator writes entitlements.
type evaluator struct {
	catalogs aggregate.Catalogs
	epoch    string
	livemode bool
	// marks spares it to look for what is not there.
	marks *marks
}

// evaluate writes an account's entitlement at now, and returns it; without a Doc
// if there is none any more. Truths in known, by id, were just written.
func (v *evaluator) evaluate(tx Tx, account string, known map[string]aggregate.SubscriptionTruth, now time.Time) (EntitlementRow, error) {
	gone := EntitlementRow{Account: account}
	h, err := holdingOf(screened{tx, v.marks}, account, known, true)
	if err != nil {
		return gone, err
	}
	if !h.entitles() {
		return gone, tx.DropEntitlement(account)
	}
	row, err := v.row(account, h, now)
	if err != nil {
		return gone, err
	}
	return row, tx.PutEntitlement(row)
}

func (v *evaluator) row(account string, h *holding, now time.Time) (EntitlementRow, error) {
	e, until := h.entitle(account, v.catalogs, now)
	e.Epoch, e.Livemode = v.epoch, v.livemode
	return newEntitlementRow(e, until)
}

// marks remember which objects may be there at all, so that the many accounts
// that have none of a kind cost no look at the model. A mark may stand for
// something that is gone, or for nothing; what is there is always marked.
type marks struct {
	seed maphash.Seed
	set  map[mark]struct{}
	// all says that there were too many to remember: everything counts as marked.
	all bool
}

type mark uint64

// mostMarks bounds the memory of marks to about 40 MB.
const mostMarks = 1 << 20

// Of what there are marks.
const (
	markDecided  = 'd' // accounts that operators decided on
	markClaimed  = 'a' // accounts that customers claim
	markClaiming = 'c' // customers that claim an account
	markClock    = 't' // clocks
	markInvoice  = 'i' // invoices of noted objects
	markCustomer = 'p' // customers of noted objects
	markPrice    = '$' // prices that subscriptions ever held
	markCharge   = 'h' // charges by which streams are named; kept apart from the others
)

func newMarks() *marks {
	return &marks{seed: maphash.MakeSeed(), set: map[mark]struct{}{}}
}

func (m *marks) of(kind byte, id string) mark {
	var h maphash.Hash
	h.SetSeed(m.seed)
	_ = h.WriteByte(kind)    // it never fails
	_, _ = h.WriteString(id) // nor does this
	return mark(h.Sum64())
}

func (m *marks) has(kind byte, id string) bool {
	if m.all {
		return true
	}
	if len(m.set) == 0 {
		return false
	}
	_, marked := m.set[m.of(kind, id)]
	return marked
}

func (m *marks) put(kind byte, id string) {
	if m.all || id == "" {
		return
	}
	if len(m.set) >= mostMarks {
		m.all, m.set = true, nil
		return
	}
	m.set[m.of(kind, id)] = struct{}{}
}

// add marks what a row makes worth looking for.
func (m *marks) add(r ObjectRow) {
	switch r.Kind {
	case KindAccount:
		m.put(markDecided, r.ID)
	case KindClock:
		m.put(markClock, r.ID)
	case KindCustomer:
		if r.Account != "" {
			m.put(markClaimed, r.Account)
			m.put(markClaiming, r.ID)
		}
	}
	if r.Noted {
		m.put(markInvoice, r.Invoice)
		m.put(markCustomer, r.Customer)
	}
}

// load marks what a model has.
func (m *marks) load(tx Tx) error {
	prices, err := tx.Prices(mostMarks)
	if err != nil {
		return err
	}
	for _, price := range prices {
		m.put(markPrice, price)
	}
	for kind, choices := range map[Kind][]Which{
		KindAccount: {Every}, KindClock: {Every}, KindCustomer: {Claiming, Noted}, KindPayment: {Noted}, KindBill: {Noted},
	} {
		for _, which := range choices {
			if err := m.loadOf(tx, kind, which); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *marks) loadOf(tx Tx, kind Kind, which Which) error {
	err := eachObject(tx, kind, which, func(r ObjectRow) error {
		m.add(r)
		if m.all {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// screened is a Lookup that does not ask for what is not marked. Of customers
// it knows those that claim an account, of what names something the noted.
type screened struct {
	Lookup
	marks *marks
}

func (s screened) Object(kind Kind, id string) (ObjectRow, bool, error) {
	by := map[Kind]byte{KindAccount: markDecided, KindClock: markClock, KindCustomer: markClaiming}
	if !s.marks.has(by[kind], id) {
		return ObjectRow{}, false, nil
	}
	return s.Lookup.Object(kind, id)
}

func (s screened) CustomersClaiming(account string) ([]string, error) {
	if !s.marks.has(markClaimed, account) {
		return nil, nil
	}
	return s.Lookup.CustomersClaiming(account)
}

func (s screened) ObjectsOf(by Handle, id string, _ bool) ([]ObjectRow, error) {
	kind := byte(markInvoice)
	if by == ByCustomer {
		kind = markCustomer
	}
	if !s.marks.has(kind, id) {
		return nil, nil
	}
	return s.Lookup.ObjectsOf(by, id, true)
}
