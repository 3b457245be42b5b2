package api

import (
	_ "embed"
	"net/http"
	"strconv"
)

// description is the interface in OpenAPI 3.1, for people and for tools. The
// tests of this package hold every exchange against it.
//
//go:embed openapi.yaml
var description []byte

// describe answers GET /openapi.yaml.
func (s *Server) describe(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", "application/yaml")
	h.Set("Content-Length", strconv.Itoa(len(description)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(description) // whoever has gone away misses it
	return nil
}
