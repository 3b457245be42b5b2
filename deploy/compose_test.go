// Package deploy_test checks what Daybook is deployed with: the compose file, by
// compose's own library, the files that it names, and the Dockerfile.
package deploy_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/goccy/go-yaml"

	"github.com/daybookhq/daybook/cmd/daybook/config"
	"github.com/daybookhq/daybook/eventstore/esdb/esdbtest"
)

const root = ".."

// secrets are what a user has to set, and no value of theirs may be in the file.
var secrets = map[string]string{
	"STRIPE_WEBHOOK_SECRETS":    "whsec_5f3c9a0b7d2e4816",
	"EVENTSTORE_ADMIN_PASSWORD": "hunter-admin",
	"EVENTSTORE_OPS_PASSWORD":   "hunter-ops",
	"DAYBOOK_STORE_PASSWORD":    "hunter-store",
	"DAYBOOK_ENTITLEMENT_KEY":   "aHVudGVyLWtleS1vZi10aGlydHktdHdvLWJ5dGVzISE=",
}

// profiles are those that there are, with what each must bring up.
var profiles = map[string][]string{
	"":           {"daybook", "eventstore", "redis"},
	"cluster":    {"certificates", "daybook-cluster", "init-store", "node1", "node2", "node3", "user"},
	"monitoring": {"grafana", "prometheus"},
}

// onlyOnce are the services that end when their work is done.
var onlyOnce = []string{"certificates", "init-store", "user"}

// ours are the services that run our binary.
var ours = []string{"daybook", "daybook-cluster", "init-store"}

// load loads the compose file as docker compose does.
func load(t *testing.T, env map[string]string, active ...string) (*types.Project, error) {
	t.Helper()
	var environ []string
	for name, value := range env {
		environ = append(environ, name+"="+value)
	}
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithEnv(environ), cli.WithProfiles(active))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(context.Background())
}

// everything is the project with every profile.
func everything(t *testing.T) *types.Project {
	t.Helper()
	project, err := load(t, secrets, "cluster", "monitoring")
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestEachProfileBringsUpItsServices(t *testing.T) {
	for profile, adds := range profiles {
		var active []string
		want := slices.Clone(profiles[""])
		if profile != "" {
			active, want = []string{profile}, append(want, adds...)
		}
		project, err := load(t, secrets, active...)
		if err != nil {
			t.Fatalf("profile %q: %v", profile, err)
		}
		slices.Sort(want)
		if got := project.ServiceNames(); !slices.Equal(got, want) {
			t.Errorf("profile %q brings up %q, want %q", profile, got, want)
		}
	}
	if got := len(everything(t).Services); got != len(profiles[""])+len(profiles["cluster"])+len(profiles["monitoring"]) {
		t.Errorf("%d services with every profile", got)
	}
}

func TestNobodyStartsWithoutASigningSecret(t *testing.T) {
	if _, err := load(t, nil); err == nil || !strings.Contains(err.Error(), "STRIPE_WEBHOOK_SECRETS") {
		t.Errorf("got %v, want a word about STRIPE_WEBHOOK_SECRETS", err)
	}
}

// pinned is an image of a stated version: three numbers, or two and what the
// image is made of.
var pinned = regexp.MustCompile(`^[a-z0-9./-]+:v?\d+\.\d+\.\d+(-[a-z0-9.-]+)?$`)

func TestImagesArePinned(t *testing.T) {
	for name, s := range everything(t).Services {
		switch {
		case slices.Contains(ours, name):
			if s.Build == nil || s.Image != "" {
				t.Errorf("%s is not built here", name)
			}
		case s.Build != nil || !pinned.MatchString(s.Image):
			t.Errorf("%s runs %q, which is no pinned image", name, s.Image)
		}
	}
}

func TestServicesHaveNoMoreRightsThanTheyNeed(t *testing.T) {
	for name, s := range everything(t).Services {
		if s.Privileged || len(s.CapAdd) > 0 || s.NetworkMode == "host" || s.Pid == "host" {
			t.Errorf("%s is privileged", name)
		}
		if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may gain privileges", name)
		}
		if slices.Contains(ours, name) && (!s.ReadOnly || !slices.Contains(s.CapDrop, "ALL")) {
			t.Errorf("%s has a root file system that can be written to, or capabilities", name)
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q", name, p.Published, p.HostIP)
			}
		}
	}
}

