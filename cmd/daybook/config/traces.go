package config

import (
	"net/url"
	"strconv"
	"strings"
)

// Traces says whether, and which, traces are delivered. Where to is for
// OpenTelemetry's library, which reads the environment itself.
type Traces struct {
	// On says that somebody asked for them.
	On bool
	// Share is the part of all events that is traced, from 0 to 1.
	Share float64
	// MostWaiting bounds the spans that wait to be delivered.
	MostWaiting int
}

// mostWaitingSpans bounds the bound: some 150 MB.
const mostWaitingSpans = 100_000

// traces reads OpenTelemetry's standard variables. They count as asked for where
// there is a place to deliver them to, or the exporter was named.
func (p *parser) traces(c *Config) {
	exporter := strings.TrimSpace(p.get(nameTracesExporter))
	if exporter != "" && exporter != "otlp" && exporter != "none" {
		p.fault(nameTracesExporter, "%q is neither otlp nor none", exporter)
	}
	for _, name := range []string{nameOTLPEndpoint, nameOTLPTracesEndpoint} {
		p.endpointURL(name)
	}
	for _, name := range []string{nameOTLPProtocol, nameOTLPTracesProtocol} {
		if protocol := p.get(name); protocol != "" && protocol != "http/protobuf" {
			p.fault(name, "%q is not supported: traces are delivered by http/protobuf", protocol)
		}
	}
	disabled := strings.EqualFold(p.get(nameOTelDisabled), "true") // the standard takes all else for false
	asked := exporter == "otlp" || p.explicit[nameOTLPEndpoint] || p.explicit[nameOTLPTracesEndpoint]
	c.Traces.On = asked && exporter != "none" && !disabled
	c.Traces.Share = p.sampler()
	n, err := strconv.Atoi(p.get(nameTracesQueue))
	if err != nil || n < 1 || n > mostWaitingSpans {
		p.fault(nameTracesQueue, "%q is not a number of spans from 1 to %d", p.get(nameTracesQueue), mostWaitingSpans)
	}
	c.Traces.MostWaiting = n
}

// sampler reads which traces are kept. The samplers that ask the parent first
// come to the same as those that do not: a trace's id, which decides, is the
// event's, and every process has the same.
func (p *parser) sampler() (share float64) {
	name, arg := p.get(nameTracesSampler), p.get(nameTracesSamplerArg)
	switch strings.TrimPrefix(strings.ToLower(strings.TrimSpace(name)), "parentbased_") {
	case "always_on":
		return 1
	case "always_off":
		return 0
	case "traceidratio":
		if arg == "" {
			return 1
		}
		share, err := strconv.ParseFloat(arg, 64)
		if err != nil || !(share >= 0 && share <= 1) {
			p.fault(nameTracesSamplerArg, "%q is not a ratio from 0 to 1", arg)
		}
		return share
	}
	p.fault(nameTracesSampler, "%q is none of always_on, always_off, traceidratio, and these after parentbased_", name)
	return 0
}

// endpointURL never shows a URL that is wrong: it may hold a token.
func (p *parser) endpointURL(name string) {
	text := p.get(name)
	if text == "" {
		return
	}
	if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		p.fault(name, "want http:// or https:// and a host")
	}
}

// maskEndpoint keeps of a URL what tells where it leads to.
func maskEndpoint(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return fingerprint(text)
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
