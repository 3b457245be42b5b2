package intake

import (
	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// wireClock is a test clock.
type wireClock struct {
	Object     *string   `json:"object"`
	ID         reference `json:"id"`
	Status     word      `json:"status"`
	FrozenTime *moment   `json:"frozen_time"`
	Deleted    *bool     `json:"deleted"`
}

func (c *wireClock) check(eventType string) error {
	if err := checkObject(c.Object, "test_helpers.test_clock", c.ID); err != nil {
		return err
	}
	if c.FrozenTime == nil && !c.deleted(eventType) {
		return unreadable("frozen_time", "missing")
	}
	return nil
}

func (c *wireClock) deleted(eventType string) bool {
	return eventType == clockDeleted || valueOf(c.Deleted)
}

// clock translates the events of test clocks.
func (t *Translator) clock(eventType string, data *wireData[wireClock]) ([]StreamFact, error) {
	c := data.Object
	return []StreamFact{{
		Stream: eventstore.NewStream(ClockCategory, string(c.ID)),
		Fact: aggregate.Fact{Clock: &aggregate.ClockSnapshot{
			ID:       string(c.ID),
			Status:   string(c.Status),
			FrozenAt: timeOf(c.FrozenTime),
			Deleted:  c.deleted(eventType),
		}},
	}}, nil
}
