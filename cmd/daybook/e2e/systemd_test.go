package e2e_test

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
)

const unitFolder = "../../../deploy/systemd"

// directives are those of the unit's service, by name.
func directives(t *testing.T) map[string][]string {
	t.Helper()
	file, err := os.Open(filepath.Join(unitFolder, "daybook.service"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	options, err := unit.DeserializeOptions(file)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, o := range options {
		if o.Section == "Service" {
			all[o.Name] = append(all[o.Name], o.Value)
		}
	}
	return all
}

// settingsOf reads the example of the environment, with what it only suggests.
func settingsOf(t *testing.T) (set, suggested []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(unitFolder, "daybook.env"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^(#?)([A-Z_]+=.+)$`).FindAllStringSubmatch(string(text), -1) {
		if m[1] == "" {
			set = append(set, m[2])
		} else {
			suggested = append(suggested, m[2])
		}
	}
	if len(set) < 2 || len(suggested) < 2 {
		t.Fatalf("%q and %q", set, suggested)
	}
	return set, suggested
}

// supervised starts the binary as the unit says, and returns what it tells
// systemd.
func supervised(t *testing.T, service map[string][]string, secret string) (*server, <-chan string) {
	t.Helper()
	state := dataDir(t)
	credentials := filepath.Join(state, "credentials")
	if err := os.MkdirAll(filepath.Join(state, "daybook"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(credentials, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range service["LoadCredential"] {
		name, _, _ := strings.Cut(c, ":")
		writeFile(t, filepath.Join(credentials, name), secret+"\n")
	}
	path := filepath.Join(state, "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	told := make(chan string, 16)
	go func() {
		defer close(told)
		for buf := make([]byte, 4096); ; {
			n, err := socket.Read(buf)
			if err != nil {
				return
			}
			told <- string(buf[:n])
		}
	}()
	env, _ := settingsOf(t)
	for _, e := range service["Environment"] {
		env = append(env, strings.NewReplacer("%S", state, "%d", credentials).Replace(e))
	}
	args := strings.Fields(service["ExecStart"][0])[1:]
	cmd := exec.Command(binary, append(args, "--addr", "127.0.0.1:0")...)
	return spawnCommand(t, launch{dir: filepath.Join(state, "daybook"), env: append(env, "NOTIFY_SOCKET="+path), secret: secret}, cmd), told
}

func wantTold(t *testing.T, told <-chan string, state string) {
	t.Helper()
	select {
	case got := <-told:
		if !strings.HasPrefix(got, state+"\nSTATUS=") {
			t.Errorf("told %q, want %s", got, state)
		}
	case <-time.After(patience):
		t.Errorf("%s was not told", state)
	}
}

// TestAsSystemdRunsIt does what systemd does with the unit: it starts the service
// with the credentials and the environment, waits until it is ready, has it read
// its configuration again, and ends it.
func TestAsSystemdRunsIt(t *testing.T) {
	t.Parallel()
	service := directives(t)
	const secret = "whsec_supervised0000"
	s, told := supervised(t, service, secret)
	if service["Type"][0] != "notify" {
		t.Errorf("Type=%s", service["Type"])
	}
	wantTold(t, told, "READY=1")
	s.connect()
	s.mustDeliver([]byte(strings.Replace(string(customerEvent("evt_supervised")), `"livemode":false`, `"livemode":true`, 1)), "recorded")
	if service["ExecReload"][0] != "/bin/kill -HUP $MAINPID" {
		t.Errorf("ExecReload=%s", service["ExecReload"])
	}
	s.signal(syscall.SIGHUP)
	wantTold(t, told, "RELOADING=1")
	wantTold(t, told, "READY=1")
	s.signal(syscall.SIGTERM)
	wantTold(t, told, "STOPPING=1")
	if code := s.wait(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

// TestTheUnitKnowsTheBinary: it allows for the longest end there may be, does not
// start again what cannot start, and names no setting that there is not.
func TestTheUnitKnowsTheBinary(t *testing.T) {
	t.Parallel()
	service := directives(t)
	allowed, err := time.ParseDuration(service["TimeoutStopSec"][0])
	// 15 seconds for requests, 5 for traces, 5 for the checkpoint of posting.
	if err != nil || allowed < 25*time.Second {
		t.Errorf("TimeoutStopSec=%s", service["TimeoutStopSec"])
	}
	if o := command(t, nil, "serve", "--livemode", "sideways", "--data-dir", dataDir(t)); o.code != 2 || !slices.Equal(service["RestartPreventExitStatus"], []string{"2"}) {
		t.Errorf("a wrong configuration ends with %d: %s", o.code, o.stderr)
	}
	var said struct {
		Settings []struct {
			Name   string
			Secret bool
		}
	}
	if err := json.Unmarshal([]byte(mustRun(t, "config", "--dev", "-o", "json")), &said); err != nil {
		t.Fatal(err)
	}
	set, suggested := settingsOf(t)
	for _, setting := range slices.Concat(set, suggested, service["Environment"]) {
		name, _, _ := strings.Cut(setting, "=")
		secret, file := strings.CutSuffix(name, "_FILE")
		known := false
		for _, s := range said.Settings {
			known = known || s.Name == name || file && s.Secret && s.Name == secret
		}
		if !known {
			t.Errorf("%s is no setting", name)
		}
	}
}
