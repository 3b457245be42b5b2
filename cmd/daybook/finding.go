package main

import (
	"github.com/sirupsen/logrus"

	storesqlite "github.com/daybookhq/daybook/eventstore/sqlite"
)

// reportFinding logs what the embedded store found out about its file.
func reportFinding(log logrus.FieldLogger) func(storesqlite.Finding) {
	return func(f storesqlite.Finding) { logFinding(log, f) }
}

func logFinding(log logrus.FieldLogger, f storesqlite.Finding) {
	entry := log.WithField("position", f.Position)
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
