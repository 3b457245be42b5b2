package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/daybookhq/daybook/cmd/daybook/config"
	"github.com/daybookhq/daybook/intake/reconcile"
)

// callWriting makes the call of a command that writes into a store that is there.
func callWriting(cmd *cobra.Command, output, name string, content, result any) error {
	return callJSON(cmd, output, name, storeExists, content, result)
}

// callStripe makes the call of a command for which Stripe is asked, by whoever owns
// the data dir and with its key. Without a key nothing is begun, not even a store.
func callStripe(cmd *cobra.Command, output, name string, content, result any) error {
	return callJSON(cmd, output, name, keyExists, content, result)
}

func keyExists(ctx context.Context, cfg *config.Config) error {
	if cfg.StripeKey == "" && !socketAnswers(ctx, cfg.DataDir) {
		return reconcile.ErrNoKey
	}
	return nil
}

// callJSON makes the call of a command, whose route has its name, with its content
// as JSON and its progress shown. Ready tells why it cannot be made.
func callJSON(cmd *cobra.Command, output, name string, ready func(context.Context, *config.Config) error, content, result any) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	cfg, err := loadConfig(cmd, false)
	if err != nil {
		return err
	}
	if err := ready(cmd.Context(), cfg); err != nil {
		return err
	}
	body, err := json.Marshal(content)
	if err != nil {
		return err
	}
	bar := newProgress(cmd, name, 0)
	defer bar.finish()
	return callControl(cmd.Context(), cfg, newLogger(cfg, cmd.ErrOrStderr()), "/"+name, bytes.NewReader(body), bar.tell, result)
}

// callControl carries out one call at whoever owns the data dir: a running
// server, or else a node that is opened here for as long as the call takes.
func callControl(ctx context.Context, cfg *config.Config, log *logrus.Logger, route string, body io.Reader,
	tell func(done, total int64), result any) error {
	if socketAnswers(ctx, cfg.DataDir) {
		return postControl(ctx, cfg.DataDir, route, body, tell, result)
	}
	n, err := openNode(ctx, cfg, log, nil)
	if err != nil {
		return err
	}
	defer n.close()
	control, err := listenControl(ctx, cfg.DataDir)
	if err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	group, groupCtx := errgroup.WithContext(working)
	group.Go(func() error { return n.run(groupCtx, n.poster.Run) })
	group.Go(func() error {
		return serveHTTP(groupCtx, endpoint{server: n.controlServer(groupCtx), listener: control})
	})
	group.Go(func() error {
		defer stop()
		if err := postControl(groupCtx, cfg.DataDir, route, body, tell, result); err != nil {
			return err
		}
		return n.settle(groupCtx)
	})
	return group.Wait()
}

func socketAnswers(ctx context.Context, dir string) bool {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socketPath(dir))
	if err != nil {
		return false
	}
	_ = conn.Close() // nothing was said
	return true
}

// postControl makes one call through the socket and follows its progress.
func postControl(ctx context.Context, dir, route string, body io.Reader, tell func(done, total int64), result any) error {
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socketPath(dir))
		},
	}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://daybook"+route, body)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("call the server: %w", err)
	}
	defer resp.Body.Close()
	return readControl(resp.Body, tell, result)
}

func readControl(body io.Reader, tell func(done, total int64), result any) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var line controlLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("read the server's answer: %w", err)
		}
		switch {
		case line.Refused:
			return &usageError{errors.New(line.Error)}
		case line.Error != "":
			return errors.New(line.Error)
		case line.Result != nil:
			return json.Unmarshal(line.Result, result)
		}
		tell(line.Done, line.Total)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return errors.New("the server went away before it was done")
}
