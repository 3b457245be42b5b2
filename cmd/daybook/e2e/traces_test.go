package e2e_test

import (
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/daybookhq/daybook/projections/redis/redistest"
)

// tracedTo has a server deliver traces, at once.
func tracedTo(endpoint string, more ...string) []string {
	return append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_BSP_SCHEDULE_DELAY=20"}, more...)
}

// traceOf is where docs/OPERATIONS.md says that the trace of an event is.
func traceOf(event string) []byte {
	sum := sha256.Sum256([]byte(event))
	return sum[:16]
}

// wayOf waits until a trace has all the spans, and returns them as "name < name
// of the parent", in the order of their names.
func (c *collector) wayOf(t *testing.T, event string, spans int) (way []string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d spans of %s", spans, event), func() bool { return len(c.trace(traceOf(event))) >= spans })
	all := c.trace(traceOf(event))
	names := map[string]string{}
	for _, s := range all {
		if id := string(s.GetSpanId()); names[id] != "" {
			t.Errorf("%s and %s have one id", names[id], s.GetName())
		}
		names[string(s.GetSpanId())] = s.GetName()
	}
	for _, s := range all {
		parent := names[string(s.GetParentSpanId())]
		switch {
		case len(s.GetParentSpanId()) == 0:
			parent = "-"
		case parent == "":
			parent = "?"
		}
		way = append(way, s.GetName()+" < "+parent)
		if s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano() || s.GetStartTimeUnixNano() == 0 {
			t.Errorf("%s took from %d to %d", s.GetName(), s.GetStartTimeUnixNano(), s.GetEndTimeUnixNano())
		}
	}
	slices.Sort(way)
	return way
}

// attributesOf are those of the spans of a name, as text.
func (c *collector) attributesOf(event, name string) (all []map[string]string) {
	for _, s := range c.trace(traceOf(event)) {
		if s.GetName() != name {
			continue
		}
		attributes := map[string]string{}
		for _, a := range s.GetAttributes() {
			attributes[a.GetKey()] = a.GetValue().GetStringValue()
		}
		all = append(all, attributes)
	}
	return all
}

// The way of an event with one fact, from Stripe to Redis.
var (
	takenIn   = []string{"POST /webhooks/stripe < -", "append to journal < POST /webhooks/stripe", "read body < POST /webhooks/stripe", "verify < POST /webhooks/stripe"}
	followed  = []string{"post < POST /webhooks/stripe", "translate < post", "decide < post", "append < post", "project < post"}
	delivered = []string{"publish < project"}
)

func wantWay(t *testing.T, got []string, parts ...[]string) {
	t.Helper()
	want := slices.Concat(parts...)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestOneEventIsOneTrace follows a webhook to Redis, and then another one whose
// posting is another process's; a redelivery joins the trace.
func TestOneEventIsOneTrace(t *testing.T) {
	t.Parallel()
	redis, to := redistest.Start(t), startCollector(t)
	l := publishing("", redis, tracedTo(to.URL)...)
	s := start(t, l)
	then := quietTime()
	const created = "customer.subscription.created"
	s.awaitPublished() // from now on, what changes is published
	s.mustDeliver(pricedEvent("evt_traced", created, "sub_traced", "active", then, "price_basic", "", "prod_x"), "recorded")
	wantWay(t, to.wayOf(t, "evt_traced", 10), takenIn, followed, delivered)
	for name, want := range map[string]map[string]string{
		"POST /webhooks/stripe": {"daybook.outcome": "recorded", "daybook.event.type": created},
		"post":                  {"daybook.outcome": "posted", "daybook.source": "stripe-webhook"},
		"append":                {"daybook.stream.category": "subscription"},
		"publish":               {"daybook.event.id": "evt_traced"},
	} {
		got := to.attributesOf("evt_traced", name)
		for key, value := range want {
			if len(got) != 1 || got[0][key] != value {
				t.Errorf("%s: want %s %q in %v", name, key, value, got)
			}
		}
	}
	s.mustDeliver(pricedEvent("evt_traced", created, "sub_traced", "active", then, "price_basic", "", "prod_x"), "duplicate")
	wantWay(t, to.wayOf(t, "evt_traced", 14), takenIn, takenIn, followed, delivered)
	s.stop()

	recorder := start(t, launch{dir: s.dir, args: []string{"--dev", "--posting=false"}, env: tracedTo(to.URL)})
	recorder.mustDeliver(subscriptionEvent("evt_handed_on", "customer.subscription.updated", "sub_traced", "acme", "past_due", then, ""), "recorded")
	recorder.stop()
	wantWay(t, to.wayOf(t, "evt_handed_on", 4), takenIn)
	start(t, launch{dir: s.dir, args: []string{"--dev"}, env: tracedTo(to.URL)}).settle()
	wantWay(t, to.wayOf(t, "evt_handed_on", 9), takenIn, followed)
	instances := map[string]bool{}
	for _, span := range to.trace(traceOf("evt_handed_on")) {
		instances[span.instance] = true
	}
	if len(instances) != 2 {
		t.Errorf("told by %v: want two processes", instances)
	}
	to.wantImpersonal(t)
}

// wantImpersonal wants no attribute but those that docs/OPERATIONS.md lists, and
// nothing in them that looks like an address, a secret, or an account of ours.
func (c *collector) wantImpersonal(t *testing.T) {
	t.Helper()
	listed := regexp.MustCompile("`([a-z_.]+)`").FindAllStringSubmatch(operationsOn(t, "Traces"), -1)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		for _, a := range s.GetAttributes() {
			if !slices.ContainsFunc(listed, func(m []string) bool { return m[1] == a.GetKey() }) {
				t.Errorf("%s has the attribute %s, which is not documented", s.GetName(), a.GetKey())
			}
			for _, word := range []string{"@", "whsec_", "cus_", "acme", "v1="} {
				if strings.Contains(a.GetValue().GetStringValue(), word) {
					t.Errorf("%s says %s: %s", s.GetName(), a.GetKey(), a.GetValue().GetStringValue())
				}
			}
		}
	}
}

