package projections

import (
	"context"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// The times of vouching.
const (
	// vouchFor is the part of a lease for which it may be unknown whether the
	// model is up with the log.
	vouchFor = 4
	// headEvery is how often the store is asked for its head, or as often as
	// headOf parts a lease, and headWithin how long that may take.
	headEvery  = time.Second
	headOf     = 16
	headWithin = 5 * time.Second
)

// headReading is where the store ended, and when it was asked.
type headReading struct {
	head eventstore.Position
	at   time.Time
}

// watchHead reads the store's head every now and then, to know how old the
// knowledge is that the model rests on.
func (p *Publisher) watchHead(ctx context.Context) error {
	for {
		p.readHead(ctx)
		if err := sleep(ctx, min(headEvery, p.opts.Lease/headOf)); err != nil {
			return err
		}
	}
}

func (p *Publisher) readHead(ctx context.Context) {
	if p.vouches(); !p.awaitsHead() {
		at := p.opts.Now()
		ctx, cancel := context.WithTimeout(ctx, headWithin)
		defer cancel()
		head, err := p.opts.Store.Head(ctx)
		if err != nil {
			return // the vouching ends by itself
		}
		p.mu.Lock()
		p.asked = headReading{head, at}
		p.mu.Unlock()
		p.vouches()
	}
}

func (p *Publisher) awaitsHead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.asked.at.IsZero()
}

// vouches reports whether the model can be vouched for, and until when.
func (p *Publisher) vouches() (until time.Time, yes bool) {
	standing := p.opts.Runner.Standing()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !standing.Current {
		p.vouched = time.Time{}
		return until, false
	}
	if !p.asked.at.IsZero() && standing.Position >= p.asked.head {
		p.vouched, p.asked = p.asked.at, headReading{}
	}
	if p.vouched.IsZero() {
		return until, false
	}
	until = p.vouched.Add(p.opts.Lease / vouchFor)
	return until, p.opts.Now().Before(until)
}
