package client_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// TestTheProgramOfTheReadme can be copied and built.
func TestTheProgramOfTheReadme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)\n```go\n(.*?)\n```\n").FindAllSubmatch(text, -1)
	if len(found) != 1 {
		t.Fatalf("README.md has %d programs in Go", len(found))
	}
	program := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(program, found[0][1], 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", os.DevNull, program).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
