package published_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections/published"
)

var (
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	founded = noon.Add(-24 * time.Hour)
	keyA    = bytes.Repeat([]byte{0xa}, 32)
	keyB    = bytes.Repeat([]byte{0xb}, 40)
)

const lease = 5 * time.Minute

func order(position uint64, at time.Time) published.Order {
	return published.Order{Founded: founded, Position: position, At: at}
}

// entitlement has something in every field that an entry has.
func entitlement(account string) aggregate.Entitlement {
	return aggregate.Entitlement{Account: account, Known: true, Tier: "basic", TierName: "Basic", Status: aggregate.PastDue,
		Reason: aggregate.ReasonGrace, Features: []string{"stats", `a "quoted" one`}, Limits: map[string]aggregate.Limit{"members": 500},
		Source: aggregate.FromSubscription, Customer: "cus_1", SubscriptionID: "sub_1", Items: []aggregate.EntitlementItem{{Price: "price_1", Quantity: 2}},
		Livemode: true, InGrace: true, GraceUntil: noon.Add(time.Hour), Flags: []string{}, ValidUntil: noon.Add(time.Hour),
		Epoch: "epoch-1", Position: 17, AsOf: noon.Add(-time.Minute), Schema: published.Schema}
}

func docOf(t rapid.TB, e aggregate.Entitlement) []byte {
	doc, err := aggregate.EncodeEntitlement(e)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func seal(t rapid.TB, e aggregate.Entitlement, o published.Order, keys published.Keys) published.Sealed {
	s, err := published.Seal(e.Account, docOf(t, e), o, lease, keys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// digits writes a number to the base of 36, as the order does.
func digits(n int64, width int) string {
	text := strconv.FormatInt(n, 36)
	return strings.Repeat("0", width-len(text)) + text
}

// The form is a contract with readers in other languages: these very bytes.
func TestTheFormOfAnEntry(t *testing.T) {
	s := seal(t, entitlement("team 42"), order(23, noon.Add(1500*time.Microsecond)), published.Keys{keyA})
	want := `{"account":"team 42","known":true,"tier":"basic","tier_name":"Basic","status":"past_due","reason":"grace",` +
		`"features":["stats","a \"quoted\" one"],"limits":{"members":500},"source":"subscription","customer":"cus_1","subscription_id":"sub_1",` +
		`"items":[{"price":"price_1","quantity":2}],"livemode":true,"in_grace":true,"grace_until":"2026-03-01T13:00:00Z","flags":[],` +
		`"epoch":"epoch-1","position":17,"valid_until":"2026-03-01T12:05:00Z","as_of":"2026-03-01T12:00:00Z","schema":1,` +
		`"order":"` + digits(founded.UnixMilli(), 9) + digits(23, 13) + digits(noon.UnixMicro()+1500, 11) + `"`
	mac := hmac.New(sha256.New, keyA)
	mac.Write([]byte("entitlement:team 42\n" + want))
	want += `,"mac":"` + base64.StdEncoding.EncodeToString(mac.Sum(nil)) + `"}`
	if string(s.Value) != want || s.Key != "entitlement:team 42" {
		t.Errorf("%s holds\n%s\nwant\n%s", s.Key, s.Value, want)
	}
	if content := string(s.Value[:s.Content]); !strings.HasSuffix(content, `"position":17`) {
		t.Errorf("what the account may do is %s", content)
	}
	unsigned := seal(t, entitlement("team 42"), order(23, noon), nil)
	if !json.Valid(unsigned.Value) || bytes.Contains(unsigned.Value, []byte(`"mac"`)) {
		t.Errorf("unsigned: %s", unsigned.Value)
	}
}

// accounts are names that are hard to handle.
var accounts = rapid.OneOf(
	rapid.SampledFrom([]string{"a", " ", ":", "{a}", "a:b c", `","epoch":"`, `\","mac":"`, "日本", "😀", "<&>\u2028", strings.Repeat("x", 512)}),
	rapid.String().Filter(aggregate.ValidAccount))

func TestAnEntryIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := entitlement(accounts.Draw(t, "account"))
		e.Features = rapid.SliceOf(rapid.String()).Draw(t, "features")
		e.Flags = append([]string{}, e.Features...)
		e.Epoch = rapid.StringN(1, 40, -1).Draw(t, "epoch")
		e.Position = rapid.Uint64().Draw(t, "position")
		if rapid.Bool().Draw(t, "without an end") {
			e.ValidUntil = time.Time{}
		}
		var keys published.Keys
		if rapid.Bool().Draw(t, "signed") {
			keys = published.Keys{keyA}
		}
		at := noon.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "at")))
		o := order(rapid.Uint64().Draw(t, "folded"), at)
		s := seal(t, e, o, keys)
		entry, err := published.Read(e.Account, s.Value, keys)
		if err != nil {
			t.Fatalf("%v: %s", err, s.Value)
		}
		until := at.Add(lease)
		if !e.ValidUntil.IsZero() && e.ValidUntil.Before(until) {
			until = e.ValidUntil
		}
		until = until.Truncate(time.Second)
		e.ValidUntil, e.AsOf = until, at.Truncate(time.Second)
		var want aggregate.Entitlement // as JSON brings back what is no UTF-8
		if err := json.Unmarshal(docOf(t, e), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(entry.Entitlement, want) || entry.Order.Compare(o) != 0 || !s.ValidUntil.Equal(until) {
			t.Errorf("read back as\n%+v\nwant\n%+v", entry, want)
		}
		if _, err := published.Open(e.Account, s.Value, keys, until); !errors.Is(err, published.ErrLapsed) {
			t.Errorf("at its end: %v", err)
		}
		if until.After(at) {
			if _, err := published.Open(e.Account, s.Value, keys, until.Add(-time.Microsecond)); err != nil {
				t.Errorf("before its end: %v", err)
			}
		}
	})
}

