// Package config reads the settings of the daybook command: defaults, then the
// environment, then flags of the same name, and says of every value where it
// came from. A wrong configuration is refused as a whole, with every fault
// listed at once.
package config

import (
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/api"
	"github.com/daybookhq/daybook/checkout"
	"github.com/daybookhq/daybook/projections/published"
)

// What --dev adds. Both are public, so they are refused anywhere else.
const (
	// DevSecret signs webhooks in development.
	DevSecret = "whsec_daybook_dev"
	// DevAPIKey is the bearer token of the development key, which has every scope.
	DevAPIKey = "dev"
)

// Config is a valid configuration. It is not changed once made; Reload makes
// another.
type Config struct {
	// Addr is the listen address, host:port; port 0 lets the system choose.
	Addr string
	// MetricsAddr is where /metrics is served, empty for Addr.
	MetricsAddr string
	// PprofAddr is the loopback address where profiles are served, empty for
	// nowhere.
	PprofAddr string
	// DataDir holds the embedded store and the read model.
	DataDir string
	// Limits are what clients may ask for, and MaxConnections how many connections
	// they may have.
	Limits         api.Limits
	MaxConnections int
	// Catalog is the plan catalog of CatalogFile, or the built-in one.
	Catalog     *aggregate.Catalog
	CatalogFile string
	// AccountKeys are the metadata keys that name the account, in order.
	AccountKeys []string
	// APIKeys are all that the API knows; with Dev they include the development
	// key.
	APIKeys []api.Key
	// Livemode says which mode's events are posted: true for live, false for test.
	Livemode bool
	// ConnectAccounts are the connected accounts whose events are posted.
	ConnectAccounts []string
	// RedirectHosts are those that buyers may be sent back to from Stripe.
	RedirectHosts []checkout.Host
	// WebhookMaxBytes bounds the body of a webhook.
	WebhookMaxBytes int64
	LogLevel        logrus.Level
	// LogFormat is "json" or "text".
	LogFormat string
	// WebhookSecrets all verify signatures; with Dev they include DevSecret.
	WebhookSecrets []string
	// StripeKey is a key of Stripe's API in the store's mode, empty for none;
	// StripeBase is the API's address, empty for Stripe's own.
	StripeKey  string
	StripeBase string
	// EventStoreURL is the connection string of a cluster, empty for the
	// embedded store. StreamPrefix is put before the names of streams there.
	EventStoreURL string
	StreamPrefix  string
	// RedisURL is where entitlements are published, empty for nowhere.
	RedisURL                                 string
	RedisConnectTimeout, RedisCommandTimeout time.Duration
	// EntitlementTTL is for how long an answer may be kept, and how long a
	// published entitlement holds unless it is renewed.
	EntitlementTTL time.Duration
	// EntitlementKeys sign published entitlements: the first signs, all verify.
	EntitlementKeys published.Keys
	Traces          Traces
	Dev             bool
	// Warnings name what is allowed but probably not meant.
	Warnings []string

	input    Input
	settings []Setting
}

// Input is what a configuration is made from.
type Input struct {
	// Flags are those of AddFlags, already parsed. Nil means that there are none.
	Flags *pflag.FlagSet
	// Environ lists variables as NAME=value; see os.Environ.
	Environ []string
	// Serving says that webhooks will be received, so that a signing secret is
	// required. Commands that only look need none.
	Serving bool
}

// Load reads and checks the configuration. The error is Faults, with every
// fault there is; the Config beside it is then good for Settings and nothing
// else.
func Load(in Input) (*Config, error) {
	values := collect(in)
	c := &Config{input: in}
	p := &parser{values: values, input: in}
	p.parse(c)
	c.settings, c.Warnings = p.report(c), values.warnings
	if len(p.faults) > 0 {
		return c, p.faults
	}
	return c, nil
}

// Reload reads everything again: the files that hold secrets and keys, and the
// catalog. The environment and the flags of a process cannot change, so nothing
// but WebhookSecrets, APIKeys, EntitlementKeys and Catalog should differ. With an
// error, the old configuration should stay in force.
func (c *Config) Reload() (*Config, error) { return Load(c.input) }

// Fault is one thing that is wrong with the configuration.
type Fault struct {
	// Name is the variable's, or a flag's with its dashes.
	Name string `json:"name"`
	// Problem never contains a secret.
	Problem string `json:"problem"`
	// Example is a right value, empty where none would help.
	Example string `json:"example,omitempty"`
}

func (f Fault) String() string {
	if f.Example == "" {
		return f.Name + ": " + f.Problem
	}
	return f.Name + ": " + f.Problem + " (example: " + f.Example + ")"
}

// Faults is everything that is wrong with the configuration.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, 0, len(f)+1)
	lines = append(lines, "the configuration is wrong:")
	for _, fault := range f {
		lines = append(lines, "  "+fault.String())
	}
	return strings.Join(lines, "\n")
}
