package openapitest

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

// Handler passes requests on to next, and fails the test at every exchange that
// is not as described.
func (d *Description) Handler(t testing.TB, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &answer{ResponseWriter: w}
		read := &question{ReadCloser: r.Body}
		asked := *r.URL
		r.Body = read
		next.ServeHTTP(seen, r)
		err := d.Check(Exchange{Method: r.Method, URL: &asked, RequestHeader: r.Header, RequestBody: read.buf.Bytes(),
			Status: max(seen.status, http.StatusOK), Header: w.Header(), Body: seen.body.Bytes()})
		if err != nil {
			t.Error(err)
		}
	})
}

// question keeps what was read of a request's body.
type question struct {
	io.ReadCloser
	buf bytes.Buffer
}

func (q *question) Read(b []byte) (int, error) {
	n, err := q.ReadCloser.Read(b)
	q.buf.Write(b[:n])
	return n, err
}

// answer keeps what was written of an answer.
type answer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.body.Write(b)
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach what is beneath.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
