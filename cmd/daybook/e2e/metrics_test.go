package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// askMetrics asks for the metrics, with a header if it has a name.
func askMetrics(t *testing.T, base, header string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != "" {
		req.Header.Set(header, "192.0.2.1")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// ourMetrics are the names of a scrape that are daybook's own.
func ourMetrics(body string) (names []string) {
	for _, line := range regexp.MustCompile(`(?m)^# TYPE (daybook_\w+) `).FindAllStringSubmatch(body, -1) {
		names = append(names, line[1])
	}
	slices.Sort(names)
	return names
}

// documentedMetrics are those that docs/OPERATIONS.md lists for every server.
func documentedMetrics(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "Every server tells:")
	section, _, ends := strings.Cut(section, "So do Go's runtime")
	if !found || !ends {
		t.Fatal("docs/OPERATIONS.md does not say what every server tells")
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `(daybook_[a-z_]+)").FindAllStringSubmatch(section, -1) {
		names = append(names, row[1])
	}
	slices.Sort(names)
	return names
}

// TestMetricsAreThoseDocumented scrapes a server that was just started, and one
// that has done something, from the routes.
func TestMetricsAreThoseDocumented(t *testing.T) {
	t.Parallel()
	s := start(t, development(""))
	if a, err := s.deliver(customerEvent("evt_metrics")); err != nil || a.status != http.StatusOK {
		t.Fatalf("webhook: %d %v", a.status, err)
	}
	status, body := askMetrics(t, s.base, "")
	if got, want := ourMetrics(body), documentedMetrics(t); status != http.StatusOK || !slices.Equal(got, want) {
		t.Errorf("%d\nscraped:    %q\ndocumented: %q", status, got, want)
	}
	for _, line := range []string{
		`daybook_webhooks_total{outcome="recorded",type="customer.created"} 1`, "daybook_store_up 1", "daybook_livemode 0",
		`daybook_follower_failing{follower="posting"} 0`, `daybook_follower_failing{follower="projection"} 0`, "daybook_append_duration_seconds_count 1",
	} {
		if !strings.Contains(body, "\n"+line+"\n") {
			t.Errorf("the scrape does not say %s", line)
		}
	}
	if strings.Contains(body, "evt_") || strings.Contains(body, "cus_") || strings.Contains(body, "whsec_") || strings.Contains(body, "@") {
		t.Error("the scrape tells whose it is")
	}
	for _, family := range []string{"go_goroutines ", "process_start_time_seconds "} {
		if !strings.Contains(body, "\n"+family) {
			t.Errorf("no %s", family)
		}
	}
	if status, body := askMetrics(t, s.base, "X-Forwarded-For"); status != http.StatusForbidden || strings.Contains(body, "daybook_") {
		t.Errorf("somebody behind a proxy is answered %d", status)
	}
}

// TestMetricsOnAListenerOfTheirOwn: there is nothing else, and the routes do not
// have them.
func TestMetricsOnAListenerOfTheirOwn(t *testing.T) {
	t.Parallel()
	l := development("")
	l.env = []string{"DAYBOOK_METRICS_ADDR=127.0.0.1:0"}
	s := start(t, l)
	if a, err := s.deliver(customerEvent("evt_metrics")); err != nil || a.status != http.StatusOK {
		t.Fatalf("webhook: %d %v", a.status, err)
	}
	line, ended := s.log.wait(t, "metrics are served", s.exited)
	var said struct{ Addr string }
	if err := json.Unmarshal([]byte(line), &said); ended || err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	own := "http://" + said.Addr
	if status, body := askMetrics(t, own, "X-Forwarded-For"); status != http.StatusOK || !slices.Equal(ourMetrics(body), documentedMetrics(t)) {
		t.Errorf("%d with %q", status, ourMetrics(body))
	}
	if status, _ := askMetrics(t, s.base, ""); status != http.StatusNotFound {
		t.Errorf("the routes answer %d", status)
	}
	for _, path := range []string{"/livez", "/v1/status", "/webhooks/stripe"} {
		resp, err := http.Get(own + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s is answered %d", path, resp.StatusCode)
		}
	}
	s.stop()
}
