package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/goccy/go-yaml"

	"github.com/daybookhq/daybook/aggregate"
)

// maxCatalogFile bounds a catalog file.
const maxCatalogFile = 1024 * 1024

// ReadCatalog reads a catalog file, in YAML. Where its content is wrong, the
// error is aggregate.CatalogFaults with every fault.
func ReadCatalog(path string) (*aggregate.Catalog, error) {
	content, err := readBounded(path, maxCatalogFile)
	if err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	data, err := yamlToJSON(content)
	if err != nil {
		return nil, fmt.Errorf("catalog %s: %w", path, err)
	}
	return aggregate.DecodeCatalog(data)
}

// yamlToJSON goes by way of plain values, so that the domain, which knows only
// JSON, decides what a catalog is.
func yamlToJSON(content []byte) ([]byte, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var value, more any
	if err := decoder.Decode(&value); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New(yaml.FormatError(err, false, true))
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("want a single YAML document")
	}
	if value == nil {
		value = map[string]any{} // an empty file: let the catalog say what is missing
	}
	return json.Marshal(value)
}

func (p *parser) catalog(c *Config) {
	c.CatalogFile = p.get(nameCatalog)
	if c.CatalogFile == "" {
		c.Catalog = aggregate.BuiltinCatalog()
		return
	}
	catalog, err := ReadCatalog(c.CatalogFile)
	c.Catalog = catalog
	var faults aggregate.CatalogFaults
	if errors.As(err, &faults) {
		for _, fault := range faults {
			p.faults = append(p.faults, Fault{Name: nameCatalog, Problem: c.CatalogFile + ": " + fault})
		}
	} else if err != nil {
		p.fault(nameCatalog, "%v", err)
	}
}
