package projections

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
)

// OutletCheck is what came of comparing what is published with the model. What
// was wrong has been mended.
type OutletCheck struct {
	// Whole says that every entry was compared: not behind a publication of all,
	// when only those can be wrong that belong to nobody.
	Whole       bool      `json:"whole"`
	At          time.Time `json:"at"`
	TookSeconds float64   `json:"took_seconds"`
	// Entries is how many were looked at.
	Entries int `json:"entries"`
	// Differing said something else than the model, Foreign were no entries or
	// forged, Orphans belonged to no account that the model knows.
	Differing int `json:"differing"`
	Foreign   int `json:"foreign"`
	Orphans   int `json:"orphans"`
	// Left are of a newer schema, or no entries at all, and were left.
	Left int `json:"left"`
	// Error is why it was not carried to its end, empty if it was.
	Error string `json:"error,omitempty"`
}

// errNotNow ends a check; another one follows.
var errNotNow = errors.New("entitlements cannot be published at the moment, or the read model was replaced meanwhile")

// checkShare is how much longer than its work a check rests that nobody waits
// for.
const checkShare = 9

// checkOutlet compares what is published with the model, again and again: behind
// every publication of all, and every so often. What is published for accounts
// that the model does not know is found in no other way.
func (p *Publisher) checkOutlet(ctx context.Context, term Term) error {
	for {
		timer := time.NewTimer(p.opts.CheckEvery)
		hurry := false
		select {
		case <-p.check:
			hurry = true
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.checkOnce(ctx, term, hurry)
	}
}

func (p *Publisher) checkOnce(ctx context.Context, term Term, hurry bool) {
	p.mu.Lock()
	round := p.rounds.published
	p.status.Checking = true
	p.mu.Unlock()
	c := &OutletCheck{Whole: !hurry, At: p.opts.Now().UTC()}
	err := p.opts.Outlet.Walk(ctx, func(page []PublishedEntry) error {
		began := time.Now()
		if err := p.checkPage(ctx, term, c, page); err != nil || hurry {
			return err
		}
		return sleep(ctx, checkShare*time.Since(began))
	})
	c.TookSeconds = p.opts.Now().Sub(c.At).Seconds()
	if err != nil {
		c.Error = err.Error()
	}
	p.mu.Lock()
	p.status.Check, p.status.Checking = c, false
	if err == nil {
		p.rounds.checked = max(p.rounds.checked, round)
		close(p.rounds.progress)
		p.rounds.progress = make(chan struct{})
	}
	p.mu.Unlock()
	p.tell(ctx, c, err)
	if err != nil && hurry {
		_ = sleep(ctx, lastPublishPause)
		signal(p.check) // it is owed
	}
}

func (p *Publisher) tell(ctx context.Context, c *OutletCheck, err error) {
	switch log := p.opts.Log.WithFields(logrus.Fields{"entries": c.Entries, "differing": c.Differing, "foreign": c.Foreign, "orphans": c.Orphans}); {
	case ctx.Err() != nil:
	case err != nil:
		log.WithError(err).Debug("publisher: what is published could not be checked")
	case c.Differing+c.Foreign+c.Orphans > 0:
		log.Warn("publisher: entries that should not have been there were replaced or removed")
	}
}

// checkPage removes what is of no account, and, where the check is whole,
// publishes the entitlements of the others once more: what becomes of that tells
// what was there.
func (p *Publisher) checkPage(ctx context.Context, term Term, c *OutletCheck, page []PublishedEntry) error {
	if _, yes := p.vouches(); !term.Held() || !yes || !p.allowed() {
		return errNotNow
	}
	before := p.opts.Runner.Standing()
	accounts := p.settled(page)
	rows, err := p.opts.Model.EntitlementsOf(ctx, accounts)
	if err != nil {
		return err
	}
	if before.Content != p.opts.Runner.Standing().Content {
		return errNotNow
	}
	now := p.opts.Now()
	known := make(map[string]bool, len(rows))
	for _, row := range rows {
		known[row.Account] = true
	}
	var gone []Withdrawal
	for _, account := range accounts {
		if !known[account] {
			gone = append(gone, Withdrawal{Account: account, Position: before.Position, AsOf: now})
		}
	}
	c.Entries += len(accounts)
	if c.Whole {
		published, err := p.send(ctx, publications(rows, before.Position, now))
		if err != nil {
			return err
		}
		c.count(published)
	}
	withdrawn, err := p.withdraw(ctx, gone)
	c.count(withdrawn)
	return err
}

// settled are the accounts of a page, each once, without those that are about to
// be published anyway.
func (p *Publisher) settled(page []PublishedEntry) []string {
	accounts := make([]string, 0, len(page))
	for _, e := range page {
		if !p.opts.Feed.holds(e.Account) {
			accounts = append(accounts, e.Account)
		}
	}
	slices.Sort(accounts)
	return slices.Compact(accounts) // a walk may show one twice
}

func (c *OutletCheck) count(outcomes []Outcome) {
	for _, outcome := range outcomes {
		switch outcome {
		case OutcomeWritten:
			c.Differing++
		case OutcomeReplaced:
			c.Foreign++
		case OutcomeWithdrawn:
			c.Orphans++
		case OutcomeNewerSchema, OutcomeWrongType:
			c.Left++
		}
	}
}