// Whatever byte of a signed entry is altered, taken out or added, it is refused.
func TestAnAlteredEntryIsRefused(t *testing.T) {
	keys := published.Keys{keyA, keyB}
	s := seal(t, entitlement("team"), order(23, noon), keys)
	if _, err := published.Open("team", s.Value, keys, noon); err != nil {
		t.Fatal(err)
	}
	for i := range s.Value {
		for _, flip := range []byte{1, 0x20, 0x80} {
			altered := bytes.Clone(s.Value)
			altered[i] ^= flip
			if _, err := published.Open("team", altered, keys, noon); !errors.Is(err, published.ErrForged) {
				t.Fatalf("byte %d altered: %v", i, err)
			}
		}
		shorter := append(bytes.Clone(s.Value[:i]), s.Value[i+1:]...)
		longer := append(append(bytes.Clone(s.Value[:i]), ' '), s.Value[i:]...)
		for _, altered := range [][]byte{shorter, longer, s.Value[:i], s.Value[i+1:]} {
			if _, err := published.Open("team", altered, keys, noon); !errors.Is(err, published.ErrForged) {
				t.Fatalf("at byte %d: %v", i, err)
			}
		}
	}
	if _, err := published.Open("other", s.Value, keys, noon); !errors.Is(err, published.ErrForged) {
		t.Errorf("moved to another account: %v", err)
	}
}

