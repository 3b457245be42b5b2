package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// targetReads is how fast reading an entitlement is at least, as a part of what
// a bare handler does that returns the same bytes.
const targetReads = 0.6

// measureReads asks for entitlements through the API, and asks a bare handler
// for the same bytes, in turns.
func measureReads(ctx context.Context, b *bench) error {
	q, err := b.prepareQuestions(ctx, "reads", "")
	if err != nil {
		return err
	}
	defer q.kill()
	if err := q.compare(ctx, b, targetReads, "entitlements"); err != nil {
		return err
	}
	return q.server.stop()
}

// questions are those for the entitlements of accounts that a server knows.
type questions struct {
	server, bare *child
	requests     [][]byte
	bytes        int // of the first answer
}

// prepareQuestions starts a server, lets it know accounts, and starts the bare
// handler. A question asks for what is behind an account's path.
func (b *bench) prepareQuestions(ctx context.Context, name, behind string) (q *questions, err error) {
	maker, err := newEventMaker(name, b.accounts, time.Now())
	if err != nil {
		return nil, err
	}
	q = &questions{}
	defer func() {
		if err != nil {
			q.kill()
		}
	}()
	if q.server, err = b.startDaybook(ctx, filepath.Join(b.work, name)); err != nil {
		return q, err
	}
	if _, err := (load{addr: q.server.addr, connections: b.connections}).run(ctx, maker.requests(b.accounts, time.Now())); err != nil {
		return q, err
	}
	if _, err := awaitEffects(ctx, q.server, giveUpAfter); err != nil {
		return q, err
	}
	answer, err := q.server.answer(ctx, "/v1/entitlements/"+maker.account(0)+behind)
	if err != nil {
		return q, err
	}
	file := filepath.Join(b.work, name+".json")
	if err := os.WriteFile(file, answer, 0o600); err != nil {
		return q, err
	}
	if q.bare, err = b.startCeiling(ctx, "-answer", file); err != nil {
		return q, err
	}
	q.bytes, q.requests = len(answer), make([][]byte, b.reads)
	for i := range q.requests {
		q.requests[i] = fmt.Appendf(nil, "GET /v1/entitlements/%s%s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n\r\n", maker.account(i), behind, devKey)
	}
	return q, nil
}

func (q *questions) kill() {
	for _, c := range []*child{q.server, q.bare} {
		if c != nil {
			c.kill()
		}
	}
}

// compare asks both, in turns.
func (q *questions) compare(ctx context.Context, b *bench, target float64, what string) error {
	var ratios, perSecond []float64
	var cpu time.Duration
	for range b.rounds {
		ceiling, err := load{addr: q.bare.addr, connections: b.connections}.run(ctx, q.requests)
		if err != nil {
			return err
		}
		before := q.server.cpu()
		o, err := load{addr: q.server.addr, connections: b.connections}.run(ctx, q.requests)
		if err != nil {
			return err
		}
		cpu += q.server.cpu() - before
		ratios, perSecond = append(ratios, o.perSecond()/ceiling.perSecond()), append(perSecond, o.perSecond())
	}
	ratio := median(ratios)
	b.report.line("%.1f µs of CPU for each", float64(cpu.Microseconds())/float64(b.rounds*len(q.requests)))
	b.report.target(ratio >= target, fmt.Sprintf("%s of %d accounts, %d bytes each", what, b.accounts, q.bytes),
		fmt.Sprintf("%.0f/s, %.2f of a bare handler", median(perSecond), ratio), fmt.Sprintf("at least %.1f", target))
	return nil
}

// answer is what a path is answered with, byte by byte.
func (c *child) answer(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.addr+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+devKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}
