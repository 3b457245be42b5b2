package config_test

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/daybookhq/daybook/api"
)

func TestLimits(t *testing.T) {
	signing := "STRIPE_WEBHOOK_SECRETS=" + secret
	generous := api.Rate{PerSecond: 50000, Burst: 500000}
	if c := mustLoad(t, input(t, []string{signing})); c.Limits.PerKey != generous || c.Limits.PerAddress != generous ||
		c.Limits.Webhooks != generous || len(c.Limits.Proxies) != 0 || c.MaxConnections != api.DefaultConnections {
		t.Errorf("defaults: %+v, %d connections", c.Limits, c.MaxConnections)
	}
	c := mustLoad(t, input(t, []string{signing, "DAYBOOK_TRUSTED_PROXIES=10.0.0.0/8, fd00::/8,192.0.2.7", "DAYBOOK_RATE_PER_KEY=100",
		"DAYBOOK_RATE_PER_ADDRESS=100:20", "DAYBOOK_RATE_WEBHOOKS=off"}, "--max-connections", "16"))
	want := api.Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("192.0.2.7/32")}
	if l := c.Limits; l.PerKey != (api.Rate{PerSecond: 100, Burst: 100}) || l.PerAddress != (api.Rate{PerSecond: 100, Burst: 20}) ||
		l.Webhooks != (api.Rate{}) || !slices.Equal(l.Proxies, want) || c.MaxConnections != 16 {
		t.Errorf("%+v, %d connections", l, c.MaxConnections)
	}
	if s := settings(c)["DAYBOOK_TRUSTED_PROXIES"]; s.Value != "10.0.0.0/8, fd00::/8,192.0.2.7" || s.Source != "env DAYBOOK_TRUSTED_PROXIES" {
		t.Errorf("shown as %+v", s)
	}
	for _, bad := range []string{"0", "-1", "1.5", ":", "1:0", "5:", ":5", "1:2:3", "99999999", "1e3", "unlimited"} {
		if names, _ := faultsOf(t, input(t, []string{signing, "DAYBOOK_RATE_PER_KEY=" + bad})); !slices.Equal(names, []string{"DAYBOOK_RATE_PER_KEY"}) {
			t.Errorf("%q: faults %q", bad, names)
		}
	}
	for _, bad := range []string{"0.0.0.0/0", "::/0", "10.0.0.1/8", "10.0.0.0/33", "::ffff:10.0.0.0/104", "example.com", ","} {
		names, _ := faultsOf(t, input(t, []string{signing, "DAYBOOK_TRUSTED_PROXIES=" + bad}))
		if !slices.Equal(names, []string{"DAYBOOK_TRUSTED_PROXIES"}) {
			t.Errorf("%q: faults %q", bad, names)
		}
	}
}

// TestEverySettingIsDocumented looks for them in the README.
func TestEverySettingIsDocumented(t *testing.T) {
	c := mustLoad(t, input(t, []string{"STRIPE_WEBHOOK_SECRETS=" + secret}))
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range settings(c) {
		if strings.HasPrefix(name, "DAYBOOK_") && !strings.Contains(string(readme), "`"+name+"`") {
			t.Errorf("README.md does not tell of %s (%s)", name, s.Value)
		}
	}
}