func TestKeysRotate(t *testing.T) {
	before, during, after := published.Keys{keyA}, published.Keys{keyB, keyA}, published.Keys{keyB}
	read := func(signed, by published.Keys) error {
		_, err := published.Open("team", seal(t, entitlement("team"), order(1, noon), signed).Value, by, noon)
		return err
	}
	for name, c := range map[string]struct {
		signed, by published.Keys
		want       error
	}{
		"old key, both verify":      {before, during, nil},
		"new key, both verify":      {during, during, nil},
		"new key, new verifies":     {during, after, nil},
		"new key, old verifies":     {during, before, published.ErrForged},
		"old key, new verifies":     {before, after, published.ErrForged},
		"unsigned":                  {nil, during, published.ErrForged},
		"signed, nobody verifies":   {before, nil, nil},
		"unsigned, and nobody asks": {nil, nil, nil},
	} {
		if err := read(c.signed, c.by); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestWhatIsNoEntry(t *testing.T) {
	good := string(seal(t, entitlement("team"), order(1, noon), nil).Value)
	for name, c := range map[string]struct {
		value string
		want  error
	}{
		"nothing":          {"", published.ErrForeign},
		"no JSON":          {"hello", published.ErrForeign},
		"a list":           {"[]", published.ErrForeign},
		"empty":            {"{}", published.ErrForeign},
		"cut off":          {good[:len(good)-1], published.ErrForeign},
		"no schema":        {strings.Replace(good, `"schema":1`, `"schema":0`, 1), published.ErrForeign},
		"no order":         {strings.Replace(good, `"order"`, `"ordre"`, 1), published.ErrForeign},
		"no end":           {strings.Replace(good, `"valid_until"`, `"until"`, 1), published.ErrForeign},
		"of somebody else": {strings.Replace(good, `"team"`, `"them"`, 1), published.ErrForeign},
		"newer":            {strings.Replace(good, `"schema":1`, `"schema":2`, 1), published.ErrNewerSchema},
		"newer, and odd":   {`{"account":7,"schema":9}`, published.ErrNewerSchema},
		"with more in it":  {strings.Replace(good, `"schema":1`, `"more":[1],"schema":1`, 1), nil},
	} {
		if _, err := published.Open("team", []byte(c.value), nil, noon); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestWhatIsNotPublished(t *testing.T) {
	doc := docOf(t, entitlement("team"))
	for name, c := range map[string]struct {
		account string
		doc     []byte
	}{
		"no name":         {"", doc},
		"too long a name": {strings.Repeat("x", 513), doc},
		"control":         {"a\nb", doc},
		"no UTF-8":        {"a\xff", doc},
		"no document":     {"team", nil},
		"no entitlement":  {"team", []byte(`{"account":"team"}`)},
		"no store":        {"team", bytes.Replace(doc, []byte("epoch-1"), nil, 1)},
		"another schema":  {"team", bytes.Replace(doc, []byte(`"schema":1`), []byte(`"schema":2`), 1)},
	} {
		if s, err := published.Seal(c.account, c.doc, order(1, noon), lease, nil); err == nil {
			t.Errorf("%s: published as %s", name, s.Value)
		}
	}
}

// The order of the texts is the order of what they say: the store, what was
// folded, the moment.
func TestOrder(t *testing.T) {
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMicro(rapid.Int64Range(0, 9_999_999_999_999_999).Draw(t, "µs")).UTC()
	})
	draw := rapid.Custom(func(t *rapid.T) published.Order {
		return published.Order{Founded: moment.Draw(t, "founded").Truncate(time.Millisecond), Position: rapid.Uint64().Draw(t, "position"), At: moment.Draw(t, "at")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw.Draw(t, "a"), draw.Draw(t, "b")
		if rapid.Bool().Draw(t, "same store") {
			b.Founded = a.Founded
		}
		if rapid.Bool().Draw(t, "same position") {
			b.Position = a.Position
		}
		want := a.Founded.Compare(b.Founded)
		if want == 0 && a.Position != b.Position {
			want = -1
			if a.Position > b.Position {
				want = 1
			}
		} else if want == 0 {
			want = a.At.Compare(b.At)
		}
		if got := a.Compare(b); got != want {
			t.Errorf("%v against %v: %d, want %d", a, b, got, want)
		}
		if back, err := published.ParseOrder(a.String()); err != nil || back != a {
			t.Errorf("%v is read back as %v, %v", a, back, err)
		}
	})
	for _, text := range []string{"", "1", strings.Repeat("z", 33), strings.Repeat("1", 32) + "A", strings.Repeat("1", 34)} {
		if o, err := published.ParseOrder(text); err == nil {
			t.Errorf("%q is read as %v", text, o)
		}
	}
}

func TestHeartbeat(t *testing.T) {
	h := published.Heartbeat{Position: 23, At: noon, Epoch: "epoch-1", FoundedAt: founded}
	value, err := h.Seal(published.Keys{keyA})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"position":23,"at":"2026-03-01T12:00:00Z","epoch":"epoch-1","founded_at":"2026-02-28T12:00:00Z","schema":1,` +
		`"order":"` +
		digits(founded.UnixMilli(), 9) + digits(23, 13) + digits(noon.UnixMicro(), 11) + `","mac":"`
	if !strings.HasPrefix(string(value), want) {
		t.Errorf("written as %s", value)
	}
	if back, err := published.OpenHeartbeat(value, published.Keys{keyA}); err != nil || back != h {
		t.Errorf("read back as %+v, %v", back, err)
	}
	if _, err := published.OpenHeartbeat(value, published.Keys{keyB}); !errors.Is(err, published.ErrForged) {
		t.Errorf("by another key: %v", err)
	}
	for text, want := range map[string]error{"": published.ErrForeign, "{}": published.ErrForeign,
		`{"schema":2}`: published.ErrNewerSchema, `{"schema":1,"epoch":"e"}`: nil} {
		if text == `{"schema":2}` {
			text = `{"schema":2,"epoch":"e"}`
		}
		if _, err := published.OpenHeartbeat([]byte(text), nil); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

func TestParseKey(t *testing.T) {
	for _, raw := range [][]byte{keyA, keyB, bytes.Repeat([]byte{0xfb, 0xff}, 17)} {
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
			if key, err := published.ParseKey(encoding.EncodeToString(raw)); err != nil || !bytes.Equal(key, raw) {
				t.Errorf("%x: %x, %v", raw, key, err)
			}
		}
	}
	for _, text := range []string{"", "short", "not base64!", base64.StdEncoding.EncodeToString(keyA[:31])} {
		_, err := published.ParseKey(text)
		if err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAccountOf(t *testing.T) {
	for key, want := range map[string]string{"entitlement:a:b": "a:b", "entitlement: ": " "} {
		if account, ok := published.AccountOf(key); !ok || account != want || published.Key(account) != key {
			t.Errorf("%q: %q, %t", key, account, ok)
		}
	}
	for _, key := range []string{"entitlement:", "entitlements:a", "", "entitlement:a\n"} {
		if account, ok := published.AccountOf(key); ok {
			t.Errorf("%q: %q", key, account)
		}
	}
}

// FuzzOpen: whatever stands in Redis, reading it ends with an error or an entry.
func FuzzOpen(f *testing.F) {
	s := seal(f, entitlement("team"), order(23, noon), nil)
	f.Add(s.Value)
	f.Add([]byte(`{"schema":1,"order":"","account":"team"}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		if _, err := published.Open("team", value, published.Keys{keyA}, noon); err == nil {
			t.Error("what nobody signed was believed")
		}
		entry, err := published.Open("team", value, nil, noon)
		if err == nil && (entry.Account != "team" || !noon.Before(entry.ValidUntil)) {
			t.Errorf("read as %+v", entry)
		}
	})
}
