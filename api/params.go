package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
)

// params reads the parameters of one request and gathers everything that is
// wrong with them.
type params struct {
	vars   map[string]string
	query  url.Values
	known  []string
	faults []Fault
}

// paramsOf starts reading. A query that cannot be parsed is a fault like any.
func paramsOf(r *http.Request) *params {
	p := &params{vars: mux.Vars(r)}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		p.fault("query", "is not well-formed")
	}
	p.query = query
	return p
}

func (p *params) fault(field, reason string) { p.faults = append(p.faults, Fault{field, reason}) }

// err is nil if every parameter was good. One that no call asked for is a
// fault: a misspelt filter would otherwise filter nothing, in silence.
func (p *params) err() error {
	names := make([]string, 0, len(p.query))
	for name := range p.query {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(p.known, name) {
			p.fault(printable(name), "is no parameter of this route")
		}
	}
	if len(p.faults) == 0 {
		return nil
	}
	return badRequest(p.faults...)
}

// printable keeps a stranger's text short and clean enough to be repeated.
func printable(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if utf8.RuneCountInString(s) > 64 {
		s = string([]rune(s)[:64]) + "…"
	}
	return s
}

// text is a parameter as it is, empty if it is not there. One that is there
// twice is a fault.
func (p *params) text(name string) string {
	p.known = append(p.known, name)
	values := p.query[name]
	if len(values) > 1 {
		p.fault(name, "is there more than once")
	}
	value := p.query.Get(name)
	if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		p.fault(name, "wants UTF-8 without control characters")
		return ""
	}
	return value
}

// texts is a parameter that may repeat, and list several with commas.
func (p *params) texts(name string) []string {
	p.known = append(p.known, name)
	var all []string
	for _, value := range p.query[name] {
		for part := range strings.SplitSeq(value, ",") {
			if part == "" || !utf8.ValidString(part) || strings.ContainsFunc(part, unicode.IsControl) {
				p.fault(name, "wants names, separated by commas")
				return nil
			}
			all = append(all, part)
		}
	}
	return all
}

// oneOf is a parameter with few values; the first is the default.
func (p *params) oneOf(name string, values ...string) string {
	value := p.text(name)
	if value == "" {
		return values[0]
	}
	if !slices.Contains(values, value) {
		p.fault(name, "wants "+strings.Join(values, " or "))
	}
	return value
}

// moment is a time, zero if it is not there.
func (p *params) moment(name string) time.Time {
	value := p.text(name)
	if value == "" {
		return time.Time{}
	}
	// A plus sign that was not encoded arrives as a space.
	t, ok := ParseMoment(strings.Replace(value, " ", "+", 1))
	if !ok {
		p.fault(name, momentReason)
	}
	return t
}

const momentReason = "wants a time like 2026-01-31T09:30:00Z or 2026-01-31T10:30:00+01:00"

// ParseMoment reads a time of any offset, as UTC. One that UTC cannot write in four
// digits is none: an answer could not tell it. Nor is the first moment of the year
// 1: it is the zero time.Time, which programs in Go write where they have no time,
// and which would mean "never", or "any", where they mean a moment.
func ParseMoment(text string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if t = t.UTC(); err != nil || t.IsZero() || t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, false
	}
	return t, true
}

// moments are the bounds of a look into the past.
func (p *params) moments() projections.Moments {
	return projections.Moments{AsOf: p.moment("as_of"), KnownAt: p.moment("known_at")}
}

// span is a stretch of time; since is included, until is not.
func (p *params) span() (since, until time.Time) {
	since, until = p.moment("since"), p.moment("until")
	if !since.IsZero() && !until.IsZero() && !since.Before(until) {
		p.fault("until", "wants a time after since")
	}
	return since, until
}

// The bounds of a page.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

func (p *params) limit() int {
	value := p.text("limit")
	if value == "" {
		return defaultLimit
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxLimit {
		p.fault("limit", fmt.Sprintf("wants a whole number from 1 to %d", maxLimit))
		return defaultLimit
	}
	return n
}

// accountInPath is the account that the path names.
func (p *params) accountInPath() string {
	account, ok := pathText(p.vars["account"])
	if !ok || !aggregate.ValidAccount(account) {
		p.fault("account", accountReason)
		return ""
	}
	return account
}

// accountFilter is the account that a list is to be narrowed to, empty for all.
func (p *params) accountFilter() string {
	return p.owner("account", accountReason, aggregate.ValidAccount)
}

// customerFilter is the customer of Stripe's that a list is to be narrowed to, empty
// for all.
func (p *params) customerFilter() string {
	return p.owner("customer", "wants a customer's id, like cus_1", func(id string) bool {
		return eventstore.NewStream(string(projections.KindCustomer), id).Validate() == nil
	})
}

// owner is a parameter that says whose a list is to be. One without a value is a
// fault: who forgot to fill it in would otherwise get everybody's.
func (p *params) owner(name, reason string, valid func(string) bool) string {
	faults := len(p.faults)
	value := p.text(name)
	if len(p.query[name]) > 0 && len(p.faults) == faults && !valid(value) {
		p.fault(name, reason)
	}
	return value
}

// accountReason says what the name of an account is.
var accountReason = fmt.Sprintf("wants 1 to %d bytes of UTF-8 without control characters", aggregate.MaxAccountBytes)

// name is a part of the path that names something.
func (p *params) name(field string) string {
	value, ok := pathText(p.vars[field])
	if !ok || value == "" || len(value) > eventstore.MaxStreamBytes || !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		p.fault(field, "wants a name: UTF-8 without control characters")
		return ""
	}
	return value
}

// direction is the order of a list.
func (p *params) direction() eventstore.Direction {
	if p.oneOf("direction", "forwards", "backwards") == "backwards" {
		return eventstore.Backwards
	}
	return eventstore.Forwards
}
