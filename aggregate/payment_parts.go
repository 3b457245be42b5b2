package aggregate

import (
	"maps"
	"slices"
)

// Events that name no payment intent, as those of old API versions do, go to a
// stream that is named by their charge. Where another stream says that a payment
// has that charge, they tell of this payment, and both streams' facts are those
// of one.

// DerivePayments says what is true of the payments that streams tell of, by id.
// The streams are given by their ids, too. One that is named by a charge gives
// its facts to the payment that has the charge, and is no payment of its own; if
// several payments claim the charge, the least of their ids has it.
func DerivePayments(streams map[string]*FactSet) map[string]PaymentTruth {
	ids := slices.Sorted(maps.Keys(streams))
	owners := map[string]string{}
	for _, id := range ids {
		for _, charge := range streams[id].Charges(id) {
			if _, claimed := owners[charge]; !claimed && charge != id {
				owners[charge] = id
			}
		}
	}
	wholes := map[string]*FactSet{}
	for _, id := range ids {
		whole := id
		if owner, owned := owners[id]; owned && slices.Contains(streams[id].Charges(id), id) {
			whole = owner
		}
		wholes[whole] = wholes[whole].with(streams[id])
	}
	truths := make(map[string]PaymentTruth, len(wholes))
	for id, facts := range wholes {
		truths[id] = facts.DerivePayment(id)
	}
	return truths
}

// with returns the union of two sets, and leaves both as they are. A nil set is
// empty.
func (s *FactSet) with(other *FactSet) *FactSet {
	if s == nil {
		return other
	}
	union := s.clone()
	for _, f := range other.facts {
		union.add(f)
	}
	union.position = max(s.position, other.position)
	return &union
}

// Charges lists the charges that the facts in the stream of the payment of that
// id name, in order. Only where a stream is named by its charge is its own id
// among them.
func (s *FactSet) Charges(id string) []string {
	var charges []string
	ofIntent := false
	for _, f := range s.facts {
		intent, charge := f.parts()
		ofIntent = ofIntent || intent != ""
		if charge != "" && !slices.Contains(charges, charge) {
			charges = append(charges, charge)
		}
	}
	if i := slices.Index(charges, id); ofIntent && i >= 0 {
		charges = slices.Delete(charges, i, i+1)
	}
	slices.Sort(charges)
	return charges
}

// parts are the intent and the charge that a fact of a payment names.
func (f *Fact) parts() (intent, charge string) {
	switch {
	case f.Payment != nil && (f.Type == IntentSucceeded || f.Type == IntentFailed):
		return f.Payment.Intent, f.Payment.Charge
	case f.Payment != nil:
		return f.Payment.Intent, f.Payment.ID
	case f.InvoicePayment != nil:
		return f.InvoicePayment.Intent, f.InvoicePayment.Charge
	case f.Refund != nil:
		return f.Refund.Intent, f.Refund.Charge
	case f.Dispute != nil:
		return f.Dispute.Intent, f.Dispute.Charge
	}
	return "", ""
}
