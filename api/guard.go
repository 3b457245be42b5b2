package api

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/sirupsen/logrus"
)

const requestIDHeader = "X-Request-Id"

// requestIDs names requests: random per process, then counted, which is unique
// and costs next to nothing.
type requestIDs struct {
	prefix string
	count  *atomic.Uint64
}

func newRequestIDs() requestIDs {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	return requestIDs{prefix: hex.EncodeToString(b[:]) + "-", count: new(atomic.Uint64)}
}

func (ids requestIDs) next() string {
	return ids.prefix + strconv.FormatUint(ids.count.Add(1), 36)
}

// mark sets the headers that all answers have.
func (ids requestIDs) mark(h http.Header) {
	h.Set(requestIDHeader, ids.next())
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
}

// guard wraps every request: headers that all answers have, and an answer
// should a handler panic.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		s.requests.mark(h)
		if len(r.TransferEncoding) > 0 {
			// If there was a Content-Length, too, whoever passed the request on may see
			// its end elsewhere: nothing behind it on this connection can be trusted
			// (RFC 9112, section 6.1). net/http does not tell, and does not close.
			h.Set("Connection", "close")
		}
		defer s.recoverPanic(w, r)
		if r.URL.RawPath != "" {
			r.URL.RawPath = strictPath(r.URL.RawPath)
		}
		next.ServeHTTP(w, r)
	})
}

// recoverPanic turns a panic into a 500. What was panicked with may hold
// somebody's data, so only the runtime's own words are logged.
func (s *Server) recoverPanic(w http.ResponseWriter, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(cause)
	}
	what := fmt.Sprintf("panic with a %T", cause)
	if err, ok := cause.(runtime.Error); ok {
		what = err.Error()
	}
	s.Log.WithFields(logrus.Fields{
		"request_id": w.Header().Get(requestIDHeader), "method": r.Method,
		"panic": what, "stack": string(debug.Stack()),
	}).Error("request panicked")
	p, _ := problemOf(errors.New("panic"))
	writeProblem(w, p)
}

// strictPath encodes the bytes of a path that a client should have encoded and
// did not, such as braces. net/url takes a path with such bytes as not encoded
// at all, and an encoded slash in it would then split a name in two.
func strictPath(raw string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if c := raw[i]; pathByte(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// pathByte reports a byte that may stand in an encoded path.
func pathByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("-_.~!$&'()*+,;=:@/%", c) >= 0
}

// pathText decodes one part of a path.
func pathText(encoded string) (string, bool) {
	text, err := url.PathUnescape(encoded)
	return text, err == nil
}
