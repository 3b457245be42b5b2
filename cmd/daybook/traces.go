package main

import (
	"context"

	"github.com/sirupsen/logrus"

	"github.com/daybookhq/daybook/cmd/daybook/config"
	"github.com/daybookhq/daybook/cmd/daybook/tracing"
)

// startTracing returns nil where nobody asked for traces.
func startTracing(ctx context.Context, cfg *config.Config, log logrus.FieldLogger) (*tracing.Tracing, error) {
	if !cfg.Traces.On {
		return nil, nil
	}
	traces, err := tracing.Start(ctx, tracing.Options{Share: cfg.Traces.Share, MostWaiting: cfg.Traces.MostWaiting,
		Version: version, Instance: processName(), Log: log})
	if err == nil {
		log.WithField("share", cfg.Traces.Share).Info("traces are delivered")
	}
	return traces, err
}

func stopTracing(ctx context.Context, traces *tracing.Tracing, log logrus.FieldLogger) {
	if err := traces.Stop(ctx); err != nil {
		log.WithError(err).Warn("the last traces were not delivered")
	}
}
