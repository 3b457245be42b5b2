package posting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// ErrUnknownEvent says that the journal has no such Stripe event.
var ErrUnknownEvent = errors.New("no such Stripe event was recorded")

// The bounds of an operator's reason, in characters.
const (
	minReason = 10
	maxReason = 500
)

// CheckReason reports a reason that tells nobody anything, or too much.
func CheckReason(reason string) error {
	if n := utf8.RuneCountInString(strings.TrimSpace(reason)); n < minReason || n > maxReason {
		return fmt.Errorf("a reason wants %d to %d characters, and this has %d", minReason, maxReason, n)
	}
	if !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl) {
		return errors.New("a reason wants UTF-8 without control characters")
	}
	return nil
}

// maxActor bounds the name of who decides, in bytes.
const maxActor = 200

func checkActor(actor string) error {
	if actor == "" || len(actor) > maxActor || !utf8.ValidString(actor) || strings.ContainsFunc(actor, unicode.IsControl) {
		return fmt.Errorf("who repudiates wants a name: 1 to %d bytes of text, without control characters", maxActor)
	}
	return nil
}

// Repudiation is what became of a repudiation.
type Repudiation struct {
	// Repudiated is what is recorded: by whom the event was repudiated, and
	// when; the first time counts.
	Repudiated
	// Already says that it had been before.
	Already bool `json:"already"`
	// Facts counts those that were taken out of force now, or kept from ever
	// coming into it; Streams are where they belong.
	Facts   int                 `json:"facts"`
	Streams []eventstore.Stream `json:"streams"`
	// Prices are those of which a mapping that the event led to was withdrawn now.
	Prices []Remapped `json:"prices"`
}

// RepudiationPlan says what to repudiate.
type RepudiationPlan struct {
	StripeEventID string
	// Actor and Reason say who does so and why.
	Actor, Reason string
	// Progress is told how much of the log is looked through; nil for not.
	Progress func(done, total int64)
}

// Repudiate takes a Stripe event that was forged or is mistaken out of force:
// every fact that it gives, or ever gave, is superseded for ever, in every stream;
// what it showed of prices counts no more; and the event is never posted again. The
// journal keeps it as it is. To repudiate again changes nothing, but completes what
// a crash cut short. A variant of the event that comes before the repudiation is
// filed may be posted by somebody who cannot know of it, and so is repudiated too;
// whoever posts one that comes later is told first. An event that was never recorded
// gives ErrUnknownEvent.
func (p *Poster) Repudiate(ctx context.Context, plan RepudiationPlan) (Repudiation, error) {
	plan.Reason = strings.TrimSpace(plan.Reason)
	if err := errors.Join(CheckReason(plan.Reason), checkActor(plan.Actor)); err != nil {
		return Repudiation{}, err
	}
	if err := p.withdrawing.Acquire(ctx, 1); err != nil {
		return Repudiation{}, err
	}
	defer p.withdrawing.Release(1)
	var result Repudiation
	for done := 0; ; {
		entries, err := p.entriesOf(ctx, plan.StripeEventID)
		if err != nil || len(entries) == done {
			return result, err
		}
		r := p.newRepudiating(plan, entries)
		if err = r.run(ctx); err != nil {
			return r.result, fmt.Errorf("repudiate %s: %w", plan.StripeEventID, err)
		}
		if done > 0 {
			r.result.follow(result)
		}
		result, done = r.result, len(entries)
	}
}

// follow makes one result of what was done at first and of what was left, for a
// variant that came meanwhile.
func (r *Repudiation) follow(first Repudiation) {
	r.Already = first.Already
	r.Facts += first.Facts
	r.Prices = slices.Concat(first.Prices, r.Prices)
}

func (p *Poster) newRepudiating(plan RepudiationPlan, entries []eventstore.RecordedEvent) *repudiating {
	posted, _ := intake.PostedEntry(entries)
	r := &repudiating{Poster: p, plan: plan, read: &reading{entry: entries[posted]}, given: p.factsOf(entries),
		history: p.Catalogs(), where: whereabouts{plan.StripeEventID: nil},
		result: Repudiation{Streams: []eventstore.Stream{}, Prices: []Remapped{}}}
	r.read.receipt, _ = intake.DecodeReceipt(r.read.entry.Metadata) // without one, nothing leads back further
	return r
}

// repudiating is a repudiation under way.
type repudiating struct {
	*Poster
	plan RepudiationPlan
	read *reading
	// given are the facts that the event gives, by any of its entries.
	given []intake.StreamFact
	// history is that of mappings as it was known at first, showed what the event
	// shows of prices by any entry or fact of it, as far as that is known.
	history aggregate.Catalogs
	showed  []aggregate.Sighting
	// where is where it has facts, prices what it stood in the way of.
	where  whereabouts
	prices *priceSearch
	result Repudiation
}

func (r *repudiating) run(ctx context.Context) (err error) {
	withdrawals, searched, err := r.lookThrough(ctx)
	if err != nil {
		return err
	}
	r.markRepudiated(r.plan.StripeEventID)
	cache := newLedgers(r.Store)
	for _, j := range r.jobs() {
		if err := r.postTo(ctx, cache, j); err != nil {
			return err
		}
		r.result.Facts += len(j.changes)
		r.result.Streams = append(r.result.Streams, j.stream)
	}
	if err := r.remapPrices(ctx, withdrawals, searched); err != nil {
		return err
	}
	r.result.Repudiated, r.result.Already, err = r.recordRepudiation(ctx, r.read, r.plan.Actor, r.plan.Reason)
	return err
}

