package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/cmd/daybook/config"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/migration"
	storesqlite "github.com/daybookhq/daybook/eventstore/sqlite"
	"github.com/daybookhq/daybook/intake/posting"
)

// migratedType ends a copy: everything is there, and was compared.
const migratedType = "StoreMigrated"

// migrated is what was copied, as both stores had it when they were compared.
type migrated struct {
	Schema int `json:"schema"`
	// CopyOf is the epoch of the original, in which Position counts: that of the
	// last event that was copied.
	CopyOf   string              `json:"copy_of"`
	Position eventstore.Position `json:"position"`
	Events   uint64              `json:"events"`
	Streams  uint64              `json:"streams"`
	// SHA256 is over all that was copied, in the order of the log.
	SHA256     string    `json:"sha256"`
	MigratedAt time.Time `json:"migrated_at"`
}

// migrationPatience is how long the target may be away in the middle.
const migrationPatience = 2 * time.Minute

func migrateCommand() *cobra.Command {
	var to, output string
	cmd := &cobra.Command{
		Use: "migrate --to URL", Short: "Copy the embedded store into an empty EventStoreDB, and compare the two", Args: noArgs,
		Long: "Copies every event of the data dir's embedded store into an EventStoreDB or KurrentDB cluster, in the\n" +
			"order of the log, and then compares the two event by event. The data dir must not be served meanwhile.\n" +
			"The target must be empty under EVENTSTORE_STREAM_PREFIX; a migration that was broken off is gone on with\n" +
			"by running it again. The embedded store is only read. Without --to, EVENTSTORE_URL names the target.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			cfg, err := loadMigration(cmd, to)
			if err != nil {
				return err
			}
			m, err := openMove(cmd.Context(), cfg, newLogger(cfg, cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			defer m.close()
			result, err := m.run(cmd)
			if err != nil {
				return err
			}
			return result.report(cmd, output)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "connection string of the target; it is EVENTSTORE_URL for this command")
	addOutputFlag(cmd, &output)
	return cmd
}

// loadMigration reads the configuration that the target is to be used with.
func loadMigration(cmd *cobra.Command, to string) (*config.Config, error) {
	if to != "" {
		if err := cmd.Flags().Set("eventstore-url", to); err != nil {
			return nil, err
		}
	}
	cfg, err := loadConfig(cmd, false)
	if err == nil && cfg.EventStoreURL == "" {
		err = usagef("migrate wants a target: --to URL, or EVENTSTORE_URL, or EVENTSTORE_URL_FILE to keep its password out of sight")
	}
	return cfg, err
}

// move is a migration of a data dir's store.
type move struct {
	*migration.Migration
	cfg   *config.Config
	owned *ownership
	from  *storesqlite.Reader
	to    eventstore.Store
	// origin is what the embedded store is.
	origin founded
}

// openMove claims the data dir, and opens both stores.
func openMove(ctx context.Context, cfg *config.Config, log logrus.FieldLogger) (m *move, err error) {
	if err := embeddedExists(cfg.DataDir); err != nil {
		return nil, err
	}
	m = &move{cfg: cfg}
	opened := m // a return of nil must not lose what is open already
	defer func() {
		if err != nil {
			opened.close()
		}
	}()
	if m.owned, err = ownDir(cfg.DataDir); err != nil {
		return nil, fmt.Errorf("%w: stop it first, a store that is served cannot be migrated", err)
	}
	if m.from, err = storesqlite.OpenReader(ctx, storePath(cfg.DataDir)); err != nil {
		return nil, err
	}
	if m.origin, err = readFounding(ctx, m.from); err != nil {
		return nil, err
	}
	if lost, _, err := readHistory(ctx, m.from); err != nil {
		return nil, err
	} else if lost != nil {
		return nil, fmt.Errorf("%s, and a copy would not know it: run daybook serve until it is made good, or daybook accept-loss", lost)
	}
	report := func(err error) { log.WithError(err).Warn("the target") }
	if m.to, err = openCluster(cfg, report); err != nil {
		return nil, err
	}
	m.Migration = &migration.Migration{From: m.from, To: m.to, Patience: migrationPatience, Report: report,
		// Each store says itself what it is, and up to where in it is posted.
		Own: []eventstore.Stream{storeStream, posting.CheckpointStream}}
	return m, nil
}

func (m *move) close() {
	if m.from != nil {
		_ = m.from.Close() // it was only read
	}
	if m.to != nil {
		_ = m.to.Close() // what it holds was compared
	}
	_ = m.owned.release()
}

// run copies and compares, as far as that is not done.
func (m *move) run(cmd *cobra.Command) (*moved, error) {
	ctx := cmd.Context()
	about, done, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	result := &moved{To: m.cfg.EventStoreHosts(), Prefix: m.cfg.StreamPrefix, Epoch: about.Epoch, Already: done != nil}
	if done == nil {
		done, err = m.carry(cmd, about)
	} else {
		err = m.compareAgain(cmd, *done)
	}
	var differs *migration.DifferenceError
	switch {
	case errors.As(err, &differs):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: run migrate again to go on", err)
	}
	result.migrated = *done
	return result, leave(m.cfg.DataDir, result)
}

// begin finds what the target is, and makes an empty one the beginning of a copy.
func (m *move) begin(ctx context.Context) (founded, *migrated, error) {
	about, done, err := readLineage(ctx, m.to)
	if errors.Is(err, eventstore.ErrStreamNotFound) {
		if err = m.foundCopy(ctx); err == nil {
			about, done, err = readLineage(ctx, m.to)
		}
	}
	switch {
	case err != nil:
		return about, nil, err
	case about.CopyOf == nil:
		return about, nil, m.notEmpty("it is a store of its own, with epoch " + about.Epoch)
	case about.CopyOf.Epoch != m.origin.Epoch:
		return about, nil, m.notEmpty("it is a copy of another store, whose epoch is " + about.CopyOf.Epoch)
	}
	return about, done, nil
}

func (m *move) notEmpty(why string) error {
	return fmt.Errorf("the target %s, with the prefix %q, is not empty: %s; name another EVENTSTORE_STREAM_PREFIX, or another cluster",
		m.cfg.EventStoreHosts(), m.cfg.StreamPrefix, why)
}

// foundCopy makes an empty target the beginning of a copy, with an epoch of its
// own: positions of the original mean nothing in it.
func (m *move) foundCopy(ctx context.Context) error {
	empty, err := m.Empty(ctx)
	if err != nil {
		return fmt.Errorf("look into the target: %w", err)
	}
	if !empty {
		return m.notEmpty("it holds streams that are none of ours")
	}
	about := founded{Schema: 1, Epoch: uuid.NewString(), Livemode: m.origin.Livemode, FoundedAt: systemClock().UTC(), CopyOf: &m.origin}
	if err := appendFounding(ctx, m.to, about); err != nil && !eventstore.IsConflict(err) {
		return fmt.Errorf("begin the copy: %w", err)
	}
	return nil // with a conflict, another process has begun one
}

// carry copies what the target lacks, compares, and says that it is done.
func (m *move) carry(cmd *cobra.Command, about founded) (*migrated, error) {
	ctx := cmd.Context()
	if err := m.shown(cmd, "copy", func() error { return m.Copy(ctx) }); err != nil {
		return nil, err
	}
	posted, err := posting.Checkpoint(ctx, m.from, m.origin.Epoch)
	if err != nil {
		return nil, err
	}
	same, err := m.compare(cmd, posted)
	if err != nil {
		return nil, err
	}
	if same.More > 0 {
		return nil, fmt.Errorf("the target has %d events that were not copied: something else writes to it", same.More)
	}
	if err := posting.WriteCheckpoint(ctx, m.to, about.Epoch, same.Marked, systemClock()); err != nil {
		return nil, fmt.Errorf("write the posting checkpoint: %w", err)
	}
	done := &migrated{Schema: 1, CopyOf: m.origin.Epoch, Position: same.From, Events: same.Events, Streams: same.Streams,
		SHA256: same.SHA256, MigratedAt: systemClock().UTC()}
	event, err := ownEvent(migratedType, done, done.MigratedAt)
	if err != nil {
		return nil, err
	}
	_, err = m.to.Append(ctx, storeStream, eventstore.Exactly(0), event)
	if err != nil {
		return nil, fmt.Errorf("end the copy: %w", err)
	}
	return done, nil
}

// compareAgain compares what was copied before; what the copy has taken in since
// comes behind it.
func (m *move) compareAgain(cmd *cobra.Command, done migrated) error {
	same, err := m.compare(cmd, 0)
	if err != nil {
		return fmt.Errorf("the store was migrated at %s, and is not the same any more: %w", moment(done.MigratedAt), err)
	}
	if same.SHA256 != done.SHA256 {
		return fmt.Errorf("the store was migrated at %s, and both hold something else now", moment(done.MigratedAt))
	}
	return nil
}

func (m *move) compare(cmd *cobra.Command, mark eventstore.Position) (same migration.Comparison, err error) {
	err = m.shown(cmd, "compare", func() error {
		same, err = m.Compare(cmd.Context(), mark)
		return err
	})
	return same, err
}

// shown does a part of the work, and shows how far it is.
func (m *move) shown(cmd *cobra.Command, what string, work func() error) error {
	bar := newProgress(cmd, what, 0)
	defer bar.finish()
	m.Progress = func(done, total uint64) { bar.tell(int64(done), int64(total)) }
	return work()
}

// moved is what became of a migration.
type moved struct {
	// To are the hosts of the target, Prefix what its streams begin with.
	To     string `json:"to"`
	Prefix string `json:"prefix"`
	// Epoch is that of the copy.
	Epoch string `json:"epoch"`
	// Already says that it was done before, and was compared again.
	Already bool `json:"already"`
	migrated
}

func (r *moved) report(cmd *cobra.Command, output string) error {
	if output == outputJSON {
		return writeJSON(cmd.OutOrStdout(), r)
	}
	how := "migrated"
	if r.Already {
		how = "migrated already at " + moment(r.MigratedAt)
	}
	cmd.Printf("%s to %s, prefix %q: %d events of %d streams, in the order of the log\n", how, r.To, r.Prefix, r.Events, r.Streams)
	cmd.Printf("compared event by event: the same; sha256 %s\n", r.SHA256)
	cmd.Printf("the epoch there is %s; serve with EVENTSTORE_URL from now on\n", r.Epoch)
	return nil
}
