package posting

import (
	"cmp"
	"slices"
	"strings"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// catalogCategory is that of the stream of catalogs.
const catalogCategory = "catalog"

// priceSearch finds, among the facts of the log, what prices would be mapped to
// had nobody ever seen what is withdrawn of them: as they come, only the first
// sightings of a price are recorded, so that those which it forestalled are nowhere
// else. It takes the events of the log in, in order.
type priceSearch struct {
	// blank has the withdrawals, and nothing else.
	blank aggregate.Catalogs
	// without is a Stripe event of which nothing counts; empty for none.
	without string
	// adopted are the catalogs adopted so far: a sighting maps by the one in force
	// when its fact was recorded, as it would have then.
	adopted aggregate.Catalogs
	of      map[string]*ranking // by price
}

// newPriceSearch begins a search for some prices, by a history that has the
// withdrawals, recorded or not yet.
func newPriceSearch(history aggregate.Catalogs, without string, prices []string) *priceSearch {
	blank := history.Blank()
	s := &priceSearch{blank: blank, adopted: blank, without: without, of: map[string]*ranking{}}
	for _, price := range prices {
		s.of[price] = &ranking{}
	}
	return s
}

// heed takes in what a later history has withdrawn, and reports whether anything
// that was found last counts no more.
func (s *priceSearch) heed(history aggregate.Catalogs) (lost bool) {
	s.blank, s.adopted = history.Blank(), s.adopted.WithWithdrawalsOf(history)
	for _, r := range s.of {
		r.first = slices.DeleteFunc(r.first, func(c candidate) bool { return !history.Counts(c.PriceMapping) })
		lost = lost || r.told != nil && !history.Counts(r.told.PriceMapping)
	}
	return lost
}

// take takes in an event of the log, and the fact that it is, if it is one.
func (s *priceSearch) take(e *eventstore.RecordedEvent, f *aggregate.Fact) {
	switch {
	case len(s.of) == 0:
	case e.Stream.Category() == catalogCategory:
		if event, err := aggregate.DecodeCatalogEvent(e.Type, e.Data); err == nil && event.Adopted != nil {
			s.adopted = s.adopted.With(*event.Adopted)
		}
	case f != nil && e.Stream.Category() == intake.SubscriptionCategory:
		s.takeFact(e.Stream, f)
	}
}

func (s *priceSearch) takeFact(stream eventstore.Stream, f *aggregate.Fact) {
	if f.Epoch > 0 {
		for _, r := range s.of {
			r.drop(stream, f.Key, f.Epoch)
		}
	}
	if f.Key.StripeEventID == s.without {
		return
	}
	seen := slices.DeleteFunc(f.Sightings(string(stream)), func(seen aggregate.Sighting) bool { return s.of[seen.Price] == nil })
	for _, m := range s.adopted.NewMappings(seen) {
		s.of[m.Price].offer(candidate{PriceMapping: m, stream: stream, key: f.Key})
	}
}

// found are the mappings of what was seen first, in the order of their prices.
func (s *priceSearch) found() []aggregate.PriceMapping {
	var found []aggregate.PriceMapping
	for _, r := range s.of {
		if r.told, r.overtakenBy = nil, 0; len(r.first) > 0 {
			r.told = &candidate{}
			*r.told = r.first[0]
			found = append(found, r.told.PriceMapping)
		}
	}
	slices.SortFunc(found, func(a, b aggregate.PriceMapping) int { return strings.Compare(a.Price, b.Price) })
	return found
}

// overtaken withdraws those of the mappings that were found last whose facts were
// superseded since by facts that do not show them.
func (s *priceSearch) overtaken() []aggregate.MappingWithdrawal {
	var withdrawals []aggregate.MappingWithdrawal
	for price, r := range s.of {
		if r.overtakenBy > 0 && !r.tellsAgain() {
			withdrawals = append(withdrawals, aggregate.MappingWithdrawal{Schema: aggregate.Schema, Price: price,
				StripeEventID: r.told.StripeEventID, Stream: string(r.told.stream), SupersededBy: r.overtakenBy})
		}
	}
	return withdrawals
}

// again reports that the log must be gone over once more from its beginning, and
// makes ready for that: so many sightings of a price proved to be superseded that
// none is left of those that were kept.
func (s *priceSearch) again() bool {
	again := false
	for _, r := range s.of {
		again = again || r.undecided()
	}
	for _, r := range s.of {
		switch {
		case !again:
			r.from = nil // what is yet to come in the log may be of any time
		case r.undecided():
			r.from, r.first, r.cut = r.cut, nil, nil
		default:
			r.first, r.cut = nil, nil
		}
	}
	if again {
		s.adopted = s.blank
	}
	return again
}

// candidate is a mapping that a fact shows, and the fact's place.
type candidate struct {
	aggregate.PriceMapping
	stream eventstore.Stream
	key    aggregate.FactKey
}

func compareCandidates(a, b candidate) int {
	return cmp.Or(a.CompareSeen(b.PriceMapping), strings.Compare(string(a.stream), string(b.stream)), a.key.Ordinal-b.key.Ordinal)
}

// mostCandidates bounds what is kept of one price. More than one is needed only
// where later corrections supersede the first.
const mostCandidates = 64

// ranking holds the candidates of one price that were seen first.
type ranking struct {
	first []candidate
	// cut is the first of those that were let go; nil if none was. What was seen
	// before from, if that is not nil, is known to be superseded in the log as far
	// as it was gone over.
	cut, from *candidate
	// told is what was found last, overtakenBy the epoch of the fact that superseded
	// its fact since; 0 if none did.
	told        *candidate
	overtakenBy int
}

// undecided reports that what was let go may have been seen before what is left.
func (r *ranking) undecided() bool {
	return r.cut != nil && (len(r.first) == 0 || compareCandidates(r.first[0], *r.cut) > 0)
}

func (r *ranking) offer(c candidate) {
	if r.from != nil && compareCandidates(c, *r.from) < 0 {
		return
	}
	i, _ := slices.BinarySearchFunc(r.first, c, compareCandidates)
	r.first = slices.Insert(r.first, i, c)
	if len(r.first) <= mostCandidates {
		return
	}
	last := r.first[mostCandidates]
	r.first = r.first[:mostCandidates]
	if r.cut == nil || compareCandidates(last, *r.cut) < 0 {
		r.cut = &last
	}
}

// drop lets go what a later fact supersedes.
func (r *ranking) drop(stream eventstore.Stream, key aggregate.FactKey, epoch int) {
	of := func(c candidate) bool { return c.stream == stream && c.key == key }
	r.first = slices.DeleteFunc(r.first, of)
	if r.told != nil && of(*r.told) && epoch > r.told.Epoch {
		r.overtakenBy = max(r.overtakenBy, epoch)
	}
}

// tellsAgain reports whether what was found last is found again, in a later fact.
func (r *ranking) tellsAgain() bool {
	if len(r.first) == 0 {
		return false
	}
	m := r.first[0].PriceMapping
	m.Epoch = r.told.Epoch
	return m == r.told.PriceMapping
}
