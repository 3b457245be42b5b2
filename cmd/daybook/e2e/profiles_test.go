package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestProfiles has Go's own tool read a profile from a server that was told to
// serve them, which no other listener does; what is still being gathered does
// not hold up the end.
func TestProfiles(t *testing.T) {
	t.Parallel()
	l := development("")
	l.env = []string{"DAYBOOK_PPROF_ADDR=127.0.0.1:0"}
	s := start(t, l)
	line, ended := s.log.wait(t, "profiles are served", s.exited)
	var said struct{ Addr string }
	if err := json.Unmarshal([]byte(line), &said); ended || err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	own := "http://" + said.Addr + "/debug/pprof/"
	read := exec.CommandContext(t.Context(), "go", "tool", "pprof", "-top", binary, own+"heap")
	read.Env = append(os.Environ(), "PPROF_TMPDIR="+t.TempDir())
	if out, err := read.CombinedOutput(); err != nil || !strings.Contains(string(out), "Type: inuse_space") {
		t.Errorf("go tool pprof: %v\n%s", err, out)
	}
	for url, want := range map[string]int{own: http.StatusOK, own + "cmdline": http.StatusNotFound,
		"http://" + said.Addr + "/metrics": http.StatusNotFound, s.base + "/debug/pprof/": http.StatusNotFound} {
		if got := statusOf(t, url); got != want {
			t.Errorf("%s is answered %d, want %d", url, got, want)
		}
	}
	gathered := make(chan struct{})
	go func() {
		defer close(gathered)
		for profileStatus(own+"profile?seconds=250") == http.StatusInternalServerError { // there can be one at a time
		}
	}()
	eventually(t, "a profile is being gathered", func() bool {
		return profileStatus(own+"profile?seconds=1") == http.StatusInternalServerError
	})
	s.stop()
	<-gathered
}

// profileStatus is 0 where there is no answer.
func profileStatus(url string) int {
	resp, err := http.Get(url)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func statusOf(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
