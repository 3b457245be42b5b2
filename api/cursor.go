package api

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/daybookhq/daybook/eventstore"
)

// A cursor continues a list behind the last row of a page. To callers it is
// opaque. It names the list, the direction, the store and the place, so that it
// cannot be used for another; rows that arrive meanwhile do not move it.

// The lists that have cursors.
const (
	eventsCursor        = "events"
	streamCursor        = "stream"
	timelineCursor      = "timeline"
	subscriptionsCursor = "subscriptions"
	waiversCursor       = "waivers"
)

// cursors makes and reads the cursors of one list in one direction.
type cursors struct {
	list  string
	dir   eventstore.Direction
	epoch string
}

func (s *Server) cursors(list string, dir eventstore.Direction) cursors {
	return cursors{list: list, dir: dir, epoch: s.Epoch}
}

// cursorSeparator stands in none of the parts but perhaps the place, which is the
// last.
const cursorSeparator = "\x00"

// at makes the cursor of a place.
func (c cursors) at(place string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join([]string{c.list, directionName(c.dir), c.epoch, place}, cursorSeparator)))
}

func (c cursors) atPosition(n uint64) string { return c.at(strconv.FormatUint(n, 10)) }

// read returns the place in a cursor, or the reason why it is none of these.
func (c cursors) read(cursor string) (place, fault string) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	parts := strings.SplitN(string(b), cursorSeparator, 4)
	switch {
	case err != nil || len(parts) != 4 || parts[0] != c.list || parts[1] != directionName(c.dir):
		return "", cursorReason
	case parts[2] != c.epoch:
		return "", "comes from another store"
	}
	return parts[3], ""
}

func directionName(dir eventstore.Direction) string {
	if dir == eventstore.Backwards {
		return "backwards"
	}
	return "forwards"
}

const cursorReason = "wants the next of an earlier page of this list in this direction"

// place reads the parameter "from" as a place in the log or in a stream: the
// number itself, or a cursor. found is false if there is none.
func (p *params) place(c cursors) (n uint64, found bool) {
	return p.placeIn("from", p.text("from"), c)
}

// placeIn reads a place from a field of the request.
func (p *params) placeIn(field, value string, c cursors) (n uint64, found bool) {
	if value == "" {
		return 0, false
	}
	if n, err := strconv.ParseUint(value, 10, 63); err == nil {
		return n, true
	}
	place, fault := c.read(value)
	n, err := strconv.ParseUint(place, 10, 63)
	switch {
	case fault == "" && err == nil:
		return n, true
	case fault == "" || fault == cursorReason:
		fault = cursorReason + ", or a whole number"
	}
	p.fault(field, fault)
	return 0, false
}

// after reads the parameter "from" as the id of the last row of a page.
func (p *params) after(c cursors) string {
	value := p.text("from")
	if value == "" {
		return ""
	}
	place, fault := c.read(value)
	if fault != "" {
		p.fault("from", fault)
	}
	return place
}
