package posting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
}

// Repudiate takes a Stripe event that was forged or is mistaken out of force:
// every fact that it gives is superseded for ever, in every stream, and the
// event is never posted again. The journal keeps it as it is. To repudiate
// again changes nothing, but completes what a crash cut short. An event that
// was never recorded gives ErrUnknownEvent.
func (p *Poster) Repudiate(ctx context.Context, stripeEventID, actor, reason string) (Repudiation, error) {
	reason = strings.TrimSpace(reason)
	if err := errors.Join(CheckReason(reason), checkActor(actor)); err != nil {
		return Repudiation{}, err
	}
	entries, err := p.entriesOf(ctx, stripeEventID)
	if err != nil {
		return Repudiation{}, err
	}
	posted, _ := intake.PostedEntry(entries)
	r := &reading{entry: entries[posted]}
	r.receipt, _ = intake.DecodeReceipt(r.entry.Metadata) // without one, nothing leads back further
	jobs := p.repudiations(r, entries, aggregate.Repudiation{Actor: actor, Reason: reason})
	p.markRepudiated(stripeEventID)
	out := Repudiation{Streams: []eventstore.Stream{}}
	cache := newLedgers(p.Store)
	for _, j := range jobs {
		if err := p.postTo(ctx, cache, j); err != nil {
			return out, fmt.Errorf("repudiate %s: %w", stripeEventID, err)
		}
		out.Facts += len(j.changes)
		out.Streams = append(out.Streams, j.stream)
	}
	out.Repudiated, out.Already, err = p.recordRepudiation(ctx, r, actor, reason)
	return out, err
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

// repudiations are the jobs that take out of force whatever any of the entries
// of an event gave. What this build cannot read gives nothing.
func (p *Poster) repudiations(r *reading, entries []eventstore.RecordedEvent, why aggregate.Repudiation) []*job {
	var jobs []*job
	byStream := map[eventstore.Stream]*job{}
	given := map[eventstore.Stream]map[aggregate.FactKey]bool{}
	for _, entry := range entries {
		if r, err := intake.DecodeReceipt(entry.Metadata); err == nil && r.Livemode != p.Livemode {
			continue // never posted
		}
		facts, _ := p.translate(entry)
		for _, f := range facts {
			j := byStream[f.Stream]
			if j == nil {
				j = &job{stream: f.Stream, manner: repudiated}
				byStream[f.Stream], given[f.Stream] = j, map[aggregate.FactKey]bool{}
				jobs = append(jobs, j)
			}
			if given[f.Stream][f.Fact.Key] {
				continue
			}
			given[f.Stream][f.Fact.Key] = true
			j.facts = append(j.facts, aggregate.Fact{Type: aggregate.Repudiated, Key: f.Fact.Key,
				Epoch: aggregate.RepudiatedEpoch, OccurredAt: f.Fact.OccurredAt, Repudiation: &why})
			j.sources = append(j.sources, r)
		}
	}
	return jobs
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
