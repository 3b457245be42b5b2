package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/sirupsen/logrus"

	"github.com/daybookhq/daybook/cmd/daybook/config"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/esdb"
	storesqlite "github.com/daybookhq/daybook/eventstore/sqlite"
)

// The kinds of store, as the status names them.
const (
	embeddedKind = "sqlite"
	clusterKind  = "eventstoredb"
)

func storeKind(cfg *config.Config) string {
	if cfg.EventStoreURL != "" {
		return clusterKind
	}
	return embeddedKind
}

// rebuildReaders is how many parts of the log a rebuild reads at once. The
// positions of the embedded store are its row numbers, so its log can be cut
// into parts of one size; those of a cluster are opaque.
func rebuildReaders(cfg *config.Config) int {
	if storeKind(cfg) == embeddedKind {
		return 2
	}
	return 0
}

// checkAfter leaves the first half minute to catching up, and spares commands,
// which end before, the check of the whole file.
const checkAfter = 30 * time.Second

// openStore opens the configured store for reading and writing. Opening one on
// a cluster does not reach for it yet.
func openStore(ctx context.Context, cfg *config.Config, log logrus.FieldLogger) (eventstore.Store, error) {
	if storeKind(cfg) == clusterKind {
		s, err := openCluster(cfg, func(err error) { log.WithError(err).Warn("event store") })
		if err != nil {
			return nil, err // an interface around no store would not be nil
		}
		return s, nil
	}
	if err := refuseLeft(cfg.DataDir); err != nil {
		return nil, err
	}
	s, err := storesqlite.Open(ctx, storePath(cfg.DataDir), storesqlite.Options{Report: reportFinding(log), CheckAfter: checkAfter})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func openCluster(cfg *config.Config, report func(error)) (*esdb.Store, error) {
	return esdb.Open(cfg.EventStoreURL, esdb.Options{Prefix: cfg.StreamPrefix, Report: report})
}

// storeReader is a store opened for reading.
type storeReader interface {
	eventstore.Reader
	Close() error
}

// openStoreReader opens the configured store beside whoever writes to it.
func openStoreReader(ctx context.Context, cfg *config.Config) (storeReader, error) {
	if storeKind(cfg) == clusterKind {
		s, err := openCluster(cfg, nil)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	s, err := storesqlite.OpenReader(ctx, storePath(cfg.DataDir))
	if err != nil {
		return nil, err
	}
	return s, nil
}

// errNoStore says that there is no store yet.
var errNoStore = errors.New("run daybook serve to found one")

// storeExists refuses a store that was not founded yet, for commands that would
// make nothing of a new one.
func storeExists(ctx context.Context, cfg *config.Config) error {
	if storeKind(cfg) == embeddedKind {
		return embeddedExists(cfg.DataDir)
	}
	store, err := openStoreReader(ctx, cfg)
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // it was only read
	_, err = readFounding(ctx, store)
	if errors.Is(err, eventstore.ErrStreamNotFound) {
		return fmt.Errorf("there is no store at EVENTSTORE_URL yet, with the prefix %q: %w", cfg.StreamPrefix, errNoStore)
	}
	return err
}

func embeddedExists(dir string) error {
	if _, err := os.Stat(storePath(dir)); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no store in %s yet: %w, or name another --data-dir", dir, errNoStore)
	}
	return nil
}

// ownership is the claim of one process to be a data dir's only writer, where
// no embedded store in it makes that claim.
type ownership struct{ lock *flock.Flock }

// own claims the data dir of a store on a cluster. The lock is that of the
// embedded store, so that two servers with different stores do not share a read
// model either.
func own(cfg *config.Config) (*ownership, error) {
	if storeKind(cfg) == embeddedKind {
		return &ownership{}, nil // opening it does that
	}
	return ownDir(cfg.DataDir)
}

func ownDir(dir string) (*ownership, error) {
	path := storePath(dir) + ".lock"
	lock := flock.New(path)
	taken, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data dir: %w", err)
	}
	if !taken {
		pid, _ := os.ReadFile(path) // it is for people; an owner that just begins has not written it yet
		return nil, fmt.Errorf("the data dir %s is in use by process %s", dir, strings.TrimSpace(string(pid)))
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the data dir: %w", err), lock.Unlock())
	}
	return &ownership{lock: lock}, nil
}

func (o *ownership) release() error {
	if o == nil || o.lock == nil {
		return nil
	}
	return o.lock.Unlock()
}
