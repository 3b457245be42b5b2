package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/cmd/daybook/config"
	"github.com/daybookhq/daybook/cmd/daybook/simulate"
)

// webhookRoute is where deliveries go.
const webhookRoute = "/webhooks/stripe"

// simulation is what the simulate command was asked for.
type simulation struct {
	options     simulate.Options
	end         string
	out         string
	url         string
	secret      string
	apiKey      string
	rate        float64
	concurrency int
	check       bool
	timeout     time.Duration
}

func simulateCommand() *cobra.Command {
	var s simulation
	cmd := &cobra.Command{
		Use: "simulate", Short: "Make the traffic of simulated Stripe accounts, and check what became of it", Args: noArgs,
		Long: "Makes seeded Stripe lifecycles in Stripe's payload shapes. Signs and sends them to a webhook route,\n" +
			"or writes them to a file. With --check it asks the API what became of them, and exits 1 if anything\n" +
			"differs from what its own model expects. The same seed and --end give the same bytes,\n" +
			"another of either other accounts.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, false)
			if err != nil {
				return err
			}
			if err := s.complete(cfg); err != nil {
				return err
			}
			run := simulate.Generate(s.options)
			if s.out != "" {
				return s.write(cmd, run)
			}
			return s.deliver(cmd.Context(), cmd, run)
		},
	}
	s.addFlags(cmd)
	return cmd
}

func (s *simulation) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Uint64Var(&s.options.Seed, "seed", 1, "what the lifecycles are drawn from")
	f.IntVar(&s.options.Accounts, "accounts", 200, "how many accounts")
	f.StringVar(&s.end, "end", "", "Stripe's time at which the histories end (RFC 3339); now if empty")
	f.Float64Var(&s.options.Shuffle, "shuffle", 0, "share of deliveries, 0 to 1, that come out of order")
	f.Float64Var(&s.options.Duplicates, "duplicates", 0, "share of events, 0 to 1, that are delivered again")
	f.StringVar(&s.out, "out", "", "write the events to this file as JSON lines, and send nothing; - is standard output")
	f.StringVar(&s.url, "url", "", "webhook route; the one at --addr if empty")
	f.StringVar(&s.secret, "secret", "", "signing secret; the first configured one, or development's, if empty")
	f.StringVar(&s.apiKey, "api-key", config.DevAPIKey, "API key for --check")
	f.Float64Var(&s.rate, "rate", 0, "deliveries per second; 0 for as fast as they go")
	f.IntVar(&s.concurrency, "concurrency", 16, "connections")
	f.BoolVar(&s.check, "check", false, "compare what the API answers with what must be")
	f.DurationVar(&s.timeout, "check-timeout", time.Minute, "how long the service may take to catch up")
}

// complete fills in what the configuration knows, and checks the rest.
func (s *simulation) complete(cfg *config.Config) error {
	s.options.End = systemClock().UTC().Truncate(time.Second)
	if s.end != "" {
		end, err := time.Parse(time.RFC3339, s.end)
		if err != nil {
			return usagef("--end %q: want a time like 2026-01-31T12:00:00Z", s.end)
		}
		s.options.End = end
	}
	s.options.Livemode, s.options.AccountKey = cfg.Livemode && !cfg.Dev, cfg.AccountKeys[0]
	if s.url == "" {
		s.url = "http://" + cfg.Addr + webhookRoute
	}
	switch {
	case s.secret != "":
	case len(cfg.WebhookSecrets) > 0:
		s.secret = cfg.WebhookSecrets[0]
	default: // nothing is configured, so a server in development is meant
		s.secret, s.options.Livemode = config.DevSecret, false
	}
	switch {
	case s.options.Accounts < 1:
		return usagef("--accounts %d: want at least 1", s.options.Accounts)
	case s.concurrency < 1 || s.rate < 0:
		return usagef("--concurrency wants at least 1, --rate at least 0")
	case !isShare(s.options.Shuffle) || !isShare(s.options.Duplicates):
		return usagef("--shuffle and --duplicates want a share from 0 to 1")
	}
	return nil
}

func isShare(f float64) bool { return f >= 0 && f <= 1 }

func (s *simulation) write(cmd *cobra.Command, run *simulate.Run) (err error) {
	w := cmd.OutOrStdout()
	if s.out != "-" {
		file, err := os.Create(s.out)
		if err != nil {
			return err
		}
		defer func() {
			if closeErr := file.Close(); err == nil {
				err = closeErr
			}
		}()
		w = file
	}
	if err := run.WriteJSONL(w); err != nil {
		return fmt.Errorf("write %s: %w", s.out, err)
	}
	cmd.PrintErrf("%d deliveries of %d events for %d accounts\n", len(run.Deliveries), run.Events, s.options.Accounts)
	return nil
}

func (s *simulation) deliver(ctx context.Context, cmd *cobra.Command, run *simulate.Run) error {
	bar := newProgress(cmd, "send", int64(len(run.Deliveries)))
	stats, err := simulate.Send(ctx, simulate.SendOptions{URL: s.url, Secret: s.secret, Rate: s.rate,
		Concurrency: s.concurrency, Retry: true,
		OnProgress: func(sent, total int, _ simulate.Stats) { bar.tell(int64(sent), int64(total)) }}, run.Deliveries)
	bar.finish()
	if err != nil {
		return err
	}
	cmd.Println(stats)
	if !s.check {
		return nil
	}
	return s.compare(ctx, cmd, run)
}

func (s *simulation) compare(ctx context.Context, cmd *cobra.Command, run *simulate.Run) error {
	report, err := simulate.Check(ctx, simulate.CheckOptions{URL: baseOf(s.url), APIKey: s.apiKey, Timeout: s.timeout},
		run, systemClock())
	if err != nil {
		return err
	}
	cmd.Println(report)
	if !report.OK() {
		return errReported
	}
	return nil
}
