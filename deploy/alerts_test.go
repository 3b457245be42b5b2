package deploy_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// promtool runs Prometheus's own checker in the folder of the rules.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Fatal("promtool is missing: make tools installs it")
	}
	cmd := exec.CommandContext(t.Context(), "promtool", args...)
	cmd.Dir = "prometheus"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPrometheusTakesItsConfiguration(t *testing.T) {
	promtool(t, "check", "config", "prometheus.yml")
}

// TestAlerts gives every rule a time in which it must raise its alert, and one in
// which it must not.
func TestAlerts(t *testing.T) { promtool(t, "test", "rules", "alerts_test.yml") }

// alert is a rule as far as it concerns its reader.
type alert struct {
	Name        string `yaml:"alert"`
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	data, err := os.ReadFile("prometheus/alerts.yml")
	if err != nil || yaml.Unmarshal(data, &file) != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 10 {
		t.Fatalf("only %d rules", len(all))
	}
	return all
}

// TestEveryAlertIsTestedAndSaysWhatToDo reads the rules beside their tests.
func TestEveryAlertIsTestedAndSaysWhatToDo(t *testing.T) {
	tests, err := os.ReadFile("prometheus/alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts(t) {
		for _, outcome := range []string{" is raised\n", " is not raised\n"} {
			if !strings.Contains(string(tests), "name: "+a.Name+outcome) {
				t.Errorf("no test that %s%s", a.Name, outcome)
			}
		}
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" || !slices.Contains([]string{"warning", "critical"}, a.Labels["severity"]) {
			t.Errorf("%s does not say what to do, or how soon: %+v", a.Name, a)
		}
	}
}

// TestAlertsAskForMetricsThatThereAre: a rule over a name that nobody serves
// would be silent for ever. What is documented is served: the tests of the api
// and of the built binary hold these two together.
func TestAlertsAskForMetricsThatThereAre(t *testing.T) {
	for _, a := range alerts(t) {
		wantDocumented(t, a.Name, a.Expr)
	}
}

func wantDocumented(t *testing.T, who, expr string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "OPERATIONS.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`daybook_[a-z_]+`).FindAllString(expr, -1)
	for _, name := range names {
		if !regexp.MustCompile("(?m)^\\| `" + strings.TrimSuffix(name, "_bucket") + "[`{]").Match(text) {
			t.Errorf("%s asks for %s, which docs/OPERATIONS.md does not list", who, name)
		}
	}
	if len(names) == 0 && !strings.HasPrefix(expr, "up{") {
		t.Errorf("%s asks for nothing of ours: %s", who, expr)
	}
}

// TestTheDashboardShowsMetricsThatThereAre reads what Grafana is given.
func TestTheDashboardShowsMetricsThatThereAre(t *testing.T) {
	var board struct {
		Panels []struct {
			Title      string
			Datasource struct{ UID string }
			Targets    []struct{ Expr string }
		}
	}
	data, err := os.ReadFile("grafana/dashboards/daybook.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &board); err != nil || len(board.Panels) < 5 {
		t.Fatalf("%d panels, %v", len(board.Panels), err)
	}
	source, err := os.ReadFile("grafana/datasources/prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		if p.Datasource.UID == "" || !strings.Contains(string(source), "uid: "+p.Datasource.UID+"\n") || len(p.Targets) == 0 {
			t.Errorf("%s: source %q, %d targets", p.Title, p.Datasource.UID, len(p.Targets))
		}
		for _, target := range p.Targets {
			wantDocumented(t, p.Title, target.Expr)
		}
	}
}
