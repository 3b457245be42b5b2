package openapitest

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Exchange is a request and what came of it.
type Exchange struct {
	Method        string
	URL           *url.URL
	RequestHeader http.Header
	// RequestBody is as much of the body as the server has read.
	RequestBody []byte

	Status int
	Header http.Header
	Body   []byte
}

// Check returns everything that is not as described, joined.
func (d *Description) Check(x Exchange) error {
	encoded := x.URL.RawPath // as it was sent
	if encoded == "" {
		encoded = x.URL.EscapedPath()
	}
	p, vars := d.find(encoded)
	if p == nil {
		return x.told(x.undescribed(d, http.StatusNotFound, "this path is not described: add it to paths"))
	}
	operation, described := p.operations[x.Method]
	if !described && x.Method == http.MethodHead {
		operation, described = p.operations[http.MethodGet]
	}
	if !described {
		return x.told(x.undescribed(d, http.StatusMethodNotAllowed, "this method is not described: add it to "+p.template))
	}
	faults := append(d.authorized(operation, x), d.answered(operation, x)...)
	if x.Status/100 == 2 {
		faults = append(faults, d.accepted(p, operation, vars, x)...)
	}
	return x.told(faults...)
}

// told names the exchange that faults are of.
func (x Exchange) told(faults ...error) error {
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("%s %s, answered %d, is not as openapi.yaml has it:\n%w", x.Method, x.URL.Path, x.Status, err)
	}
	return nil
}

// undescribed checks the answer to what is not in the description.
func (x Exchange) undescribed(d *Description, status int, advice string) error {
	if x.Status != status {
		return fmt.Errorf("%s; or answer %d", advice, status)
	}
	return errors.Join(d.body(d.in(d.root, "components", "schemas", "Problem"), "application/problem+json", x)...)
}

// authorized checks that a request without a key came nowhere.
func (d *Description) authorized(operation node, x Exchange) []error {
	if !d.open(operation) && x.RequestHeader.Get("Authorization") == "" && x.Status != http.StatusUnauthorized && x.Status < 500 {
		return []error{errors.New("no key was sent, and the description wants one: answer 401, or say security: []")}
	}
	return nil
}

// open reports an operation that wants no key.
func (d *Description) open(operation node) bool {
	security := d.in(operation, "security")
	if !security.there() {
		security = d.in(d.root, "security")
	}
	return len(d.list(security)) == 0
}

// answered checks the response.
func (d *Description) answered(operation node, x Exchange) (faults []error) {
	response := d.in(operation, "responses", strconv.Itoa(x.Status))
	if !response.there() {
		return []error{fmt.Errorf("the status %d is not described: add it to responses (of %v)", x.Status, d.in(operation, "responses").names())}
	}
	headers := d.in(response, "headers")
	for _, name := range headers.names() {
		header, values := d.in(headers, name), x.Header.Values(name)
		switch schema := d.in(header, "schema"); {
		case len(values) > 0:
			faults = append(faults, wrap("the header "+name, d.fits(schema, d.convert(schema, values))))
		case d.in(header, "required").value == true:
			faults = append(faults, fmt.Errorf("the header %s is missing", name))
		}
	}
	content := d.in(response, "content")
	media, _, _ := mime.ParseMediaType(x.Header.Get("Content-Type"))
	described := d.in(content, media)
	if !described.there() {
		return append(faults, fmt.Errorf("the content type %q is not described: have %v", media, content.names()))
	}
	if data := d.in(described, "x-event-data"); data.there() {
		return append(faults, d.events(data, x.Body)...)
	}
	return append(faults, d.body(d.in(described, "schema"), media, x)...)
}

// body checks the body of a response; that of HEAD is nothing.
func (d *Description) body(schema node, media string, x Exchange) []error {
	if got, _, _ := mime.ParseMediaType(x.Header.Get("Content-Type")); got != media {
		return []error{fmt.Errorf("the content type is %q: want %q", got, media)}
	}
	if x.Method == http.MethodHead {
		return nil
	}
	return []error{wrap("the body", d.document(schema, media, x.Body))}
}

// document holds a whole body against a schema.
func (d *Description) document(schema node, media string, body []byte) error {
	if media != "application/json" && !strings.HasSuffix(media, "+json") {
		return d.fits(schema, string(body))
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return d.fits(schema, value)
}

// events checks server-sent events; the last may be cut off.
func (d *Description) events(data node, body []byte) (faults []error) {
	blocks := strings.Split(string(body), "\n\n")
	for _, block := range blocks[:len(blocks)-1] {
		schema := data
		for line := range strings.SplitSeq(block, "\n") {
			if line == "event: problem" {
				schema = d.in(d.root, "components", "schemas", "Problem")
			}
			if text, is := strings.CutPrefix(line, "data: "); is {
				faults = append(faults, wrap("the data of an event", d.document(schema, "application/json", []byte(text))))
			}
		}
	}
	return faults
}

// accepted checks the request.
func (d *Description) accepted(p *path, operation node, vars map[string]string, x Exchange) (faults []error) {
	query, named := x.URL.Query(), []string{}
	parameters := append(d.list(d.in(p.shared, "parameters")), d.list(d.in(operation, "parameters"))...)
	for _, parameter := range parameters {
		name, in := d.in(parameter, "name").text(), d.in(parameter, "in").text()
		var values []string
		switch in {
		case "path":
			values = []string{vars[name]}
		case "query":
			values, named = query[name], append(named, name)
		case "header":
			values = x.RequestHeader.Values(name)
		}
		switch schema := d.in(parameter, "schema"); {
		case len(values) > 0 && values[0] != "":
			faults = append(faults, wrap(fmt.Sprintf("the %s parameter %s, which was accepted", in, name), d.fits(schema, d.convert(schema, values))))
		case d.in(parameter, "required").value == true:
			faults = append(faults, fmt.Errorf("the %s parameter %s is required, but was not wanted", in, name))
		}
	}
	for name := range query {
		if !slices.Contains(named, name) && !d.open(operation) {
			faults = append(faults, fmt.Errorf("the query parameter %s, which was accepted, is not described: add it to parameters", name))
		}
	}
	return append(faults, d.acceptedBody(d.in(operation, "requestBody"), x)...)
}

// acceptedBody checks a request's body. One without a content type is taken for
// the first that is described.
func (d *Description) acceptedBody(described node, x Exchange) []error {
	switch {
	case len(x.RequestBody) == 0 && d.in(described, "required").value == true && x.Method != http.MethodHead:
		return []error{errors.New("the body is required, but was not wanted")}
	case len(x.RequestBody) == 0:
		return nil
	case !described.there():
		return []error{errors.New("a body was accepted that is not described: add requestBody")}
	}
	content := d.in(described, "content")
	media, _, _ := mime.ParseMediaType(x.RequestHeader.Get("Content-Type"))
	if media == "" {
		media = content.names()[0]
	}
	schema := d.in(content, media, "schema")
	if !schema.there() {
		return []error{fmt.Errorf("a body of type %q was accepted: described are %v", media, content.names())}
	}
	return []error{wrap("the body that was accepted", d.document(schema, media, x.RequestBody))}
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
