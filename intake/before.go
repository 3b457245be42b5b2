package intake

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// before returns the Digest of the snapshot that an event changed: the object
// with its previous_attributes put back. It is empty if the event has none.
//
// The old values are decoded over the object, which afterwards shows the past:
// whoever wants the present reads it first. Nested objects merge, since
// previous_attributes hold only what changed of them; arrays are replaced
// whole; null takes a value away.
func (t *Translator) before(data *wireData[wireSubscription]) (string, error) {
	if absent(data.Previous) {
		return "", nil
	}
	var told wireTop
	was := data.Object
	if err := json.Unmarshal(data.Previous, was, decodeOptions); err != nil {
		return "", inField("data.previous_attributes", err)
	}
	if err := json.Unmarshal(data.Previous, &told, decodeOptions); err != nil {
		return "", inField("data.previous_attributes", err)
	}
	was.preferTop(&told)
	return t.snapshotOf(was).Digest(), nil
}

// wireTop holds, unread, what a subscription shows twice.
type wireTop struct {
	Items              jsontext.Value `json:"items"`
	Plan               jsontext.Value `json:"plan"`
	Quantity           jsontext.Value `json:"quantity"`
	CurrentPeriodStart jsontext.Value `json:"current_period_start"`
	CurrentPeriodEnd   jsontext.Value `json:"current_period_end"`
}

// preferTop makes old values at the top level count where the object shows the
// same thing in its items too: an event may put back the one and not the other.
func (s *wireSubscription) preferTop(previous *wireTop) {
	if !absent(previous.Items) || s.Items == nil {
		return
	}
	if !absent(previous.Plan) && len(s.Items.Data) == 1 {
		s.Items.Data[0].Price = nil
		s.Items.Data[0].Plan = s.Plan
	}
	if !absent(previous.Quantity) && len(s.Items.Data) == 1 {
		s.Items.Data[0].Quantity = nil
	}
	for i := range s.Items.Data {
		if !absent(previous.CurrentPeriodStart) {
			s.Items.Data[i].CurrentPeriodStart = nil
		}
		if !absent(previous.CurrentPeriodEnd) {
			s.Items.Data[i].CurrentPeriodEnd = nil
		}
	}
}