// TestTracesOfWhatFails: what could not be posted is an error of its trace, and
// what is only recorded says so.
func TestTracesOfWhatFails(t *testing.T) {
	t.Parallel()
	to := startCollector(t)
	l := development("")
	l.env = tracedTo(to.URL)
	s := start(t, l)
	s.mustDeliver([]byte(`{"id":"evt_unread","object":"event","type":"customer.subscription.created","created":1700000000,"livemode":false,"api_version":"2024-06-20","data":{"object":{"id":"sub_1","object":"subscription"}}}`), "recorded")
	s.mustDeliver([]byte(`{"id":"evt_unused","object":"event","type":"radar.early_fraud_warning.created","created":1700000000,"livemode":false,"api_version":"2024-06-20","data":{"object":{"id":"issfr_1","object":"radar.early_fraud_warning"}}}`), "recorded")
	wantWay(t, to.wayOf(t, "evt_unread", 6), takenIn, []string{"post < POST /webhooks/stripe", "translate < post"})
	wantWay(t, to.wayOf(t, "evt_unused", 5), takenIn, []string{"post < POST /webhooks/stripe"})
	for event, want := range map[string]string{"evt_unread": "failed", "evt_unused": "recorded_only"} {
		if got := to.attributesOf(event, "post"); got[0]["daybook.outcome"] != want {
			t.Errorf("%s: %v", event, got)
		}
	}
	for _, span := range to.trace(traceOf("evt_unread")) {
		if failed := span.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR; failed != (span.GetName() == "post") {
			t.Errorf("%s failed: %v", span.GetName(), failed)
		}
	}
	s.stop()
}

// TestTracesAreOff unless they are asked for, and where they are refused.
func TestTracesAreOff(t *testing.T) {
	t.Parallel()
	to := startCollector(t)
	for name, env := range map[string][]string{
		"by default": nil, "no exporter": tracedTo(to.URL, "OTEL_TRACES_EXPORTER=none"), "disabled": tracedTo(to.URL, "OTEL_SDK_DISABLED=true"),
		"no share": tracedTo(to.URL, "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0"),
	} {
		l := development("")
		l.env = env
		s := start(t, l)
		s.mustDeliver(customerEvent("evt_untraced"), "recorded")
		s.settle()
		_, body := askMetrics(t, s.base, "")
		if tells := strings.Contains(body, "daybook_trace_spans_total"); tells != (name == "no share") {
			t.Errorf("%s: the metrics tell of spans: %v", name, tells)
		}
		s.stop() // and would deliver what waits
	}
	if n := to.count(); n > 0 {
		t.Errorf("%d spans were told", n)
	}
}

// TestACollectorThatHangsHoldsUpNobody: webhooks are answered, what finds no room
// is counted, and the server ends in time.
func TestACollectorThatHangsHoldsUpNobody(t *testing.T) {
	t.Parallel()
	hangs, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer hangs.Close()
	l := development("")
	l.env = tracedTo("http://"+hangs.Addr().String(), "OTEL_BSP_MAX_QUEUE_SIZE=16")
	s := start(t, l)
	for i := range 50 {
		s.mustDeliver(customerEvent(fmt.Sprintf("evt_hang_%d", i)), "recorded")
	}
	s.settle()
	_, body := askMetrics(t, s.base, "")
	dropped := regexp.MustCompile(`(?m)^daybook_trace_spans_total\{outcome="dropped"\} ([1-9]\d+)$`)
	if !dropped.MatchString(body) {
		t.Error("nothing was dropped")
	}
	s.stop()
	if s.log.count("the last traces were not delivered") != 1 {
		t.Errorf("what was lost at the end is not told:\n%s", s.log.tail(1000))
	}
}

// TestACollectorThatRefuses: that is told once, and so is its end.
func TestACollectorThatRefuses(t *testing.T) {
	t.Parallel()
	to := startCollector(t)
	to.refuses.Store(true)
	l := development("")
	l.env = tracedTo(to.URL)
	s := start(t, l)
	n := 0
	deliverUntil := func(message string) {
		t.Helper()
		eventually(t, message, func() bool {
			n++
			s.mustDeliver(customerEvent(fmt.Sprintf("evt_refused_%d", n)), "recorded")
			return s.log.count(message) > 0
		})
	}
	failed := regexp.MustCompile(`(?m)^daybook_trace_spans_total\{outcome="failed"\} (\d+)$`)
	deliverUntil("traces cannot be delivered")
	eventually(t, "another attempt fails", func() bool {
		s.mustDeliver(customerEvent(fmt.Sprintf("evt_refused_%d", n+1)), "recorded")
		n++
		_, body := askMetrics(t, s.base, "")
		m := failed.FindStringSubmatch(body)
		return m != nil && len(m[1]) > 1
	})
	to.refuses.Store(false)
	deliverUntil("traces are delivered again")
	if told := s.log.count("traces cannot be delivered"); told != 1 {
		t.Errorf("told %d times", told)
	}
	s.stop()
}

// operationsOn is a section of docs/OPERATIONS.md.
func operationsOn(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("docs/OPERATIONS.md says nothing of %s", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}
