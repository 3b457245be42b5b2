package simulate

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

// placed is a delivery and its place on the way, as a fraction of the run.
type placed struct {
	Delivery
	place float64
}

// schedule puts the events, in true order, into the order of delivery.
func schedule(o Options, events []event) []Delivery {
	rng := rand.New(rand.NewPCG(o.Seed, 0))
	var queue []placed
	for i, e := range events {
		d := Delivery{EventID: e.id, Type: e.typ, Created: time.Unix(e.created, 0).UTC(), Body: e.body}
		place := float64(i) / float64(len(events))
		if rng.Float64() < o.Shuffle {
			place = rng.Float64()
		}
		queue = append(queue, placed{d, place})
		queue = append(queue, again(o, rng, d, place)...)
	}
	slices.SortStableFunc(queue, func(a, b placed) int { return cmp.Compare(a.place, b.place) })
	deliveries := make([]Delivery, len(queue))
	for i, q := range queue {
		deliveries[i] = q.Delivery
	}
	return deliveries
}

// again makes the further deliveries of an event: later ones, near or far. Half
// of them tell another count of pending webhooks.
func again(o Options, rng *rand.Rand, d Delivery, place float64) []placed {
	var more []placed
	for chance := o.Duplicates; rng.Float64() < chance && len(more) < 2; chance = 0.25 {
		copied := d
		if rng.IntN(2) == 0 {
			copied.Body = withPending(d.Body, 2+rng.IntN(3))
		}
		distance := rng.Float64()
		more = append(more, placed{copied, place + (1-place)*distance*distance*distance})
	}
	return more
}

// WriteJSONL writes the deliveries in their order, one event per line.
func (r *Run) WriteJSONL(w io.Writer) error {
	buffered := bufio.NewWriterSize(w, 1<<16)
	var line bytes.Buffer
	for _, d := range r.Deliveries {
		line.Reset()
		if err := json.Compact(&line, d.Body); err != nil {
			return fmt.Errorf("event %s: compacting its JSON: %w", d.EventID, err)
		}
		line.WriteByte('\n')
		if _, err := buffered.Write(line.Bytes()); err != nil {
			return fmt.Errorf("event %s: writing it: %w", d.EventID, err)
		}
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("writing the last events: %w", err)
	}
	return nil
}
