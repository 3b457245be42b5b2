package daybook_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	linkOf    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingOf = regexp.MustCompile(`(?m)^#+ (.+)$`)
	unspoken  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	fenceOf   = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
)

// anchors are what headings can be linked by.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, heading := range headingOf.FindAllStringSubmatch(fenceOf.ReplaceAllString(text, ""), -1) {
		plain := unspoken.ReplaceAllString(strings.ToLower(heading[1]), "")
		all[strings.ReplaceAll(plain, " ", "-")] = true
	}
	return all
}

// TestDocumentsLinkToWhatIsThere: every link within the repository leads to a file,
// and to a heading of it; and the README leads to every document.
func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	documents, err := filepath.Glob("docs/*.md")
	if err != nil || len(documents) < 8 {
		t.Fatalf("%q, %v", documents, err)
	}
	texts := map[string]string{}
	for _, name := range append(documents, "README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.ToSlash(name)] = string(text)
	}
	led := map[string]bool{}
	for name, text := range texts {
		for _, link := range linkOf.FindAllStringSubmatch(fenceOf.ReplaceAllString(text, ""), -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			target, anchor, anchored := strings.Cut(link[1], "#")
			to := name
			if target != "" {
				to = path.Join(path.Dir(name), target)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s, which is not there", name, link[1])
			} else if anchored && !anchors(texts[to])[anchor] {
				t.Errorf("%s links to %s, and there is no such heading", name, link[1])
			}
			led[name+" "+to] = true
		}
	}
	for _, document := range documents {
		if !led["README.md "+filepath.ToSlash(document)] {
			t.Errorf("the README does not link to %s", document)
		}
	}
}
