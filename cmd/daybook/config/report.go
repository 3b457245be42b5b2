package config

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/daybookhq/daybook/eventstore/esdb"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/stripeapi"
	"github.com/daybookhq/daybook/projections/redis"
)

// Setting is one value that is in force, fit to be shown to anybody.
type Setting struct {
	Name string `json:"name"`
	// Value is masked for secrets: only fingerprints.
	Value  string `json:"value"`
	Secret bool   `json:"secret,omitempty"`
	// Source is "default", "env NAME" or "flag --name", followed by a path where
	// the value was read from a file; "--dev" where that changed it.
	Source string `json:"source"`
}

// Settings lists every value in force and where it came from, secrets masked.
func (c *Config) Settings() []Setting { return slices.Clone(c.settings) }

// EventStoreHosts is the connection string as it may be shown: its hosts only.
func (c *Config) EventStoreHosts() string { return maskURL(c.EventStoreURL) }

func (p *parser) report(c *Config) []Setting {
	settings := make([]Setting, 0, len(variables)+1)
	for _, v := range variables {
		s := Setting{Name: v.name, Value: p.get(v.name), Source: p.source[v.name], Secret: v.secret}
		switch {
		case v.name == nameWebhookSecrets:
			s.Value = maskSecrets(list(s.Value))
			s = withDev(s, c.Dev, fingerprint(DevSecret))
		case v.name == nameAPIKeys:
			s.Value = maskKeys(list(s.Value))
			s = withDev(s, c.Dev, DevAPIKey+" (every scope)")
		case v.name == nameEventStoreURL && s.Value != "":
			s.Value = maskURL(s.Value)
		case v.name == nameRedisURL && s.Value != "":
			s.Value = maskRedisURL(s.Value)
		case (v.name == nameOTLPEndpoint || v.name == nameOTLPTracesEndpoint) && s.Value != "":
			s.Value = maskEndpoint(s.Value)
		case v.name == nameEntitlementKey:
			s.Value = maskSecrets(list(s.Value))
		case v.name == nameStripeKey && s.Value != "":
			s.Value = maskStripeKey(s.Value)
		case v.name == nameLivemode && c.Dev && !p.explicit[v.name]:
			s.Value, s.Source = "test", "--"+devFlag
		case v.name == nameCatalog && s.Value == "":
			s.Value = "built-in"
		}
		settings = append(settings, s)
	}
	source := defaultSource
	if c.Dev {
		source = "flag --" + devFlag
	}
	return append(settings, Setting{Name: "--" + devFlag, Value: strconv.FormatBool(c.Dev), Source: source})
}

// withDev shows what --dev adds to a list.
func withDev(s Setting, dev bool, added string) Setting {
	if !dev {
		return s
	}
	s.Value = strings.TrimPrefix(s.Value+", "+added, ", ")
	if s.Source == defaultSource {
		s.Source = "--" + devFlag
	} else {
		s.Source += ", --" + devFlag
	}
	return s
}

func maskSecrets(secrets []string) string {
	masked := make([]string, len(secrets))
	for i, s := range secrets {
		masked[i] = fingerprint(s)
	}
	return strings.Join(masked, ", ")
}

// maskKeys keeps names and scopes of well-formed keys; a malformed entry may be
// a token pasted in the wrong place.
func maskKeys(keys []string) string {
	masked := make([]string, len(keys))
	for i, key := range keys {
		parts := strings.SplitN(key, ":", 4)
		if len(parts) < 3 {
			masked[i] = fingerprint(key)
			continue
		}
		masked[i] = parts[0] + " (" + parts[1] + ", " + fingerprint(parts[2]) + ")"
	}
	return strings.Join(masked, ", ")
}

// maskURL keeps the hosts of a well-formed connection string.
func maskURL(url string) string {
	if esdb.Validate(url) != nil {
		return fingerprint(url)
	}
	scheme, rest, _ := strings.Cut(url, "://")
	rest, _, _ = strings.Cut(rest, "?")
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		rest = "***@" + rest[at+1:]
	}
	return scheme + "://" + rest
}

// maskRedisURL keeps the hosts of a URL that is right.
func maskRedisURL(url string) string {
	if redis.Validate(url) != nil {
		return fingerprint(url)
	}
	return redis.Hosts(url)
}

// maskStripeKey keeps what tells the kind and the mode of a well-formed key.
func maskStripeKey(key string) string {
	if len(key) < 8 || stripeapi.CheckKey(key, true) != nil && stripeapi.CheckKey(key, false) != nil {
		return fingerprint(key)
	}
	return key[:8] + "*** (" + fingerprint(key) + ")"
}

// fingerprint identifies a secret without telling it. A signing secret's is the
// one that journal entries carry.
func fingerprint(secret string) string { return "sha256:" + intake.Fingerprint(secret) }

// WriteTable writes settings for people.
func WriteTable(w io.Writer, settings []Setting) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tVALUE\tFROM")
	for _, s := range settings {
		value := s.Value
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.Name, value, s.Source)
	}
	return table.Flush() // the writer above keeps any error until here
}
