package intake

import (
	"github.com/go-json-experiment/json"
)

// before returns the Digest of the snapshot that an event changed: the object
// with its previous_attributes put back. It is empty if the event has none.
//
// The object is decoded once more, so that nothing is shared with the snapshot
// as it is now. The old values are decoded over it: nested objects merge, since
// previous_attributes hold only what changed of them; arrays are replaced
// whole; null takes a value away.
func (t *Translator) before(data *wireData) (string, error) {
	if data.Previous.absent() {
		return "", nil
	}
	var was, previous wireSubscription
	if err := json.Unmarshal(data.Object, &was, decodeOptions); err != nil {
		return "", inField("data.object", err)
	}
	if err := json.Unmarshal(data.Previous, &was, decodeOptions); err != nil {
		return "", inField("data.previous_attributes", err)
	}
	if err := json.Unmarshal(data.Previous, &previous, decodeOptions); err != nil {
		return "", inField("data.previous_attributes", err)
	}
	was.preferTop(&previous)
	return t.snapshotOf(&was).Digest(), nil
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
