// Package openapitest holds HTTP exchanges against an OpenAPI 3.1 description, in
// tests. What a server does and the description does not tell of is a fault, and
// the other way round:
//
//   - the path and the method are described; one that is not is answered 404 or
//     405, with the description's schema "Problem";
//   - the status, the content type and the headers that are required are those
//     described, and the body fits its schema;
//   - what the server has accepted, with 2xx, is a request as described: every
//     parameter, and the body. A parameter that is empty counts as not given, and
//     an operation that wants no key may be asked with parameters of any name;
//   - without an Authorization header, nothing but 401, or 5xx, comes of an
//     operation that wants one.
//
// Of server-sent events, the data of each is held against the schema that the
// media type has as x-event-data, and of those named "problem" against "Problem".
package openapitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Description is what exchanges are held against. It may be used by many
// goroutines.
type Description struct {
	root  node
	paths []path

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema
}

// path is a path of the description, with its operations by method.
type path struct {
	template   string
	segments   []string
	operations map[string]node
	shared     node
}

// methods are those that a path can have operations for.
var methods = []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodOptions,
	http.MethodHead, http.MethodPatch, http.MethodTrace}

// location is the name that the compiler of schemas knows the document by.
const location = "mem:///openapi.yaml"

// Load reads a description in YAML or JSON.
func Load(document []byte) (*Description, error) {
	asJSON, err := yaml.YAMLToJSON(document)
	if err != nil {
		return nil, fmt.Errorf("read the description: %w", err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
	if err != nil {
		return nil, fmt.Errorf("read the description: %w", err)
	}
	d := &Description{root: node{value: value}, compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(location, value); err != nil {
		return nil, fmt.Errorf("read the description: %w", err)
	}
	paths := d.in(d.root, "paths")
	for _, template := range paths.names() {
		p := path{template: template, segments: strings.Split(template, "/"), operations: map[string]node{}, shared: d.in(paths, template)}
		for _, method := range methods {
			if operation := d.in(p.shared, strings.ToLower(method)); operation.there() {
				p.operations[method] = operation
			}
		}
		d.paths = append(d.paths, p)
	}
	return d, nil
}

// Operations lists what is described, as in "GET /livez", sorted.
func (d *Description) Operations() []string {
	var all []string
	for _, p := range d.paths {
		for method := range p.operations {
			all = append(all, method+" "+p.template)
		}
	}
	slices.Sort(all)
	return all
}

// find returns the path that an encoded one is of, and what its variables are. Of
// several, the one with the most fixed segments counts.
func (d *Description) find(encoded string) (found *path, vars map[string]string) {
	most := -1
	segments := strings.Split(encoded, "/")
	for i := range d.paths {
		p := &d.paths[i]
		if values, fixed, is := p.match(segments); is && fixed > most {
			found, vars, most = p, values, fixed
		}
	}
	return found, vars
}

func (p *path) match(segments []string) (vars map[string]string, fixed int, is bool) {
	if len(segments) != len(p.segments) {
		return nil, 0, false
	}
	vars = map[string]string{}
	for i, want := range p.segments {
		name, variable := strings.CutPrefix(want, "{")
		switch {
		case variable && segments[i] != "":
			text, err := url.PathUnescape(segments[i])
			if err != nil {
				text = segments[i]
			}
			vars[strings.TrimSuffix(name, "}")] = text
		case want == segments[i]:
			fixed++
		default:
			return nil, 0, false
		}
	}
	return vars, fixed, true
}

// node is a place in the description: what stands there, and its JSON pointer.
type node struct {
	pointer string
	value   any
}

func (n node) there() bool { return n.value != nil }

// text is the string at a node, empty if it is none.
func (n node) text() string {
	text, _ := n.value.(string)
	return text
}

// names are the keys of an object, sorted.
func (n node) names() []string {
	object, _ := n.value.(map[string]any)
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// in goes from one node to another, by keys, and follows references.
func (d *Description) in(n node, keys ...string) node {
	for _, key := range keys {
		object, _ := n.value.(map[string]any)
		n = d.follow(node{n.pointer + "/" + pointerEscapes.Replace(key), object[key]})
	}
	return n
}

var pointerEscapes, pointerMeans = strings.NewReplacer("~", "~0", "/", "~1"), strings.NewReplacer("~1", "/", "~0", "~")

// follow goes where a node refers to, within the document.
func (d *Description) follow(n node) node {
	object, _ := n.value.(map[string]any)
	pointer, local := strings.CutPrefix(node{value: object["$ref"]}.text(), "#/")
	if !local || len(object) > 1 { // a schema with more beside the reference is one of its own
		return n
	}
	target := d.root
	for key := range strings.SplitSeq(pointer, "/") {
		target = d.in(target, pointerMeans.Replace(key))
	}
	return target
}

// list is the elements of an array.
func (d *Description) list(n node) []node {
	values, _ := n.value.([]any)
	nodes := make([]node, len(values))
	for i, value := range values {
		nodes[i] = d.follow(node{fmt.Sprintf("%s/%d", n.pointer, i), value})
	}
	return nodes
}

// fits holds a value, as json.Decoder with UseNumber reads it, against a schema.
func (d *Description) fits(schema node, value any) error {
	compiled, err := d.compile(schema)
	if err != nil {
		return err
	}
	return compiled.Validate(value)
}

func (d *Description) compile(schema node) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if compiled, done := d.schemas[schema.pointer]; done {
		return compiled, nil
	}
	compiled, err := d.compiler.Compile(location + (&url.URL{Fragment: schema.pointer}).String())
	if err != nil {
		return nil, fmt.Errorf("the schema at %s: %w", schema.pointer, err)
	}
	d.schemas[schema.pointer] = compiled
	return compiled, nil
}

// convert makes of a parameter's text what its schema wants, as far as it goes.
func (d *Description) convert(schema node, texts []string) any {
	switch d.in(schema, "type").text() {
	case "array":
		var items []any
		for _, text := range texts {
			for part := range strings.SplitSeq(text, ",") {
				items = append(items, part)
			}
		}
		return items
	case "integer", "number":
		if number := json.Number(texts[0]); json.Valid([]byte(number)) {
			return number
		}
	case "boolean":
		if texts[0] == "true" || texts[0] == "false" {
			return texts[0] == "true"
		}
	}
	return texts[0]
}
