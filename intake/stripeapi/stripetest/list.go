package stripetest

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// list answers with one page, newest first.
func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	query, all := r.URL.Query(), s.lists[r.URL.Path]
	var listed []*object
	for _, o := range all {
		if s.shows(r.URL.Path, o, query) {
			listed = append(listed, o)
		}
	}
	slices.SortFunc(listed, func(a, b *object) int {
		return cmp.Or(cmp.Compare(b.created, a.created), cmp.Compare(b.made, a.made))
	})
	limit := 10
	if n, err := strconv.Atoi(query.Get("limit")); err == nil {
		limit = n
	}
	if limit < 1 || limit > 100 {
		refuse(w, http.StatusBadRequest, "parameter_invalid_integer", "limit", "This value must be from 1 to 100.")
		return
	}
	if id := query.Get("starting_after"); id != "" {
		// The cursor must be an object that is still there, though it need not be
		// one that the filters show.
		behind := all[id]
		if behind == nil || s.expired(r.URL.Path, behind) {
			refuse(w, http.StatusBadRequest, "resource_missing", "starting_after", "No such object: '"+id+"'")
			return
		}
		listed = slices.DeleteFunc(listed, func(o *object) bool {
			return o.created > behind.created || o.created == behind.created && o.made >= behind.made
		})
	}
	more := len(listed) > limit
	writePage(w, "list", r.URL.Path, listed[:min(limit, len(listed))], more)
}

func writePage(w http.ResponseWriter, kind, path string, page []*object, more bool) {
	var out bytes.Buffer
	out.WriteString(`{"object": "` + kind + `", "url": "` + path + `", "has_more": ` + strconv.FormatBool(more) + `, "data": [`)
	for i, o := range page {
		if i > 0 {
			out.WriteString(",\n")
		}
		out.Write(o.raw)
	}
	out.WriteString("]}")
	write(w, http.StatusOK, out.Bytes())
}

// shows reports whether a list with such parameters shows an object.
func (s *Server) shows(path string, o *object, query url.Values) bool {
	bounds := map[string]func(bound int64) bool{
		"created[gte]": func(b int64) bool { return o.created >= b },
		"created[gt]":  func(b int64) bool { return o.created > b },
		"created[lte]": func(b int64) bool { return o.created <= b },
		"created[lt]":  func(b int64) bool { return o.created < b },
	}
	for name, within := range bounds {
		if bound, err := strconv.ParseInt(query.Get(name), 10, 64); err == nil && !within(bound) {
			return false
		}
	}
	for _, name := range []string{"customer", "subscription", "product", "type", "active"} {
		if want := query.Get(name); want != "" && want != text(o.fields[name]) {
			return false
		}
	}
	return hasLookupKey(o, query) && s.showsStatus(path, o, query.Get("status")) && !s.expired(path, o) && !s.early(path, o)
}

// hasLookupKey reports an object that has one of the lookup keys, if any are asked
// for.
func hasLookupKey(o *object, query url.Values) bool {
	asked := false
	for i := 0; query.Has(fmt.Sprintf("lookup_keys[%d]", i)); i++ {
		if asked = true; query.Get(fmt.Sprintf("lookup_keys[%d]", i)) == text(o.fields["lookup_key"]) {
			return true
		}
	}
	return !asked
}

// showsStatus knows that subscriptions are listed without the canceled ones,
// unless these are asked for.
func (s *Server) showsStatus(path string, o *object, want string) bool {
	status := text(o.fields["status"])
	switch {
	case want == "all" && path == "/v1/subscriptions":
		return true
	case want != "":
		return status == want
	case path == "/v1/subscriptions":
		return status != "canceled"
	}
	return true
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// expired reports an event that is no longer listed.
func (s *Server) expired(path string, o *object) bool {
	return path == "/v1/events" && o.created < s.Now().Add(-EventsKept).Unix()
}

// early reports an event that is not listed yet.
func (s *Server) early(path string, o *object) bool {
	return path == "/v1/events" && o.created > s.Now().Add(-time.Duration(s.lag.Load())).Unix()
}
