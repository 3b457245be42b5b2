package main

import (
	"io"
	"os"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/daybookhq/daybook/cmd/daybook/config"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "daybook",
		Short:         "Event-sourced billing ledger for Stripe",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArgs,
		RunE:          showHelp,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.SetOut(os.Stdout) // cobra would print to standard error
	root.CompletionOptions.HiddenDefaultCmd = true
	config.AddFlags(root.PersistentFlags())
	root.AddCommand(
		serveCommand(), simulateCommand(), ingestCommand(), rebuildCommand(), migrateCommand(),
		eventsCommand(), showCommand(), explainCommand(), failuresCommand(),
		repostCommand(), repudiateCommand(), backupCommand(), backfillCommand(), reconcileCommand(), acceptLossCommand(), endpointCommand(), verifyCommand(),
		waiverCommand(), blockCommand(), unblockCommand(), graceCommand(), catalogCommand(),
		doctorCommand(), healthCommand(), initStoreCommand(), configCommand(), keysCommand(), versionCommand(),
	)
	return root
}

// showHelp is what a command does that only groups others. With it the group
// can be run, so that a command that is not there is refused by noArgs.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("no such command or argument: %q (see %s --help)", args[0], cmd.CommandPath())
	}
	return nil
}

// exactArgs wants the arguments that names lists.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usagef("%s wants %s (see %s --help)", cmd.CommandPath(), strings.Join(names, " "), cmd.CommandPath())
		}
		return nil
	}
}

// oneArgAtMost takes the argument of that name, or none.
func oneArgAtMost(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef("%s wants %s or nothing (see %s --help)", cmd.CommandPath(), name, cmd.CommandPath())
		}
		return nil
	}
}

// loadConfig reads the configuration of a command. Only those that receive
// webhooks need a signing secret.
func loadConfig(cmd *cobra.Command, serving bool) (*config.Config, error) {
	return config.Load(configInput(cmd.Flags(), serving))
}

func configInput(flags *pflag.FlagSet, serving bool) config.Input {
	return config.Input{Flags: flags, Environ: os.Environ(), Serving: serving}
}

// newLogger writes to w as the configuration says.
func newLogger(cfg *config.Config, w io.Writer) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(w)
	log.SetLevel(cfg.LogLevel)
	if cfg.LogFormat == "json" {
		log.SetFormatter(&logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano})
	} else {
		log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true})
	}
	return log
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.Println(version)
			return nil
		},
	}
}

// systemClock is the only clock of the program; everything below gets it handed in.
func systemClock() time.Time { return time.Now() }
