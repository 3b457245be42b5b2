package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/daybookhq/daybook/api/openapitest"
)

// described is the description that every rig's exchanges are held against.
var described = func() *openapitest.Description {
	d, err := openapitest.Load(description)
	if err != nil {
		panic(err)
	}
	return d
}()

// TestTheDescriptionIsWellFormed: as OpenAPI 3.1 has it, and its examples are
// what its schemas say.
func TestTheDescriptionIsWellFormed(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestTheDescriptionIsClosed: an object of an answer that may have any member would
// hide what is not described. Open are those that the caller sends.
func TestTheDescriptionIsClosed(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		t.Fatal(err)
	}
	var check func(name string, schema *openapi3.SchemaRef)
	check = func(name string, schema *openapi3.SchemaRef) {
		if schema == nil || schema.Ref != "" { // what is referred to is looked at in its own place
			return
		}
		closed := schema.Value.AdditionalProperties.Has != nil && !*schema.Value.AdditionalProperties.Has
		if len(schema.Value.Properties) > 0 && !closed {
			t.Errorf("the schema %s: say additionalProperties: false", name)
		}
		for property, of := range schema.Value.Properties {
			check(name+"."+property, of)
		}
		check(name+"[]", schema.Value.Items)
	}
	for name, schema := range doc.Components.Schemas {
		if name != "CheckRequest" && name != "StripeEvent" {
			check(name, schema)
		}
	}
}

// TestTheDescriptionHasEveryRoute, and no other.
func TestTheDescriptionHasEveryRoute(t *testing.T) {
	r := newRig(t)
	var served []string
	for _, rt := range r.server.routes() {
		name := rt.method + " " + rt.path
		served = append(served, name)
		if !slices.Contains(described.Operations(), name) {
			t.Errorf("%s is served, but api/openapi.yaml does not tell of it. Under paths, add %s with %s: tags, operationId, summary, "+
				"what scope it wants, parameters, requestBody, and every status that it answers with; "+
				"then run the tests of api, which hold each exchange against it", name, rt.path, strings.ToLower(rt.method))
		}
	}
	for _, name := range described.Operations() {
		if !slices.Contains(served, name) {
			t.Errorf("api/openapi.yaml tells of %s, which no route serves", name)
		}
	}
}

// TestTheDescriptionNamesScopes: each operation says in its description which
// scope the table gives its route.
func TestTheDescriptionNamesScopes(t *testing.T) {
	r := newRig(t)
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		t.Fatal(err)
	}
	for _, rt := range r.server.routes() {
		item := doc.Paths.Value(rt.path)
		if item == nil || item.GetOperation(rt.method) == nil {
			continue // another test tells
		}
		operation := item.GetOperation(rt.method)
		switch isOpen := operation.Security != nil && len(*operation.Security) == 0; {
		case isOpen != (rt.scope == open):
			t.Errorf("%s %s: open routes, and no others, say security: []", rt.method, rt.path)
		case !isOpen && !strings.HasPrefix(operation.Description, "Scope `"+string(rt.scope)+"`."):
			t.Errorf("%s %s: begin the description with: Scope `%s`.", rt.method, rt.path, rt.scope)
		}
	}
}

func TestTheDescriptionIsServed(t *testing.T) {
	r := newRig(t)
	a := r.do(http.MethodGet, "/openapi.yaml", "", nil, nil)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/yaml" || string(a.body) != string(description) {
		t.Errorf("%d %s, %d bytes of %d", a.status, a.header.Get("Content-Type"), len(a.body), len(description))
	}
}
