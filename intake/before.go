package intake

import (
	"github.com/go-json-experiment/json"
)

// before returns the Digest of the snapshot that an event changed: the object
// with its previous_attributes put back. It is empty if the event has none.
//
// The old values are decoded over the object, which shows the present no longer
// after that: nested objects merge, since previous_attributes hold only what
// changed of them; arrays are replaced whole; null takes a value away.
func (t *Translator) before(was *wireSubscription, attributes unread) (string, error) {
	if attributes.absent() {
		return "", nil
	}
	var previous wireSubscription
	if err := json.Unmarshal(attributes, was, decodeOptions); err != nil {
		return "", inField("data.previous_attributes", err)
	}
	if err := json.Unmarshal(attributes, &previous, decodeOptions); err != nil {
		return "", inField("data.previous_attributes", err)
	}
	was.preferTop(&previous)
	return t.snapshotOf(was).Digest(), nil
}

// preferTop makes old values at the top level count where the object shows the
// same thing in its items too: an event may put back the one and not the other.
func (s *wireSubscription) preferTop(previous *wireSubscription) {
	if previous.Items != nil || s.Items == nil {
		return
	}
	if previous.Plan != nil && len(s.Items.Data) == 1 {
		s.Items.Data[0].Price = nil
		s.Items.Data[0].Plan = s.Plan
	}
	if previous.Quantity != nil && len(s.Items.Data) == 1 {
		s.Items.Data[0].Quantity = nil
	}
	for i := range s.Items.Data {
		if previous.CurrentPeriodStart != nil {
			s.Items.Data[i].CurrentPeriodStart = nil
		}
		if previous.CurrentPeriodEnd != nil {
			s.Items.Data[i].CurrentPeriodEnd = nil
		}
	}
}
