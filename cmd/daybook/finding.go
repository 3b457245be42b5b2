package main

import storesqlite "github.com/daybookhq/daybook/eventstore/sqlite"

// reportFinding logs what the store found out about its file.
func (n *node) reportFinding(f storesqlite.Finding) {
	entry := n.log.WithField("position", f.Position)
	if f.Err != nil {
		entry = entry.WithError(f.Err)
	}
	switch {
	case f.Kind == storesqlite.CheckFailed:
		entry.Error("event store: " + f.Kind.String())
	case f.Bad():
		entry.WithField("wal_bytes", f.Bytes).Warn("event store: " + f.Kind.String())
	default:
		entry.Info("event store: " + f.Kind.String())
	}
}
