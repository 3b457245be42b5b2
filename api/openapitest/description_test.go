package openapitest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/daybookhq/daybook/api/openapitest"
)

const document = `
openapi: 3.1.0
info: {title: shelves, version: "1"}
security: [{key: []}]
paths:
  /books/{book}:
    parameters:
      - {name: book, in: path, required: true, schema: {type: string, pattern: "^b"}}
    get:
      parameters:
        - {name: pages, in: query, schema: {type: integer, maximum: 9}}
        - {name: kinds, in: query, schema: {type: array, items: {enum: [a, b]}}}
        - {name: signed, in: query, schema: {type: boolean}}
        - {name: X-Shelf, in: header, schema: {maxLength: 3}}
      responses:
        "200": {$ref: "#/components/responses/Book"}
        "401": {$ref: "#/components/responses/Problem"}
        "503": {$ref: "#/components/responses/Problem"}
    put:
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: "#/components/schemas/Book"}}}
      responses:
        "200": {$ref: "#/components/responses/Book"}
  /books/news:
    get:
      security: []
      responses:
        "200":
          description: news
          content: {text/event-stream: {schema: {type: string}, x-event-data: {$ref: "#/components/schemas/Book"}}}
components:
  responses:
    Book:
      description: a book
      content: {application/json: {schema: {$ref: "#/components/schemas/Book"}}}
    Problem:
      description: a problem
      headers: {Retry-After: {required: true, schema: {type: integer}}}
      content: {application/problem+json: {schema: {$ref: "#/components/schemas/Problem"}}}
  schemas:
    Book:
      type: object
      required: [title]
      properties:
        title: {type: string, minLength: 1}
        at: {type: string, format: date-time}
      additionalProperties: false
    Problem:
      type: object
      required: [status]
`

