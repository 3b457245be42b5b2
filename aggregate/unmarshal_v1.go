//go:build !goexperiment.jsonv2

package aggregate

import "encoding/json"

// unmarshalStored decodes the shapes of this package. It gives the same as the
// second version does, at about twice the cost.
func unmarshalStored(data []byte, into any) error { return json.Unmarshal(data, into) }
