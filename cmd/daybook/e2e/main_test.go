// Package e2e_test proves what the daybook command promises on the binary that
// is shipped: built once without cgo, run as a process of its own on a data dir
// of its own, spoken to over HTTP and by signals, and judged by what is in its
// files afterwards.
package e2e_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// binary is the path of the command under test.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "daybook-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system's own folder for what may be lost
	binary = filepath.Join(dir, "daybook")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "github.com/daybookhq/daybook/cmd/daybook")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the command: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	if found := overheard.indiscretions(); len(found) > 0 {
		fmt.Fprintf(os.Stderr, "FAIL: what must not be said was said in the logs of this run:\n%s\n", strings.Join(found, "\n"))
		return 1
	}
	return code
}
