package intake_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/intake"
)

func TestEveryFixtureHasAnEnvelope(t *testing.T) {
	fixtures := eventFixtures(t)
	for _, f := range fixtures {
		e, err := intake.ParseEnvelope(f.body)
		if err != nil {
			t.Errorf("%s: %v", f.path, err)
			continue
		}
		if e.Type != f.kind || e.Created.IsZero() || e.Object != intake.ObjectEvent || e.Thin() {
			t.Errorf("%s: %+v", f.path, e)
		}
	}
	if len(fixtures) < 230 {
		t.Errorf("%d fixtures: some are missing", len(fixtures))
	}
}

func TestEnvelopeFields(t *testing.T) {
	body := ` {"id":"evt_1","type":"invoice.paid","object":"event","created":1700000000,"livemode":true,` +
		`"account":"acct_1","api_version":"2023-10-16; some_beta=v1","request":null,"new_field":{"a":[1]},"data":{}}` + "\n"
	got, err := intake.ParseEnvelope([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	want := intake.Envelope{
		ID: "evt_1", Type: "invoice.paid", Object: "event", Created: time.Unix(1700000000, 0).UTC(),
		Livemode: true, Account: "acct_1", APIVersion: "2023-10-16; some_beta=v1",
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestThinEvent(t *testing.T) {
	got, err := intake.ParseEnvelope([]byte(`{"id":"evt_test_65RCjGyBD","object":"v2.core.event",` +
		`"type":"v1.billing.meter.error_report_triggered","livemode":false,"created":"2024-09-17T06:20:52.246Z",` +
		`"related_object":{"id":"mtr_1","type":"billing.meter","url":"/v1/billing/meters/mtr_1"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if !got.Thin() || !got.Created.Equal(time.Date(2024, 9, 17, 6, 20, 52, 246e6, time.UTC)) {
		t.Errorf("got %+v", got)
	}
	if intake.Posted(got.Type) {
		t.Error("thin events are never posted")
	}
}

// envelope returns a valid event with one member set to another raw value;
// an empty value leaves the member out.
func envelope(name, value string) string {
	members := [][2]string{
		{"id", `"evt_1"`}, {"object", `"event"`}, {"type", `"invoice.paid"`},
		{"created", `1700000000`}, {"livemode", `false`}, {"data", `{"object":{}}`},
	}
	var parts []string
	found := false
	for _, m := range members {
		if m[0] == name {
			m[1], found = value, true
		}
		if m[1] != "" {
			parts = append(parts, `"`+m[0]+`":`+m[1])
		}
	}
	if !found {
		parts = append(parts, `"`+name+`":`+value)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func TestNotAnEvent(t *testing.T) {
	valid := envelope("data", "{}")
	tests := []struct{ name, body, reason string }{
		{"empty", "", "empty"},
		{"only white space", " \r\n\t", "empty"},
		{"truncated", valid[:len(valid)-1], "truncated"},
		{"truncated in a string", valid[:5], "truncated"},
		{"truncated in a number", valid[:strings.Index(valid, "1700")+2], "truncated"},
		{"not JSON", "id=evt_1", "not JSON"},
		{"a byte order mark", "\ufeff" + valid, "not JSON"},
		{"single quotes", "{'id':'evt_1'}", "not JSON"},
		{"trailing comma", valid[:len(valid)-1] + ",}", "not JSON"},
		{"control character", envelope("id", "\"evt\n1\""), "not JSON"},
		{"not UTF-8", envelope("note", "\"\xff\""), "not UTF-8"},
		{"array", "[]", "not an object"},
		{"string", `"evt_1"`, "not an object"},
		{"null", "null", "not an object"},
		{"data behind it", valid + "{}", "something follows the object"},
		{"garbage behind it", valid + "x", "something follows the object"},
		{"deep", envelope("data", strings.Repeat("[", 64)+strings.Repeat("]", 64)), "nested too deeply"},
		{"deep and unclosed", strings.Repeat(`{"a":`, 100000), "nested too deeply"},
		{"duplicate key", valid[:len(valid)-1] + `,"id":"evt_2"}`, "a key is there twice"},
		{"duplicate key, escaped", valid[:len(valid)-1] + `,"i\u0064":"evt_2"}`, "a key is there twice"},
		{"duplicate key that we do not read", `{"a":1,"a":1,` + valid[1:], "a key is there twice"},
		{"no object", envelope("object", ""), "object is not an event"},
		{"another object", envelope("object", `"charge"`), "object is not an event"},
		{"object of another type", envelope("object", `{}`), "object is not an event"},
		{"no id", envelope("id", ""), "no valid id"},
		{"null id", envelope("id", "null"), "no valid id"},
		{"empty id", envelope("id", `""`), "no valid id"},
		{"id with a hyphen", envelope("id", `"evt-1"`), "no valid id"},
		{"id with a dot", envelope("id", `"evt.1"`), "no valid id"},
		{"id with a NUL", envelope("id", `"evt\u0000"`), "no valid id"},
		{"id beyond ASCII", envelope("id", `"evt_é"`), "no valid id"},
		{"long id", envelope("id", `"`+strings.Repeat("a", 256)+`"`), "no valid id"},
		{"number id", envelope("id", "1"), "no valid id"},
		{"no type", envelope("type", ""), "no valid type"},
		{"empty type", envelope("type", `""`), "no valid type"},
		{"type with a space", envelope("type", `"invoice paid"`), "no valid type"},
		{"no created", envelope("created", ""), "no valid created"},
		{"null created", envelope("created", "null"), "no valid created"},
		{"negative created", envelope("created", "-1"), "no valid created"},
		{"fractional created", envelope("created", "1.5"), "no valid created"},
		{"huge created", envelope("created", "99999999999999999999"), "no valid created"},
		{"created beyond the calendar", envelope("created", "253402300800"), "no valid created"},
		{"created as text", envelope("created", `"1700000000"`), "no valid created"},
		{"livemode as text", envelope("livemode", `"false"`), "livemode is not a boolean"},
		{"account as a number", envelope("account", "1"), "account is not a string"},
		{"api_version as a number", envelope("api_version", "2020"), "api_version is not a string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := intake.ParseEnvelope([]byte(tt.body))
			var got *intake.NotAnEventError
			if !errors.As(err, &got) || got.Reason != tt.reason {
				t.Errorf("got %v, want %q", err, tt.reason)
			}
		})
	}
}

func TestEnvelopeAccepts(t *testing.T) {
	valid := envelope("data", "{}")
	for name, body := range map[string]string{
		"64 levels":                     envelope("data", strings.Repeat("[", 63)+strings.Repeat("]", 63)),
		"brackets in a string":          envelope("note", `"`+strings.Repeat("[{", 500)+`\"[["`),
		"long id":                       envelope("id", `"`+strings.Repeat("a", 255)+`"`),
		"escaped id":                    envelope("id", `"evt\u005f1"`),
		"lone surrogate in the payload": envelope("data", `{"name":"\ud800"}`),
		"duplicate keys in the payload": envelope("data", `{"object":{"a":1,"a":2}}`),
		"null account":                  envelope("account", "null"),
		"no livemode":                   envelope("livemode", ""),
		"white space around":            "\r\n\t " + valid + " \n",
		"created at zero":               envelope("created", "0"),
	} {
		if _, err := intake.ParseEnvelope([]byte(body)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if e, err := intake.ParseEnvelope([]byte(envelope("id", `"evt\u005f1"`))); err != nil || e.ID != "evt_1" {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestTooManyKeys(t *testing.T) {
	var b strings.Builder
	for i := range 300 {
		b.WriteString(`"k` + strings.Repeat("x", i) + `":1,`)
	}
	_, err := intake.ParseEnvelope([]byte("{" + b.String() + envelope("data", "{}")[1:]))
	if err == nil {
		t.Error("accepted")
	}
}

func FuzzParseEnvelope(f *testing.F) {
	for _, fixture := range eventFixtures(f) {
		f.Add(fixture.body)
	}
	f.Add([]byte(`{"id":"evt_1","object":"v2.core.event","type":"a","created":"2024-09-17T06:20:52Z"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := intake.ParseEnvelope(body)
		var fault *intake.NotAnEventError
		if err != nil {
			if !errors.As(err, &fault) || e != (intake.Envelope{}) {
				t.Fatalf("%v, %+v", err, e)
			}
			return
		}
		if err := intake.JournalStream(e.ID).Validate(); err != nil || !eventID.MatchString(e.ID) || e.Type == "" || e.Created.Unix() < 0 {
			t.Fatalf("%+v: %v", e, err)
		}
	})
}

func BenchmarkParseEnvelope(b *testing.B) {
	body := readFixture(b, "testdata/fixtures/events/2022-11-15/invoice.paid--hookdeck_webhook-samples--1.json")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := intake.ParseEnvelope(body); err != nil {
			b.Fatal(err)
		}
	}
}
