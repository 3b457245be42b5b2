package aggregate

import (
	"fmt"
	"slices"
	"time"
)

// CatalogAdoptedType is the stored name of the event that records a catalog.
const CatalogAdoptedType = "CatalogAdopted"

// CatalogAdopted records that a catalog came into force.
type CatalogAdopted struct {
	Schema    int       `json:"schema"`
	Hash      string    `json:"hash"`
	AdoptedAt time.Time `json:"adopted_at"`
	Catalog   *Catalog  `json:"catalog"`
}

// DecodeCatalogAdopted reads the stored form of an adoption. Another type gives
// ErrUnknownType; a schema newer than ours, or no catalog in it, an error.
func DecodeCatalogAdopted(eventType string, data []byte) (CatalogAdopted, error) {
	var a CatalogAdopted
	if eventType != CatalogAdoptedType {
		return a, fmt.Errorf("decode %q: %w", eventType, ErrUnknownType)
	}
	if err := decodeStored(eventType, data, &a); err != nil {
		return a, err
	}
	if a.Catalog == nil {
		return a, fmt.Errorf("decode %s: no catalog in it", eventType)
	}
	return a, checkSchema(eventType, a.Schema)
}

// CatalogEvent is an event of the catalogs' stream: exactly one of its fields is
// set.
type CatalogEvent struct {
	Adopted   *CatalogAdopted
	Mapped    *PriceMapping
	Withdrawn *MappingWithdrawal
}

// DecodeCatalogEvent reads the stored form of an event of the catalogs' stream. A
// type that is none of theirs gives ErrUnknownType.
func DecodeCatalogEvent(eventType string, data []byte) (CatalogEvent, error) {
	switch eventType {
	case PriceMappedType:
		m, err := DecodePriceMapped(eventType, data)
		return CatalogEvent{Mapped: &m}, err
	case MappingWithdrawnType:
		w, err := DecodeMappingWithdrawn(eventType, data)
		return CatalogEvent{Withdrawn: &w}, err
	}
	a, err := DecodeCatalogAdopted(eventType, data)
	return CatalogEvent{Adopted: &a}, err
}

// RecordedAt is our clock when the event was recorded.
func (e CatalogEvent) RecordedAt() time.Time {
	switch {
	case e.Mapped != nil:
		return e.Mapped.MappedAt
	case e.Withdrawn != nil:
		return e.Withdrawn.WithdrawnAt
	}
	return e.Adopted.AdoptedAt
}

// Price is the price that the event is about, empty if it is about a whole
// catalog.
func (e CatalogEvent) Price() string {
	switch {
	case e.Mapped != nil:
		return e.Mapped.Price
	case e.Withdrawn != nil:
		return e.Withdrawn.Price
	}
	return ""
}

// Catalogs is the history of the catalogs in force, oldest first, and of the
// mappings of prices that were recorded. The zero value has none; derivation
// needs at least one catalog. A Catalogs is never changed: With, WithMapping,
// WithWithdrawal and Evolve return another.
type Catalogs struct {
	adopted  []CatalogAdopted
	mappings []PriceMapping
	// recorded are the mappings by their price, the one first that was seen first.
	recorded map[string][]PriceMapping
	// withdrawn tells up to which epoch, exclusive, what facts of a stream showed
	// counts no more, or never will.
	withdrawn map[shown]int
	// current is the catalog in force now, with all mappings.
	current *Catalog
}

// Evolve returns the history with one more event of the catalogs' stream. A type
// that is none of theirs gives ErrUnknownType.
func (h Catalogs) Evolve(eventType string, data []byte) (Catalogs, error) {
	e, err := DecodeCatalogEvent(eventType, data)
	switch {
	case err != nil:
		return h, err
	case e.Mapped != nil:
		return h.WithMapping(*e.Mapped), nil
	case e.Withdrawn != nil:
		return h.WithWithdrawal(*e.Withdrawn), nil
	}
	return h.With(*e.Adopted), nil
}

// With returns the history with one more catalog, in order of adoption.
func (h Catalogs) With(a CatalogAdopted) Catalogs {
	next := slices.Clone(h.adopted)
	i := len(next)
	for i > 0 && next[i-1].AdoptedAt.After(a.AdoptedAt) {
		i--
	}
	h.adopted = slices.Insert(next, i, a)
	return h.asOfNow()
}

// NextAdoption is the time at which a catalog adopted at now counts as adopted:
// never before the latest one, though a clock may have been set back.
func (h Catalogs) NextAdoption(now time.Time) time.Time {
	if n := len(h.adopted); n > 0 && h.adopted[n-1].AdoptedAt.After(now) {
		return h.adopted[n-1].AdoptedAt
	}
	return now
}

// Current is the catalog in force now, nil if none was ever adopted.
func (h Catalogs) Current() *Catalog {
	return h.current
}

// CurrentHash is the hash of the catalog in force now, empty if there is none.
func (h Catalogs) CurrentHash() string {
	if len(h.adopted) == 0 {
		return ""
	}
	return h.adopted[len(h.adopted)-1].Hash
}

// CurrentSince is when the catalog in force now was adopted, zero if there is
// none.
func (h Catalogs) CurrentSince() time.Time {
	if len(h.adopted) == 0 {
		return time.Time{}
	}
	return h.adopted[len(h.adopted)-1].AdoptedAt
}

// At is the catalog in force at t: the last one adopted by then, or, for a
// time before all of them, the first; with the mappings recorded by then. Its
// hash comes with it.
func (h Catalogs) At(t time.Time) (*Catalog, string) {
	if len(h.adopted) == 0 {
		return nil, ""
	}
	in := h.adopted[0]
	for _, a := range h.adopted[1:] {
		if a.AdoptedAt.After(t) {
			break
		}
		in = a
	}
	return in.Catalog.withRecords(h.recorded, t), in.Hash
}
