// Command daybook is an event-sourced billing ledger for Stripe: it receives
// webhooks, keeps them for ever, and answers what an account may do.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/daybookhq/daybook/cmd/daybook/config"
)

// version is set by the linker.
var version = "devel"

// The exit codes: done; found a difference or a fault; wrong usage.
const (
	exitDone  = 0
	exitFault = 1
	exitUsage = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string) int {
	cmd := newRoot() //nolint:contextcheck // commands get theirs from ExecuteContext
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintln(os.Stderr, "daybook:", err)
	}
	var faults config.Faults
	var usage *usageError
	var mode *wrongModeError
	var left *leftError
	if errors.As(err, &faults) || errors.As(err, &usage) || errors.As(err, &mode) || errors.As(err, &left) {
		return exitUsage
	}
	return exitFault
}

// errReported ends a command whose output has already said what was found.
var errReported = errors.New("faults were reported")

// usageError is a command line that cannot be carried out as written.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }
