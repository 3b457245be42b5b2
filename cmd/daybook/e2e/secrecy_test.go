package e2e_test

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
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

// overheard is what every server and command of the whole run wrote to its log,
// and what must be in none of it. TestMain looks at it when all is over.
var overheard = &listener{signatures: map[string]bool{}, secrets: map[string]bool{}}

type listener struct {
	mu   sync.Mutex
	logs []fmt.Stringer
	// signatures are those that were sent, secrets those that processes were
	// configured with.
	signatures, secrets map[string]bool
}

// Where secrets are in what a process is given: in variables and flags that are
// named after them, and in the user's part of URLs.
var (
	secretSetting = regexp.MustCompile(`(?i)^(?:--)?[a-z_-]*(?:secrets?|keys?)(?:=|$)`)
	urlPassword   = regexp.MustCompile(`://[^/@?\s]*:([^/@?\s]+)@`)
)

// listen keeps a log, and the secrets of the process that writes it.
func (l *listener) listen(log fmt.Stringer, given []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logs = append(l.logs, log)
	for i, text := range given {
		for _, m := range urlPassword.FindAllStringSubmatch(text, -1) {
			l.keepSecret(m[1])
		}
		if setting := secretSetting.FindString(text); setting == "" {
			continue
		} else if value := text[len(setting):]; value != "" {
			l.keepSecret(value)
		} else if i+1 < len(given) {
			l.keepSecret(given[i+1])
		}
	}
}

// keepSecret takes the parts of a list apart. A key's name and scopes are none,
// and neither is what is too short to be one.
func (l *listener) keepSecret(list string) {
	for _, text := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(",: \n", r) }) {
		if len(text) >= 12 && !strings.Contains(text, "+") {
			l.secrets[text] = true
		}
	}
}

func (l *listener) keepSignature(signature string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.signatures[signature] = true
}

// example is a right value as a refused configuration shows it.
var example = regexp.MustCompile(`\(example: [^)\n]*\)`)

// mailAddress is one of anybody. Of Redis's scripts, too, it is said what is @ what.
var mailAddress = regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[A-Za-z0-9.-]*[A-Za-z]{2,}`)

var hash = regexp.MustCompile(`[0-9a-f]{64}`)

// indiscretions lists what was said and must not be.
func (l *listener) indiscretions() (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	words, err := fixturesPersonal()
	if err != nil {
		return []string{err.Error()}
	}
	words = slices.Concat(words, []string{"v1="}, slices.Sorted(maps.Keys(l.secrets)))
	for _, log := range l.logs {
		text := example.ReplaceAllString(log.String(), "") // they are everybody's
		for _, word := range words {
			if i := strings.Index(text, word); i >= 0 {
				found = append(found, fmt.Sprintf("%q: …%s…", word, text[max(0, i-100):min(len(text), i+len(word)+100)]))
			}
		}
		for _, address := range mailAddress.FindAllString(text, -1) {
			found = append(found, "an address: "+address)
		}
		for _, signature := range hash.FindAllString(text, -1) {
			if l.signatures[signature] {
				found = append(found, "a signature: "+signature)
			}
		}
	}
	return found
}

// TestTheListenerHears what it is there for: each kind of word, planted in a log.
func TestTheListenerHears(t *testing.T) {
	signature := strings.Repeat("0123456789abcdef", 4)
	personal := personalWords(t)
	for name, c := range map[string]struct {
		given []string
		said  string
	}{
		"a secret of the environment": {[]string{"STRIPE_WEBHOOK_SECRETS=whsec_first000, whsec_second00"}, "with whsec_second00"},
		"a secret of a flag":          {[]string{"serve", "--stripe-api-key", "sk_test_hunter2hunter2"}, "sk_test_hunter2hunter2"},
		"a password":                  {[]string{"REDIS_URL=redis://ops:hunter2hunter2@h:6379"}, "auth hunter2hunter2 failed"},
		"an API key's hash":           {[]string{"DAYBOOK_API_KEYS=ops:read+audit:" + sha256Hex("x")}, sha256Hex("x")},
		"a signature":                 {nil, "v1 " + signature},
		"an address":                  {nil, "to jane@example.com"},
		"somebody in the fixtures":    {nil, personal[len(personal)/2]},
	} {
		l := &listener{signatures: map[string]bool{signature: true}, secrets: map[string]bool{}}
		l.listen(bytes.NewBufferString("daybook serves "+sha256Hex("a catalog")+"\n"), c.given)
		if found := l.indiscretions(); len(found) > 0 {
			t.Errorf("%s: heard what was not said: %q", name, found)
		}
		l.listen(bytes.NewBufferString(c.said), nil)
		if len(l.indiscretions()) == 0 {
			t.Errorf("%s was not heard", name)
		}
	}
}