// exchange is one that is as described: "METHOD target [body]", then
// "status type body".
func exchange(t *testing.T, asked, answered string) openapitest.Exchange {
	t.Helper()
	parts := append(strings.SplitN(asked, " ", 3), "")
	target, err := url.ParseRequestURI(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	x := openapitest.Exchange{Method: parts[0], URL: target, RequestBody: []byte(parts[2]),
		RequestHeader: http.Header{"Authorization": {"Bearer k"}}, Header: http.Header{}}
	parts = strings.SplitN(answered, " ", 3)
	if _, err := fmt.Sscan(parts[0], &x.Status); err != nil {
		t.Fatal(err)
	}
	x.Header.Set("Content-Type", parts[1])
	x.Header.Set("Retry-After", "5")
	x.Body = []byte(parts[2])
	return x
}

func load(t *testing.T) *openapitest.Description {
	t.Helper()
	d, err := openapitest.Load([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const (
	aBook    = `200 application/json {"title":"t"}`
	aProblem = ` application/problem+json {"status":1}`
)

func TestWhatIsAsDescribed(t *testing.T) {
	d := load(t)
	if got := d.Operations(); !slices.Equal(got, []string{"GET /books/news", "GET /books/{book}", "PUT /books/{book}"}) {
		t.Errorf("operations %v", got)
	}
	for asked, answered := range map[string]string{
		"GET /books/b1":                 aBook,
		"GET /books/b%2F1?pages=9":      `200 application/json;charset=utf-8 {"title":"t","at":"2026-01-31T09:30:00Z"}`,
		"GET /books/b1?kinds=a,b":       aBook,
		"GET /books/b1?kinds=a&kinds=b": aBook,
		"GET /books/b1?signed=true":     aBook,
		"GET /books/b1?pages=":          aBook,
		"GET /books/b1?pages=100":       "503" + aProblem, // it was not accepted
		"HEAD /books/b1":                `200 application/json `,
		`PUT /books/b1 {"title":"t"}`:   aBook,
		"GET /books/news?at=dawn":       "200 text/event-stream retry: 1\n\nid: 1\ndata: {\"title\":\"t\"}\n\nevent: problem\ndata: {\"status\":1}\n\ndata: {\"ti",
		"POST /books/b1":                "405" + aProblem,
		"GET /films":                    "404" + aProblem,
	} {
		if err := d.Check(exchange(t, asked, answered)); err != nil {
			t.Errorf("%s: %v", asked, err)
		}
	}
}

func TestWhatIsNotAsDescribed(t *testing.T) {
	d := load(t)
	for _, c := range []struct{ asked, answered, want string }{
		{"GET /films", aBook, "this path is not described"},
		{"GET /films", "404 text/plain no", `the content type is "text/plain"`},
		{"GET /films", "404 application/problem+json {}", "missing property 'status'"},
		{"POST /books/b1", aBook, "this method is not described: add it to /books/{book}"},
		{"GET /books/b1", "418" + aProblem, "the status 418 is not described"},
		{"GET /books/b1", `200 text/html {"title":"t"}`, `"text/html" is not described`},
		{"GET /books/b1", `200 application/json {"title":""}`, "minLength"},
		{"GET /books/b1", `200 application/json {"title":"t","isbn":1}`, "additional properties 'isbn'"},
		{"GET /books/b1", `200 application/json {"title":"t","at":"dawn"}`, "date-time"},
		{"GET /books/b1", `200 application/json {"title":`, "the body"},
		{"GET /books/a1", aBook, "path parameter book"},
		{"GET /books/b1?pages=10", aBook, "query parameter pages"},
		{"GET /books/b1?pages=many", aBook, "query parameter pages"},
		{"GET /books/b1?kinds=a,c", aBook, "query parameter kinds"},
		{"GET /books/b1?signed=perhaps", aBook, "query parameter signed"},
		{"GET /books/b1?page=1", aBook, "query parameter page, which was accepted, is not described"},
		{"GET /books/b1 {}", aBook, "a body was accepted that is not described"},
		{"PUT /books/b1", aBook, "the body is required"},
		{`PUT /books/b1 {"title":1}`, aBook, "the body that was accepted"},
		{"GET /books/news", "200 text/event-stream data: {\"name\":\"t\"}\n\n", "the data of an event"},
		{"GET /books/news", "200 text/event-stream event: problem\ndata: {}\n\n", "the data of an event"},
	} {
		err := d.Check(exchange(t, c.asked, c.answered))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, answered %s:\n%v\nwant %q", c.asked, c.answered, err, c.want)
		}
	}
}

func TestHeadersAndKeys(t *testing.T) {
	d := load(t)
	for want, change := range map[string]func(*openapitest.Exchange){
		"Retry-After is missing":       func(x *openapitest.Exchange) { x.Header.Del("Retry-After") },
		"the header Retry-After: json": func(x *openapitest.Exchange) { x.Header.Set("Retry-After", "soon") },
		"header parameter X-Shelf": func(x *openapitest.Exchange) {
			*x = exchange(t, "GET /books/b1", aBook)
			x.RequestHeader.Set("X-Shelf", "long")
		},
		"no key was sent": func(x *openapitest.Exchange) {
			*x = exchange(t, "GET /books/b1", aBook)
			x.RequestHeader.Del("Authorization")
		},
		`a body of type "text/plain"`: func(x *openapitest.Exchange) {
			*x = exchange(t, `PUT /books/b1 {"title":"t"}`, aBook)
			x.RequestHeader.Set("Content-Type", "text/plain")
		},
	} {
		x := exchange(t, "GET /books/b1", "503"+aProblem)
		if err := d.Check(x); err != nil {
			t.Fatal(err)
		}
		change(&x)
		if err := d.Check(x); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestADescriptionThatCannotBeRead(t *testing.T) {
	if _, err := openapitest.Load([]byte("paths: [")); err == nil {
		t.Error("it was read")
	}
}

// listener is a test that only hears.
type listener struct {
	testing.TB
	heard []string
}

func (l *listener) Error(args ...any) { l.heard = append(l.heard, fmt.Sprint(args...)) }

// TestTheHandlerSeesBothSides: what the server has read, and what it wrote.
func TestTheHandlerSeesBothSides(t *testing.T) {
	d, l := load(t), &listener{TB: t}
	h := d.Handler(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("what is beneath cannot be reached: %v", err)
		}
		_, _ = w.Write(body)
	}))
	ask(t, h, `{"title":"t"}`)
	if len(l.heard) != 0 {
		t.Errorf("heard %q", l.heard)
	}
	ask(t, h, `{"title":2}`)
	if len(l.heard) != 1 || !strings.Contains(l.heard[0], "PUT /books/b1, answered 200") ||
		!strings.Contains(l.heard[0], "the body:") || !strings.Contains(l.heard[0], "the body that was accepted:") {
		t.Errorf("heard %q", l.heard)
	}
}

func ask(t *testing.T, h http.Handler, body string) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+"/books/b1", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer k")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}
