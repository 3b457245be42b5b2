package config_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/cmd/daybook/config"
)

func TestRedisDefaults(t *testing.T) {
	c := mustLoad(t, input(t, []string{"STRIPE_WEBHOOK_SECRETS=" + secret}))
	if c.RedisURL != "" || c.RedisConnectTimeout != 5*time.Second || c.RedisCommandTimeout != 500*time.Millisecond ||
		c.EntitlementTTL != 5*time.Minute || len(c.EntitlementKeys) != 0 {
		t.Errorf("%+v", c)
	}
	c = mustLoad(t, input(t, []string{"STRIPE_WEBHOOK_SECRETS=" + secret, "REDIS_CONNECT_TIMEOUT=100ms"},
		"--redis-command-timeout", "10s", "--entitlement-ttl", "24h"))
	if c.RedisConnectTimeout != 100*time.Millisecond || c.RedisCommandTimeout != 10*time.Second || c.EntitlementTTL != 24*time.Hour {
		t.Errorf("%+v", c)
	}
	if !slices.Contains(c.Warnings, "REDIS_CONNECT_TIMEOUT is set, but has no effect without REDIS_URL") || len(c.Warnings) != 2 {
		t.Errorf("warnings %q", c.Warnings)
	}
	c = mustLoad(t, input(t, []string{"REDIS_URL=redis://:hunter2@h:6379/1"}, "--dev"))
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "not signed") || settings(c)["REDIS_URL"].Value != "redis://h:6379/1" {
		t.Errorf("without a key: warnings %q, shown as %s", c.Warnings, settings(c)["REDIS_URL"].Value)
	}
	key := strings.Repeat("QUJD", 11)
	c = mustLoad(t, input(t, []string{"REDIS_URL=redis://h", "DAYBOOK_ENTITLEMENT_KEY=" + key + ", " + strings.Repeat("QUJD", 12)}, "--dev"))
	if len(c.Warnings) != 0 || len(c.EntitlementKeys) != 2 || string(c.EntitlementKeys[0]) != strings.Repeat("ABC", 11) {
		t.Errorf("with two keys: warnings %q, keys %q", c.Warnings, c.EntitlementKeys)
	}
}

// TestSecretsOfRedisStaySecret: neither faults nor the printed settings tell the
// password of a URL, right or wrong, or a key.
func TestSecretsOfRedisStaySecret(t *testing.T) {
	key := strings.Repeat("aHVudGVyMg", 5)
	for _, url := range []string{"redis://ops:hunter2@h:6379/1", "redis://ops:hunter2@h/hunter2", "redis://ops:hunter2 @h", "hunter2",
		"redis://h?master_name=main&password=hunter2", "redis://h?hunter2=hunter2"} {
		c, err := config.Load(input(t, []string{"STRIPE_WEBHOOK_SECRETS=" + secret, "REDIS_URL=" + url, "DAYBOOK_ENTITLEMENT_KEY=" + key + ",hunter2"}))
		var faults config.Faults
		if !errors.As(err, &faults) {
			t.Fatalf("%s: %v", url, err)
		}
		for _, name := range []string{"REDIS_URL", "DAYBOOK_ENTITLEMENT_KEY"} {
			if text := err.Error() + settings(c)[name].Value; strings.Contains(text, "hunter2") || strings.Contains(text, key) {
				t.Errorf("%s with %s: %s", name, url, text)
			}
		}
	}
}
