package api

import (
	"encoding/base64"
	"testing"
	"testing/quick"

	"github.com/daybookhq/daybook/eventstore"
)

// TestCursorsAreReadByTheirOwnListAlone, whatever the place is.
func TestCursorsAreReadByTheirOwnListAlone(t *testing.T) {
	own := cursors{list: eventsCursor, epoch: "e"}
	if err := quick.Check(func(place string) bool {
		got, fault := own.read(own.at(place))
		return got == place && fault == ""
	}, nil); err != nil {
		t.Error(err)
	}
	for _, other := range []cursors{
		{list: streamCursor, epoch: "e"},
		{list: eventsCursor, epoch: "e", dir: eventstore.Backwards},
		{list: eventsCursor, epoch: "f"},
		{list: eventsCursor},
	} {
		if place, fault := own.read(other.at("1")); fault == "" || place != "" {
			t.Errorf("%+v: read as %q", other, place)
		}
	}
}

// FuzzCursor: what a stranger sends is a place of the list, or has a reason why
// not.
func FuzzCursor(f *testing.F) {
	own := cursors{list: timelineCursor + " " + orderOccurred, epoch: "e"}
	f.Add("")
	f.Add("!")
	f.Add(own.at("1 2 3 4"))
	f.Add(own.at("-1 99999999999999999999 3"))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte("timeline occurred\x00forwards\x00e")))
	f.Fuzz(func(t *testing.T, cursor string) {
		place, fault := own.read(cursor)
		if fault == "" && own.at(place) != cursor {
			// Base64 leaves bits unused, and skips line ends: another text may stand for the same.
			if again, fault := own.read(own.at(place)); fault != "" || again != place {
				t.Fatalf("%q is read as %q, and that is not", cursor, place)
			}
		}
		p := &params{query: map[string][]string{"from": {cursor}}}
		p.place(own)
		p.after(own)
		p.timelinePlace(own)
	})
}
