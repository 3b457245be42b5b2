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

// declared are all figures that a scrape may tell.
var declared []figure

func gauge(name, help string, labels ...string) figure {
	return declare(prometheus.GaugeValue, name, help, labels)
}

func counter(name, help string, labels ...string) figure {
	return declare(prometheus.CounterValue, name, help, labels)
}

// declare is for the variables of this package, before anything is scraped.
func declare(kind prometheus.ValueType, name, help string, labels []string) figure {
	f := figure{prometheus.NewDesc("daybook_"+name, help, labels, nil), kind}
	declared = append(declared, f)
	return f
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
