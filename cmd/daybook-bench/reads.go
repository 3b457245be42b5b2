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
	maker, err := newEventMaker("reads", b.accounts, time.Now())
	if err != nil {
		return err
	}
	server, err := b.startDaybook(ctx, filepath.Join(b.work, "reads"))
	if err != nil {
		return err
	}
	defer server.kill()
	if _, err := (load{addr: server.addr, connections: b.connections}).run(ctx, maker.requests(b.accounts, time.Now())); err != nil {
		return err
	}
	if _, err := awaitEffects(ctx, server, giveUpAfter); err != nil {
		return err
	}
	answer, err := server.answer(ctx, "/v1/entitlements/"+maker.account(0))
	if err != nil {
		return err
	}
	file := filepath.Join(b.work, "answer.json")
	if err := os.WriteFile(file, answer, 0o600); err != nil {
		return err
	}
	bare, err := b.startCeiling(ctx, "-answer", file)
	if err != nil {
		return err
	}
	defer bare.kill()
	requests := make([][]byte, b.reads)
	for i := range requests {
		requests[i] = fmt.Appendf(nil, "GET /v1/entitlements/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n\r\n", maker.account(i), devKey)
	}
	var ratios, perSecond []float64
	for range b.rounds {
		ceiling, err := load{addr: bare.addr, connections: b.connections}.run(ctx, requests)
		if err != nil {
			return err
		}
		o, err := load{addr: server.addr, connections: b.connections}.run(ctx, requests)
		if err != nil {
			return err
		}
		ratios, perSecond = append(ratios, o.perSecond()/ceiling.perSecond()), append(perSecond, o.perSecond())
	}
	ratio := median(ratios)
	b.report.target(ratio >= targetReads, fmt.Sprintf("entitlements of %d accounts, %d bytes each", b.accounts, len(answer)),
		fmt.Sprintf("%.0f/s, %.2f of a bare handler", median(perSecond), ratio), fmt.Sprintf("at least %.1f", targetReads))
	return server.stop()
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
