package aggregate_test

import (
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// decisionSamples has one decision of every type, with every field set.
func decisionSamples() []aggregate.Event {
	var events []aggregate.Event
	for _, t := range []aggregate.DecisionType{aggregate.WaiverGranted, aggregate.WaiverRevoked,
		aggregate.AccountBlocked, aggregate.AccountUnblocked, aggregate.GraceExtended} {
		events = append(events, aggregate.Event{Decision: &aggregate.Decision{Type: t, DecidedAt: at(time.Second),
			Actor: "ops", Reason: "a partner of ours", Waiver: "w_1", Tier: "premium", Until: at(30 * day)}})
	}
	return events
}
