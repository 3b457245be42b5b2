package api

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// figure is one metric that is read when it is asked for.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func gauge(name, help string, labels ...string) figure {
	return figure{prometheus.NewDesc("daybook_"+name, help, labels, nil), prometheus.GaugeValue}
}

func counter(name, help string, labels ...string) figure {
	return figure{prometheus.NewDesc("daybook_"+name, help, labels, nil), prometheus.CounterValue}
}

// emitter sends figures to a scrape.
type emitter chan<- prometheus.Metric

func (e emitter) number(f figure, value float64, labels ...string) {
	e <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
}

func (e emitter) count(f figure, n uint64, labels ...string) { e.number(f, float64(n), labels...) }

func (e emitter) yes(f figure, is bool, labels ...string) {
	value := 0.0
	if is {
		value = 1
	}
	e.number(f, value, labels...)
}

// moment sends a time in seconds since 1970, and nothing for none.
func (e emitter) moment(f figure, t time.Time, labels ...string) {
	if !t.IsZero() {
		e.number(f, float64(t.UnixMilli())/1000, labels...)
	}
}
