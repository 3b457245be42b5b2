package api

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/daybookhq/daybook/eventstore"
)

// A cursor continues a list behind the last row of a page. To callers it is
// opaque. It names the list, the direction and the place, so that it cannot be
// used for another; rows that arrive meanwhile do not move it.

// The lists that have cursors.
const (
	eventsCursor        = "events"
	streamCursor        = "stream"
	subscriptionsCursor = "subscriptions"
	waiversCursor       = "waivers"
)

// encodeCursor makes a cursor.
func encodeCursor(list string, dir eventstore.Direction, place string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + ":" + directionName(dir) + ":" + place))
}

// decodeCursor returns the place in a cursor of this list and direction.
func decodeCursor(cursor, list string, dir eventstore.Direction) (place string, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return "", false
	}
	return strings.CutPrefix(string(b), list+":"+directionName(dir)+":")
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
func (p *params) place(list string, dir eventstore.Direction) (n uint64, found bool) {
	value := p.text("from")
	if value == "" {
		return 0, false
	}
	if n, err := strconv.ParseUint(value, 10, 63); err == nil {
		return n, true
	}
	place, ok := decodeCursor(value, list, dir)
	n, err := strconv.ParseUint(place, 10, 63)
	if !ok || err != nil {
		p.fault("from", cursorReason+", or a whole number")
		return 0, false
	}
	return n, true
}

// after reads the parameter "from" as the id of the last row of a page.
func (p *params) after(list string) string {
	value := p.text("from")
	if value == "" {
		return ""
	}
	place, ok := decodeCursor(value, list, eventstore.Forwards)
	if !ok {
		p.fault("from", cursorReason)
	}
	return place
}
