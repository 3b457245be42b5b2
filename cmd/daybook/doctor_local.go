package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daybookhq/daybook/eventstore"
	storesqlite "github.com/daybookhq/daybook/eventstore/sqlite"
	"github.com/daybookhq/daybook/projections"
	modelsqlite "github.com/daybookhq/daybook/projections/sqlite"
)

// lookAtDataDir looks at who may read and write what is in the data dir: it
// holds payloads as Stripe sent them.
func lookAtDataDir(_ context.Context, p *patient) []finding {
	dir := p.cfg.DataDir
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return found(note, "daybook serve makes it", "%s does not exist yet", dir)
	}
	if err != nil {
		return found(fault, "make it a folder that daybook may enter", "%v", err)
	}
	var all []finding
	if !writable(dir) {
		all = found(fault, "give it to the user that daybook runs as", "%s cannot be written to by this user", dir)
	}
	if info.Mode().Perm()&0o022 != 0 {
		all = append(all, finding{Grade: fault, Found: fmt.Sprintf("%s may be written to by others (mode %04o)", dir, info.Mode().Perm()),
			Do: "chmod 0700 " + dir})
	}
	for _, name := range []string{storePath(dir), modelPath(dir), socketPath(dir)} {
		if open, err := os.Stat(name); err == nil && open.Mode().Perm()&0o077 != 0 {
			all = append(all, finding{Grade: fault, Found: fmt.Sprintf("%s is open to others (mode %04o)", name, open.Mode().Perm()),
				Do: "chmod 0600 " + name})
		}
	}
	if len(all) > 0 {
		return all
	}
	return found(fine, "", "%s belongs to daybook alone", dir)
}

// The room on disk below which something is said. A rebuild writes a second
// read model beside the first.
const (
	scarceBytes = 256 << 20
	enoughBytes = 1 << 30
)

func lookAtDisk(_ context.Context, p *patient) []finding {
	dir, err := filepath.Abs(p.cfg.DataDir)
	if err != nil {
		return found(note, "", "the room on disk could not be learnt: %v", err)
	}
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	free, err := freeBytes(dir)
	if err != nil {
		return found(note, "", "the room on disk could not be learnt: %v", err)
	}
	var model uint64
	if info, err := os.Stat(modelPath(p.cfg.DataDir)); err == nil {
		model = uint64(info.Size())
	}
	const megabyte = 1 << 20
	switch {
	case free < scarceBytes+model:
		return found(fault, "make room: webhooks are refused when the disk is full, and a rebuild needs as much as the read model has",
			"%d MiB are free for %s, whose read model has %d", free/megabyte, p.cfg.DataDir, model/megabyte)
	case free < enoughBytes+2*model:
		return found(note, "make room before long", "%d MiB are free for %s", free/megabyte, p.cfg.DataDir)
	}
	return found(fine, "", "%d MiB are free", free/megabyte)
}

// lookAtStore opens the store, and says what it is.
func lookAtStore(ctx context.Context, p *patient) []finding {
	p.record.cfg = p.cfg
	if storeKind(p.cfg) == clusterKind {
		return lookAtCluster(ctx, p)
	}
	if _, err := os.Stat(storePath(p.cfg.DataDir)); errors.Is(err, fs.ErrNotExist) {
		return found(note, "daybook serve founds one", "there is no store in %s yet", p.cfg.DataDir)
	}
	file, err := storesqlite.OpenReader(ctx, storePath(p.cfg.DataDir))
	if err != nil {
		return found(fault, "if the file is damaged, stop the server and restore it from a backup", "%v", err)
	}
	p.file, p.store = file, file
	return lookAtFounding(ctx, p, "embedded")
}

// lookAtFounding says which store it is, and whether it is the right one.
func lookAtFounding(ctx context.Context, p *patient, kind string) []finding {
	head, err := p.store.Head(ctx)
	var about founded
	if err == nil {
		about, err = readFounding(ctx, p.store)
	}
	wrong := &wrongModeError{live: about.Livemode}
	switch {
	case errors.Is(err, eventstore.ErrStreamNotFound):
		return found(note, "daybook serve founds it", "%s, where nothing is founded under the prefix %q yet", kind, p.cfg.StreamPrefix)
	case err != nil:
		return found(fault, doAboutReading(p, err), "%v", err)
	case about.Livemode != p.cfg.Livemode:
		return found(fault, "set DAYBOOK_LIVEMODE="+modeName(about.Livemode)+", or name another store", "%v", wrong)
	}
	p.about, p.founded = about, true
	return found(fine, "", "%s, of %s mode, epoch %s, founded %s, its log ends at %d", kind, modeName(about.Livemode), about.Epoch, moment(about.FoundedAt), head)
}

