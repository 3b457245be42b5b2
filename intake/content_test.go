package intake

import "testing"

func TestSameContent(t *testing.T) {
	tests := []struct {
		a, b string
		same bool
	}{
		{`{"a":1,"b":[1,{"c":null}]}`, `{ "b" : [1, {"c":null}], "a":1 }`, true},
		{`{"a":1,"pending_webhooks":3}`, `{"a":1}`, true},
		{`{"a":1,"pending\u005fwebhooks":3}`, `{"a":1,"pending_webhooks":2}`, true},
		{`{"a":"\u00e9\/"}`, `{"a":"é/"}`, true},
		{`{"a":1}`, `{"a":2}`, false},
		{`{"a":1}`, `{"a":1.0}`, false},
		{`{"a":1}`, `{"a":"1"}`, false},
		{`{"a":null}`, `{}`, false},
		{`{"a":[1,2]}`, `{"a":[2,1]}`, false},
		{`{"a":{"pending_webhooks":1}}`, `{"a":{"pending_webhooks":2}}`, false},
		{`{"a":{"x":1,"x":2}}`, `{"a":{"x":1,"x":2} }`, true},
		{`not JSON`, `not JSON`, true},
		{`not JSON`, `not  JSON`, false},
		{`{"a":1}`, `{"a":1`, false},
		{`[1]`, `[1 ]`, false},
		{``, `{}`, false},
	}
	for _, tt := range tests {
		if got := sameContent([]byte(tt.a), []byte(tt.b)); got != tt.same {
			t.Errorf("%s and %s: %t", tt.a, tt.b, got)
		}
		if got := sameContent([]byte(tt.b), []byte(tt.a)); got != tt.same {
			t.Errorf("%s and %s: %t", tt.b, tt.a, got)
		}
	}
}

func TestWholeIsReadInBoundedTime(t *testing.T) {
	for _, s := range []string{"1e999999999", "1e-999999999", "1" + string(make([]byte, 100)), "Inf", "NaN", "0x1p4", "1_000", ""} {
		if n, err := wholeOf(s); err == nil {
			t.Errorf("%q: %d", s, n)
		}
	}
}
