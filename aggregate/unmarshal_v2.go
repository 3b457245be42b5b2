//go:build goexperiment.jsonv2

package aggregate

import "encoding/json/v2"

// unmarshalStored decodes the shapes of this package. What they stored was
// written by this package, so the stricter and faster rules of the second
// version fit: exact names, valid UTF-8, and one pass over the bytes.
func unmarshalStored(data []byte, into any) error { return json.Unmarshal(data, into) }
