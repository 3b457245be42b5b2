package reconcile

import (
	"slices"
	"strings"

	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/stripeapi"
)

// OfDaybook reports an endpoint whose path is that of Daybook's webhook.
func OfDaybook(e stripeapi.Endpoint) bool { return strings.HasSuffix(e.URL, "/webhooks/stripe") }

// CheckEndpoint lists what is wrong with a webhook endpoint, in sentences; none
// if all is right.
func CheckEndpoint(e stripeapi.Endpoint, livemode bool) []string {
	var faults []string
	if e.Status == "disabled" {
		faults = append(faults, "it is disabled: no event is sent, and those of this time are never sent again; enable it in Stripe's dashboard, and run daybook reconcile")
	}
	faults = append(faults, checkTypes(e.EnabledEvents, livemode)...)
	switch e.APIVersion {
	case stripeapi.Version:
	case "":
		faults = append(faults, "it has no API version of its own: events change their shape when the account's default does; "+stripeapi.Version+" is known to be read in full")
	default:
		if e.APIVersion > stripeapi.Version {
			faults = append(faults, "its API version, "+e.APIVersion+", is newer than any that this build knows: "+stripeapi.Version+" is known to be read in full")
		}
	}
	return faults
}

// checkTypes compares the types that are sent with those that state facts.
func checkTypes(sent []string, livemode bool) []string {
	wanted := intake.ToldTypes(livemode)
	all := slices.Contains(sent, "*")
	var faults []string
	if missing := without(wanted, sent); len(missing) > 0 && !all {
		faults = append(faults, "these events are not sent, and are missing: "+strings.Join(missing, ", "))
	}
	if all {
		faults = append(faults, `all events are sent ("*"): choose those that are used, see daybook endpoint types`)
	} else if superfluous := without(sent, append(wanted, invoiceCreated)); len(superfluous) > 0 {
		faults = append(faults, "these events are sent, and only recorded: "+strings.Join(superfluous, ", "))
	}
	if all || slices.Contains(sent, invoiceCreated) {
		faults = append(faults, invoiceCreated+" is sent: whenever it is not received, Stripe delays an invoice by up to 72 hours; leave it out")
	}
	return faults
}

// invoiceCreated is the one type that does harm.
const invoiceCreated = "invoice.created"

// without returns those of a that are not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}
