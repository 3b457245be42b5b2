package main

import (
	"context"
	"fmt"
	"net"

	"github.com/daybookhq/daybook/cmd/daybook/config"
)

// listeners are where a server listens: what has no address of its own is nil.
type listeners struct {
	public, metrics, profiles net.Listener
}

// listen listens wherever the configuration says. What was opened is returned
// with an error, too.
func listen(ctx context.Context, cfg *config.Config) (l listeners, err error) {
	for _, at := range []struct {
		addr     string
		listener *net.Listener
	}{{cfg.Addr, &l.public}, {cfg.MetricsAddr, &l.metrics}, {cfg.PprofAddr, &l.profiles}} {
		if at.addr == "" {
			continue
		}
		var listening net.ListenConfig
		if *at.listener, err = listening.Listen(ctx, "tcp", at.addr); err != nil {
			return l, fmt.Errorf("listen on %s: %w", at.addr, err)
		}
	}
	return l, nil
}

// close closes those that no server has closed yet.
func (l listeners) close() {
	for _, listener := range []net.Listener{l.public, l.metrics, l.profiles} {
		if listener != nil {
			_ = listener.Close() // most were closed with their server
		}
	}
}
