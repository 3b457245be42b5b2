package config

import (
	"time"

	"github.com/daybookhq/daybook/projections/published"
	"github.com/daybookhq/daybook/projections/redis"
)

// redis reads where entitlements are published, and how. The URL is never shown:
// it holds a password.
func (p *parser) redis(c *Config) {
	c.RedisConnectTimeout = p.duration(nameRedisConnect, 100*time.Millisecond, 30*time.Second)
	c.RedisCommandTimeout = p.duration(nameRedisCommand, 10*time.Millisecond, 10*time.Second)
	c.EntitlementTTL = p.duration(nameEntitlementTTL, time.Minute, 24*time.Hour)
	p.redisURL(c)
	p.entitlementKeys(c)
	if c.RedisURL != "" {
		if !p.explicit[nameEntitlementKey] {
			p.warnings = append(p.warnings, nameEntitlementKey+" is not set: entitlements in Redis are not signed, and whoever can write there can forge them")
		}
		return
	}
	for _, name := range []string{nameRedisConnect, nameRedisCommand, nameEntitlementKey} {
		if p.explicit[name] {
			p.warnings = append(p.warnings, name+" is set, but has no effect without "+nameRedisURL)
		}
	}
}

func (p *parser) redisURL(c *Config) {
	c.RedisURL = p.get(nameRedisURL)
	switch given := p.explicit[nameRedisURL] && !p.unread[nameRedisURL]; {
	case c.RedisURL != "":
		if err := redis.Validate(c.RedisURL); err != nil {
			p.fault(nameRedisURL, "%v", err)
		}
	case given:
		p.fault(nameRedisURL, "holds no URL")
	}
}

func (p *parser) entitlementKeys(c *Config) {
	entries := list(p.get(nameEntitlementKey))
	for i, text := range entries {
		key, err := published.ParseKey(text)
		if err != nil {
			p.fault(nameEntitlementKey, "entry %d: %v", i+1, err)
			continue
		}
		c.EntitlementKeys = append(c.EntitlementKeys, key)
	}
	if p.explicit[nameEntitlementKey] && !p.unread[nameEntitlementKey] && len(entries) == 0 {
		p.fault(nameEntitlementKey, "holds no key")
	}
}

// duration reads a time span with its unit, within bounds.
func (p *parser) duration(name string, least, most time.Duration) time.Duration {
	text := p.get(name)
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		p.fault(name, "%q is not a time span from %v to %v, as 500ms, 5s or 5m", text, least, most)
	}
	return d
}