// beside is what else a repudiation does while the log is looked through.
func (r *repudiating) beside() beside {
	return beside{categories: intake.Categories, note: r.note, tell: func(at, end eventstore.Position) {
		if r.plan.Progress != nil {
			r.plan.Progress(int64(at), int64(end))
		}
	}}
}

// note takes down where a fact of the event is, and what it shows.
func (r *repudiating) note(stream eventstore.Stream, f *aggregate.Fact) {
	r.where.note(stream, f)
	if f != nil && f.Key.StripeEventID == r.plan.StripeEventID {
		r.showed = append(r.showed, f.Sightings(string(stream))...)
	}
}

// factsOf are those that the entries of a Stripe event give, each as its entry
// gives it. What this build cannot read gives nothing.
func (p *Poster) factsOf(entries []eventstore.RecordedEvent) []intake.StreamFact {
	var given []intake.StreamFact
	for _, entry := range entries {
		if r, err := intake.DecodeReceipt(entry.Metadata); err == nil && r.Livemode != p.Livemode {
			continue // never posted
		}
		read := reading{entry: entry}
		read.takeFacts(p.translate(entry))
		given = append(given, read.facts...)
	}
	return given
}

// jobs take out of force whatever the event gave: what it gives as this build
// reads it, be it there or yet to come, and what else streams have of it.
func (r *repudiating) jobs() []*job {
	var list jobList
	why := aggregate.Repudiation{Actor: r.plan.Actor, Reason: r.plan.Reason}
	for _, f := range r.given {
		if j := list.on(f.Stream); !j.gives(r.read, f.Fact.Key) {
			j.take(aggregate.Fact{Type: aggregate.Repudiated, Key: f.Fact.Key, Epoch: aggregate.RepudiatedEpoch,
				OccurredAt: f.Fact.OccurredAt, Repudiation: &why}, r.read)
		}
	}
	for _, stream := range r.where[r.plan.StripeEventID] {
		list.on(stream)
	}
	for _, j := range list.jobs {
		j.manner, j.why = repudiated, why
		j.sweep(r.read)
	}
	return list.jobs
}

// entriesOf reads the journal's entries of a Stripe event.
func (p *Poster) entriesOf(ctx context.Context, stripeEventID string) ([]eventstore.RecordedEvent, error) {
	stream := intake.JournalStream(stripeEventID)
	if stream.Validate() != nil {
		return nil, fmt.Errorf("%q: %w", stripeEventID, ErrUnknownEvent)
	}
	var entries []eventstore.RecordedEvent
	for e, err := range p.Store.ReadStream(ctx, stream, 0, eventstore.Forwards, intake.MaxEntries) {
		if errors.Is(err, eventstore.ErrStreamNotFound) {
			return nil, fmt.Errorf("%s: %w", stripeEventID, ErrUnknownEvent)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", stream, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// recordRepudiation files that an event is repudiated, and returns what is
// filed: what was before, if anything was.
func (p *Poster) recordRepudiation(ctx context.Context, r *reading, actor, reason string) (said Repudiated, already bool, err error) {
	id := r.entry.Stream.ID()
	now := p.Now().UTC()
	said = Repudiated{Schema: 1, StripeEventID: id, EventType: r.entry.Type, Actor: actor, Reason: reason, RepudiatedAt: now}
	data, err := json.Marshal(said)
	if err != nil {
		return said, false, fmt.Errorf("encode repudiation: %w", err)
	}
	eventID := eventstore.DeriveID(outcomeStream(id), RepudiatedType)
	var before []byte
	filed, err := p.file(ctx, r, RepudiatedType, data, now, func(filed []eventstore.RecordedEvent) (uuid.UUID, bool) {
		for _, e := range filed {
			if e.Type == RepudiatedType {
				before = e.Data
				return uuid.Nil, false
			}
		}
		return eventID, true
	})
	if err != nil || filed {
		return said, false, err
	}
	if err := json.Unmarshal(before, &said); err != nil {
		return said, true, fmt.Errorf("read the repudiation of %s: %w", id, err)
	}
	return said, true, nil
}

// loadOutcomes reads what became of events, and so learns which are never to be
// posted. What this Poster itself repudiates is added as it happens.
func (p *Poster) loadOutcomes(ctx context.Context) (map[string]string, error) {
	outcomes, err := readOutcomes(ctx, p.Store)
	if err != nil {
		return nil, err
	}
	for _, id := range withOutcome(outcomes, RepudiatedType) {
		p.markRepudiated(id)
	}
	return outcomes, nil
}

func (p *Poster) markRepudiated(stripeEventID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isRepudiated(stripeEventID) {
		return
	}
	next := map[string]bool{stripeEventID: true}
	if held := p.repudiated.Load(); held != nil {
		maps.Copy(next, *held)
	}
	p.repudiated.Store(&next)
}

func (p *Poster) isRepudiated(stripeEventID string) bool {
	held := p.repudiated.Load()
	return held != nil && (*held)[stripeEventID]
}