func TestLongRunningServicesAreWatched(t *testing.T) {
	for name, s := range everything(t).Services {
		once := slices.Contains(onlyOnce, name)
		watched := s.HealthCheck != nil && !s.HealthCheck.Disable && len(s.HealthCheck.Test) > 1
		if watched == once || (s.Restart == "no") != once {
			t.Errorf("%s: health check %+v, restart %q", name, s.HealthCheck, s.Restart)
		}
		for on, d := range s.DependsOn {
			want := "service_healthy"
			if slices.Contains(onlyOnce, on) {
				want = "service_completed_successfully"
			}
			if d.Condition != want {
				t.Errorf("%s waits for %s to be %s, want %s", name, on, d.Condition, want)
			}
		}
	}
}

// TestNamedFilesExist also parses those that are YAML.
func TestNamedFilesExist(t *testing.T) {
	project := everything(t)
	files := 0
	for name, s := range project.Services {
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeVolume {
				if _, declared := project.Volumes[v.Source]; !declared {
					t.Errorf("%s: volume %s is not declared", name, v.Source)
				}
				continue
			}
			files++
			if !v.ReadOnly {
				t.Errorf("%s may write to %s", name, v.Source)
			}
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if files < 4 {
		t.Errorf("only %d files are named", files)
	}
	for _, file := range []string{"prometheus/prometheus.yml", "prometheus/alerts.yml", "grafana/datasources/prometheus.yml", "grafana/dashboards/daybook.yml"} {
		var content map[string]any
		if data, err := os.ReadFile(file); err != nil || yaml.Unmarshal(data, &content) != nil || len(content) == 0 {
			t.Errorf("%s: %v, %v", file, content, err)
		}
	}
}

// TestScrapedTargetsAreServices: nothing is watched that is not there.
func TestScrapedTargetsAreServices(t *testing.T) {
	var content struct {
		Scrape []struct {
			Static []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	data, err := os.ReadFile("prometheus/prometheus.yml")
	if err != nil || yaml.Unmarshal(data, &content) != nil || len(content.Scrape) == 0 {
		t.Fatalf("%+v, %v", content, err)
	}
	services := everything(t).Services
	for _, job := range content.Scrape {
		for _, static := range job.Static {
			for _, target := range static.Targets {
				host, _, _ := strings.Cut(target, ":")
				if _, known := services[host]; !known && host != "localhost" {
					t.Errorf("%s is no service", target)
				}
			}
		}
	}
}

// TestTheBinaryKnowsItsSettings gives what the services set to the binary's own
// configuration, which names what it does not know.
func TestTheBinaryKnowsItsSettings(t *testing.T) {
	authority := esdbtest.StartSecure(t).URL() // any certificate does
	_, file, _ := strings.Cut(authority, "tlsCAFile=")
	for _, name := range ours {
		s := everything(t).Services[name]
		var environ []string
		for variable, value := range s.Environment {
			text := strings.Replace(*value, "/certificates/ca/ca.crt", file, 1)
			environ = append(environ, variable+"="+text)
		}
		cfg, err := config.Load(config.Input{Environ: environ, Serving: len(s.Command) == 0})
		if err != nil || len(cfg.Warnings) > 0 {
			t.Errorf("%s: %v, warnings %q", name, err, cfg.Warnings)
			continue
		}
		known := map[string]bool{}
		for _, setting := range cfg.Settings() {
			known[setting.Name] = true
		}
		for variable := range s.Environment {
			if !known[variable] {
				t.Errorf("%s sets %s, which the binary does not know", name, variable)
			}
		}
		if name != "daybook" && !strings.Contains(cfg.EventStoreURL, "tlsCAFile=") {
			t.Errorf("%s connects without TLS", name)
		}
	}
}

// secretName is a variable that holds one.
var secretName = regexp.MustCompile(`(?i)(PASSWORD|SECRET|_KEYS?$|TOKEN)`)

// TestNoSecretHasADefault loads the file with nothing set but what it insists
// on, and wants every secret empty; and the file must not hold the passwords
// that servers begin with.
func TestNoSecretHasADefault(t *testing.T) {
	const given = "whsec_5f3c9a0b7d2e4816"
	project, err := load(t, map[string]string{"STRIPE_WEBHOOK_SECRETS": given}, "cluster", "monitoring")
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	for name, s := range project.Services {
		for variable, value := range s.Environment {
			if !secretName.MatchString(variable) {
				continue
			}
			looked++
			if *value != "" && *value != given && !strings.HasPrefix(*value, "/") && variable != "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION" {
				t.Errorf("%s: %s has the default %q", name, variable, *value)
			}
		}
	}
	if looked < 10 {
		t.Errorf("only %d secrets are set at all: %v", looked, slices.Sorted(maps.Keys(project.Services)))
	}
	data, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"changeit", "whsec_daybook_dev", "--dev"} {
		if strings.Contains(string(data), word) {
			t.Errorf("the compose file says %q", word)
		}
	}
}

// TestTheNodesAreOneCluster: each is asked for by its own name, and knows the
// two others.
func TestTheNodesAreOneCluster(t *testing.T) {
	nodes := []string{"node1", "node2", "node3"}
	services := everything(t).Services
	for _, name := range nodes {
		env := services[name].Environment
		for _, variable := range []string{"EVENTSTORE_NODE_HOST_ADVERTISE_AS", "EVENTSTORE_REPLICATION_HOST_ADVERTISE_AS"} {
			if *env[variable] != name {
				t.Errorf("%s: %s is %s", name, variable, *env[variable])
			}
		}
		var others []string
		for _, other := range nodes {
			if other != name {
				others = append(others, other+":2113")
			}
		}
		if got := *env["EVENTSTORE_GOSSIP_SEED"]; got != strings.Join(others, ",") {
			t.Errorf("%s knows %s", name, got)
		}
		if _, insecure := env["EVENTSTORE_INSECURE"]; insecure || *env["EVENTSTORE_DEFAULT_ADMIN_PASSWORD"] != secrets["EVENTSTORE_ADMIN_PASSWORD"] {
			t.Errorf("%s is insecure, or has another password", name)
		}
		if *env["EVENTSTORE_CERTIFICATE_PRIVATE_KEY_FILE"] != "/certificates/"+name+"/node.key" {
			t.Errorf("%s has another's key", name)
		}
	}
}

// TestTheImage reads the Dockerfile: a static binary, built by the Go that the
// module asks for, and run by somebody without rights.
func TestTheImage(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	stages := regexp.MustCompile(`(?m)^FROM (\S+)( AS \S+)?$`).FindAllStringSubmatch(text, -1)
	minor := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(module))
	if len(stages) != 2 || len(minor) != 2 || !pinned.MatchString(stages[0][1]) || !strings.HasPrefix(stages[0][1], "golang:"+minor[1]+".") || stages[1][1] != "scratch" {
		t.Errorf("stages %q, Go %q", stages, minor)
	}
	final := text[strings.LastIndex(text, "\nFROM "):]
	for _, line := range []string{`USER 65532:65532`, `ENTRYPOINT ["/daybook"]`, `CMD ["serve"]`} {
		if !strings.Contains(final, "\n"+line+"\n") {
			t.Errorf("the image lacks %s", line)
		}
	}
	if !strings.Contains(final, `CMD ["/daybook", "health"]`) || !strings.Contains(text, "CGO_ENABLED=0") {
		t.Error("the image is not watched, or not static")
	}
}
