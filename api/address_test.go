package api

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestWhoseRequestItIs(t *testing.T) {
	proxies := Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("192.0.2.7/32")}
	for name, c := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"nobody speaks for it":          {"198.51.100.9:4711", nil, "198.51.100.9/32"},
		"a stranger claims another":     {"198.51.100.9:4711", []string{"203.0.113.1"}, "198.51.100.9/32"},
		"a proxy that says nothing":     {"10.0.0.1:4711", nil, "10.0.0.1/32"},
		"a proxy":                       {"10.0.0.1:4711", []string{"203.0.113.1"}, "203.0.113.1/32"},
		"a proxy of one address":        {"192.0.2.7:1", []string{"203.0.113.1"}, "203.0.113.1/32"},
		"its neighbour":                 {"192.0.2.8:1", []string{"203.0.113.1"}, "192.0.2.8/32"},
		"the first entry is made up":    {"10.0.0.1:4711", []string{"1.1.1.1, 203.0.113.1"}, "203.0.113.1/32"},
		"past trusted ones":             {"10.0.0.1:4711", []string{"1.1.1.1, 203.0.113.1, 10.1.1.1,192.0.2.7"}, "203.0.113.1/32"},
		"a trusted one made up":         {"10.0.0.1:4711", []string{"1.1.1.1, 10.9.9.9, 203.0.113.1"}, "203.0.113.1/32"},
		"several lines":                 {"10.0.0.1:4711", []string{"1.1.1.1", "203.0.113.1, 10.1.1.1", "10.2.2.2"}, "203.0.113.1/32"},
		"only trusted ones":             {"10.0.0.1:4711", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3/32"},
		"not an address":                {"10.0.0.1:4711", []string{"1.1.1.1, unknown, 10.2.2.2"}, "10.2.2.2/32"},
		"nothing between commas":        {"10.0.0.1:4711", []string{"1.1.1.1,,"}, "10.0.0.1/32"},
		"an empty line":                 {"10.0.0.1:4711", []string{""}, "10.0.0.1/32"},
		"with a port":                   {"10.0.0.1:4711", []string{"203.0.113.1:99"}, "203.0.113.1/32"},
		"IPv6":                          {"[2001:db8:1:2:3:4:5:6]:4711", nil, "2001:db8:1:2::/64"},
		"IPv6 behind a proxy":           {"[fd00::1]:4711", []string{"2001:db8:1:2:ffff::1"}, "2001:db8:1:2::/64"},
		"IPv6 with brackets":            {"[fd00::1]:4711", []string{"[2001:db8:1:2::1]"}, "2001:db8:1:2::/64"},
		"IPv6 with a port":              {"[fd00::1]:4711", []string{"[2001:db8:1:2::1]:99"}, "2001:db8:1:2::/64"},
		"IPv4 in IPv6":                  {"[::ffff:198.51.100.9]:4711", nil, "198.51.100.9/32"},
		"a trusted IPv4 in IPv6":        {"[::ffff:10.0.0.1]:4711", []string{"::ffff:203.0.113.1"}, "203.0.113.1/32"},
		"a zone":                        {"[fe80::1%eth0]:4711", nil, "fe80::/64"},
		"no network":                    {"@", []string{"203.0.113.1"}, "invalid Prefix"},
		"more proxies than one follows": {"10.0.0.1:4711", []string{"203.0.113.1," + strings.Repeat("10.4.4.4,", maxHops) + "10.5.5.5"}, "10.4.4.4/32"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := proxies.clientOf(r).String(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	r := &http.Request{RemoteAddr: "10.0.0.1:4711", Header: http.Header{"X-Forwarded-For": {"203.0.113.1"}}}
	if got := (Proxies)(nil).clientOf(r).String(); got != "10.0.0.1/32" {
		t.Errorf("without trusted proxies: %s", got)
	}
}

func FuzzClientOf(f *testing.F) {
	f.Add("10.0.0.1:80", "1.2.3.4, 10.0.0.2")
	f.Add("[fd00::1]:80", "[::1]:9,,")
	proxies := Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	f.Fuzz(func(t *testing.T, peer, forwarded string) {
		before := proxies.clientOf(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {forwarded + ",203.0.113.9"}}})
		after := proxies.clientOf(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {"1.1.1.1," + forwarded + ",203.0.113.9"}}})
		if before != after {
			t.Errorf("what the client put in front decides: %s, %s", before, after)
		}
	})
}
