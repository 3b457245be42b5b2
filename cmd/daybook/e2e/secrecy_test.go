package e2e_test

import (
	"strings"
	"testing"
)

// never are parts of signatures and of e-mail addresses, whosever they are.
var never = []string{"v1=", "@"}

// wantUnsaid checks that a log holds none of the words, no signature and no
// e-mail address, and that it holds anything at all.
func wantUnsaid(t testing.TB, log string, words []string) {
	t.Helper()
	if !strings.Contains(log, "daybook serves") {
		t.Fatalf("this is no log of a server: %.200q", log)
	}
	if len(words) == 0 {
		t.Fatal("no words to look for")
	}
	for _, word := range words {
		if len(word) < 4 {
			t.Fatalf("%q is too short to be looked for", word)
		}
	}
	for _, word := range append(never, words...) {
		if i := strings.Index(log, word); i >= 0 {
			t.Errorf("the log says %q: …%s…", word, log[max(0, i-100):min(len(log), i+len(word)+100)])
		}
	}
}
