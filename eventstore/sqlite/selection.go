package sqlite

import (
	"database/sql/driver"
	"slices"
	"strings"

	"github.com/daybookhq/daybook/eventstore"
)

// maxCategories is up to how many categories a filter is served by their
// index; a filter of more reads along the log.
const maxCategories = 32

// scanWindow bounds how many positions a query passes that reads along the
// log and drops what the filter does not want, so that it stays short where
// little is wanted.
const scanWindow = 20_000

// selection is a filter turned into SQL: the events of a stretch of the log,
// (?1, ?2], that pass, up to ?3 of them, in one of the two directions.
type selection struct {
	filter eventstore.Filter
	form   rowForm
	text   [2]string // by Direction
	args   []driver.Value
	// window is how many positions one query may cover, 0 for any number.
	window eventstore.Position
	// dense selects the same where most of what is there passes; nil if this is
	// the best there is.
	dense *selection
}

var order = [2]string{eventstore.Forwards: "ASC", eventstore.Backwards: "DESC"}

func newSelection(filter eventstore.Filter) *selection {
	form := wholeEvent
	if filter.DataOnly {
		form = dataOnly
	}
	prefixes := minimal(filter.Prefixes)
	categories, whole := wholeCategories(prefixes)
	switch {
	case len(prefixes) == 0:
		return everything(form)
	case whole && len(categories) <= maxCategories:
		return byCategory(form, prefixes, categories)
	}
	return byPrefix(form, prefixes)
}

// minimal drops prefixes that another one covers, and keeps the order of the
// rest; none are left if one of them covers everything.
func minimal(prefixes []string) []string {
	var kept []string
	for _, p := range prefixes {
		if p == "" {
			return nil
		}
		covers := func(other string) bool { return other != p && strings.HasPrefix(p, other) }
		if !slices.ContainsFunc(prefixes, covers) && !slices.Contains(kept, p) {
			kept = append(kept, p)
		}
	}
	return kept
}

// wholeCategories returns the categories that prefixes stand for, and whether
// that is all they stand for: a name, and the first hyphen.
func wholeCategories(prefixes []string) (categories []string, whole bool) {
	for _, p := range prefixes {
		name, rest, hyphen := strings.Cut(p, "-")
		if !hyphen || rest != "" {
			return nil, false
		}
		categories = append(categories, name)
	}
	return categories, true
}

func everything(form rowForm) *selection {
	s := &selection{form: form}
	for dir, by := range order {
		s.text[dir] = "SELECT " + form.columns + " FROM events WHERE position > ?1 AND position <= ?2" +
			" ORDER BY position " + by + " LIMIT ?3"
	}
	return s
}

// byCategory merges the positions of several categories, each from the index,
// and fetches the rows after that: sorting rows would carry their payloads
// through every step.
func byCategory(form rowForm, prefixes, categories []string) *selection {
	s := &selection{form: form, filter: eventstore.Filter{Prefixes: prefixes}}
	const one = "SELECT position AS at FROM events WHERE category = (SELECT id FROM categories WHERE name = ?)" +
		" AND position > ?1 AND position <= ?2"
	arms := make([]string, len(categories))
	for i, c := range categories {
		arms[i] = strings.Replace(one, "= ?)", "= "+parameter(len(s.args))+")", 1)
		s.args = append(s.args, c)
	}
	for dir, by := range order {
		s.text[dir] = "SELECT " + form.columns + " FROM (" + strings.Join(arms, " UNION ALL ") +
			" ORDER BY at " + by + " LIMIT ?3) CROSS JOIN events ON position = at"
	}
	s.dense = alongLog(s, len(categories))
	return s
}

// alongLog selects the same as s by reading along the log. That passes over
// what is not wanted, but takes no look at the index, and none from there into
// the log, for each event that is. Categories are tried in the order in which the
// filter names them.
func alongLog(s *selection, categories int) *selection {
	along := &selection{form: s.form, filter: s.filter, args: s.args, window: scanWindow}
	arms := make([]string, categories)
	for i := range arms {
		arms[i] = "category = (SELECT id FROM categories WHERE name = " + parameter(i) + ")"
	}
	for dir, by := range order {
		along.text[dir] = "SELECT " + s.form.columns + " FROM events NOT INDEXED WHERE position > ?1 AND position <= ?2" +
			" AND (" + strings.Join(arms, " OR ") + ") ORDER BY position " + by + " LIMIT ?3"
	}
	return along
}

// denseFrom is the share of a stretch that must have passed, one in so many,
// for the next to be read along the log.
const denseFrom = 4

// behind returns how to go on behind a stretch of which so many events passed.
func (s *selection) behind(events int, stretch eventstore.Position) *selection {
	if s.dense != nil && denseFrom*eventstore.Position(events) >= stretch {
		return s.dense
	}
	return s
}

// byPrefix reads along the log and compares names. The stream's column comes
// before the payloads, so what does not pass costs little.
func byPrefix(form rowForm, prefixes []string) *selection {
	s := &selection{form: form, filter: eventstore.Filter{Prefixes: prefixes}, window: scanWindow}
	arms := make([]string, len(prefixes))
	for i, p := range prefixes {
		arms[i] = "stream >= " + parameter(len(s.args))
		s.args = append(s.args, p)
		if behind, ok := successor(p); ok {
			arms[i] += " AND stream < " + parameter(len(s.args))
			s.args = append(s.args, behind)
		}
	}
	for dir, by := range order {
		s.text[dir] = "SELECT " + form.columns + " FROM events WHERE position > ?1 AND position <= ?2" +
			" AND (" + strings.Join(arms, " OR ") + ") ORDER BY position " + by + " LIMIT ?3"
	}
	return s
}

// successor is the smallest string behind all that begin with p; there is none
// if p is all 0xff.
func successor(p string) (string, bool) {
	b := []byte(p)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			b[i]++
			return string(b[:i+1]), true
		}
	}
	return "", false
}

// stretch narrows (from, to] to what one query may cover.
func (s *selection) stretch(from, to eventstore.Position, dir eventstore.Direction) (eventstore.Position, eventstore.Position) {
	switch {
	case s.window == 0 || to-from <= s.window:
		return from, to
	case dir == eventstore.Forwards:
		return from, from + s.window
	}
	return to - s.window, to
}