// lookAtIntegrity reads the whole file.
func lookAtIntegrity(ctx context.Context, p *patient) []finding {
	if p.quick {
		return found(note, "", "not looked at: --quick")
	}
	bar := newProgress(p.cmd, "integrity", 0)
	defer bar.finish()
	var last eventstore.Position
	err := p.file.Check(ctx, func(at, head eventstore.Position) {
		last = at
		bar.tell(int64(at), int64(head))
	})
	if err != nil {
		return found(fault, "stop the server and restore the data dir from a backup; then have Stripe send again what came since", "%v", err)
	}
	return found(fine, "", "%d events, each with its place in the indexes and behind the one before", last)
}

// lookAtModel opens the read model, and says how far it is.
func lookAtModel(ctx context.Context, p *patient) []finding {
	model, err := modelsqlite.OpenReader(ctx, modelPath(p.cfg.DataDir))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return found(note, "daybook serve folds it from the log", "there is none in %s yet", p.cfg.DataDir)
	case err != nil:
		return found(fault, "daybook serve folds it anew from the log", "%v", err)
	}
	p.model = model
	checkpoint, err := model.Checkpoint(ctx)
	if err != nil {
		return found(fault, "daybook rebuild", "%v", err)
	}
	last, err := lastOf(ctx, p.store, projections.Prefixes...)
	switch {
	case err != nil:
		return found(fault, doAboutReading(p, err), "%v", err)
	case checkpoint.Epoch != p.about.Epoch:
		return found(note, "daybook serve folds it anew from the log", "it is of another store (epoch %q)", checkpoint.Epoch)
	case checkpoint.Position < last && !socketAnswers(ctx, p.cfg.DataDir):
		return found(note, "start daybook serve", "it is at %d of %d, and no server runs here", checkpoint.Position, last)
	case checkpoint.Position < last:
		return found(note, "it should get on; GET /v1/status tells how", "it is at %d of %d", checkpoint.Position, last)
	}
	return found(fine, "", "it has everything up to %d", last)
}

// lookAtFailures says what needs a person.
func lookAtFailures(ctx context.Context, p *patient) []finding {
	t, err := readTroubles(ctx, p.model)
	if err != nil {
		return found(fault, "daybook rebuild", "%v", err)
	}
	var all []finding
	if n := len(t.Failures); n > 0 {
		all = append(all, finding{Grade: fault, Found: fmt.Sprintf("%d recorded events could not be posted", n),
			Do: "see daybook failures; after an upgrade or a fix, daybook repost --failed"})
	}
	if n := len(t.Parked); n > 0 {
		all = append(all, finding{Grade: fault, Found: fmt.Sprintf("%d streams are parked by the projection", n),
			Do: "see daybook failures; after an upgrade or a fix, daybook rebuild"})
	}
	if len(all) > 0 {
		return all
	}
	return found(fine, "", "everything that was recorded is posted, and nothing is parked")
}

// shownPrices bounds the prices that a finding names.
const shownPrices = 5

// lookAtCatalog says whether every price in use has its place.
func lookAtCatalog(ctx context.Context, p *patient) []finding {
	if p.quick {
		return found(note, "", "not looked at: --quick")
	}
	checked := checkedCatalog{Hash: p.cfg.Catalog.Hash()}
	bar := newProgress(p.cmd, "catalog", 0)
	defer bar.finish()
	if err := checked.lookUp(ctx, &p.record, p.cfg.Catalog, bar.tell); err != nil {
		return found(fault, doAboutReading(p, err), "%v", err)
	}
	var all []finding
	if !checked.InForce {
		all = found(note, "daybook serve adopts it when it starts, and on SIGHUP", "the configured catalog is not the one in force")
	}
	if checked.UnmappedInUse > 0 {
		var prices []string
		for _, price := range checked.Prices {
			if price.InUse > 0 && price.Rule == "" && !slices.Contains(prices, price.Price) {
				prices = append(prices, price.Price)
			}
		}
		if len(prices) > shownPrices {
			prices = append(prices[:shownPrices:shownPrices], "…")
		}
		all = append(all, finding{Grade: fault, Do: "add them to the catalog; daybook catalog check shows all",
			Found: fmt.Sprintf("prices in use that have no place in it (%d): %s", checked.UnmappedInUse, strings.Join(prices, ", "))})
	}
	if len(all) > 0 {
		return all
	}
	return found(fine, "", "in force, with a place for each of the %d prices in history that is in use", len(checked.Prices))
}
