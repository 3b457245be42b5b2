package config_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/cmd/daybook/config"
)

// The tests named TestFaultNN… each fail on the fault of that number in
// docs/FAULTS.md. Those here are of what operators set.

// TestFault03WhatIsNotUsedIsRefused: a setting that names a sealing key is no
// setting to be kept in silence while nothing uses it; nor is a Redis or a
// replicated store that cannot be used, or the prefix of one that is not named.
func TestFault03WhatIsNotUsedIsRefused(t *testing.T) {
	for name, value := range map[string]string{
		"REDIS_URL": "memcached://cache:6379", "DAYBOOK_PAYLOAD_KEYS": "k1",
		"EVENTSTORE_URL": "kurrentdb://app:secret@store:2113", "EVENTSTORE_STREAM_PREFIX": "ours.",
	} {
		names, text := faultsOf(t, input(t, []string{"STRIPE_WEBHOOK_SECRETS=" + secret, name + "=" + value}))
		if !slices.Equal(names, []string{name}) || strings.Contains(text, value) {
			t.Errorf("%s: faults of %q:\n%s", name, names, text)
		}
	}
}

// TestFault20SecretsAreAList: the old one and the new one, side by side.
func TestFault20SecretsAreAList(t *testing.T) {
	c := mustLoad(t, input(t, []string{"STRIPE_WEBHOOK_SECRETS=" + secret + ",whsec_the_next_one"}))
	if !slices.Equal(c.WebhookSecrets, []string{secret, "whsec_the_next_one"}) {
		t.Errorf("secrets %q", c.WebhookSecrets)
	}
}

// TestFault25AWordIsNoTruth: "false" is not taken for true, and what is neither
// is refused.
func TestFault25AWordIsNoTruth(t *testing.T) {
	environ := []string{"STRIPE_WEBHOOK_SECRETS=" + secret}
	for text, live := range map[string]bool{"live": true, "test": false} {
		if c := mustLoad(t, input(t, append(environ, "DAYBOOK_LIVEMODE="+text))); c.Livemode != live {
			t.Errorf("DAYBOOK_LIVEMODE=%s: live %t", text, c.Livemode)
		}
	}
	for _, text := range []string{"false", "true", "0", "1", "no", "LIVE"} {
		if names, _ := faultsOf(t, input(t, append(environ, "DAYBOOK_LIVEMODE="+text))); !slices.Equal(names, []string{"DAYBOOK_LIVEMODE"}) {
			t.Errorf("DAYBOOK_LIVEMODE=%s: faults of %q", text, names)
		}
	}
	if c := mustLoad(t, input(t, environ, "--dev=false")); c.Dev {
		t.Error("--dev=false is development mode")
	}
}

// TestFault25PricesThatDoNotParseAreTold: every one of them, and none is left
// out in silence.
func TestFault25PricesThatDoNotParseAreTold(t *testing.T) {
	for name, test := range map[string]struct{ tiers, told string }{
		"no list":        {"[{id: free}, {id: pro, prices: price_1}]", "prices"},
		"a number":       {"[{id: free}, {id: pro, prices: [17]}]", "prices"},
		"nothing":        {"[{id: free}, {id: pro, prices: [price_1, '']}]", "tiers[1].prices"},
		"of two tiers":   {"[{id: free}, {id: pro, prices: [price_1]}, {id: max, prices: [price_1]}]", "price_1"},
		"a key unknown":  {"[{id: free}, {id: pro, price_ids: [price_1]}]", "price_ids"},
		"a pair as text": {"[{id: free}, 'pro:price_1']", "tiers"},
	} {
		_, err := config.ReadCatalog(writeFile(t, "catalog.yaml", "free_tier: free\ntiers: "+test.tiers+"\n"))
		var faults aggregate.CatalogFaults
		if !errors.As(err, &faults) || !strings.Contains(err.Error(), test.told) {
			t.Errorf("%s: %v, want a fault of %s", name, err, test.told)
		}
	}
}
