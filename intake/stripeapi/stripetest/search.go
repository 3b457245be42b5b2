package stripetest

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// clause is one condition of a search, as far as this server knows them: a value in
// the metadata.
var clause = regexp.MustCompile(`^metadata\["((?:[^"\\]|\\.)*)"\]:"((?:[^"\\]|\\.)*)"(?: OR |$)`)

// search answers with the first page of the objects of a path for which one clause
// holds. Like Stripe, it does not mind case.
func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	path, rest := strings.TrimSuffix(r.URL.Path, searchSuffix), r.URL.Query().Get("query")
	found := map[string]*object{}
	for {
		parts := clause.FindStringSubmatch(rest)
		if parts == nil {
			refuse(w, http.StatusBadRequest, "", "query", "We were unable to parse your search query.")
			return
		}
		rest = rest[len(parts[0]):]
		for id, o := range s.lists[path] {
			metadata, _ := o.fields["metadata"].(map[string]any)
			if strings.EqualFold(text(metadata[unquoted(parts[1])]), unquoted(parts[2])) {
				found[id] = o
			}
		}
		if rest == "" {
			break
		}
	}
	var page []*object
	for _, o := range found {
		page = append(page, o)
	}
	slices.SortFunc(page, func(a, b *object) int { return cmp.Compare(b.made, a.made) })
	writePage(w, "search_result", r.URL.Path, page[:min(100, len(page))], len(page) > 100)
}

// searchSuffix follows the path of what is searched.
const searchSuffix = "/search"

func unquoted(text string) string { return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(text) }
