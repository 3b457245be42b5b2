package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/daybookhq/daybook/api"
	"github.com/daybookhq/daybook/checkout"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/eventstore/esdb"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/stripeapi"
)

// minWebhookBytes is below any real event.
const minWebhookBytes = 1024

// maxMetadataKey is the longest metadata key that Stripe accepts.
const maxMetadataKey = 40

var connectAccount = regexp.MustCompile(`^acct_[A-Za-z0-9]{1,250}$`)

// parser turns text into a Config and gathers what is wrong with it.
type parser struct {
	*values
	input Input
}

func (p *parser) fault(name, format string, args ...any) {
	f := Fault{Name: name, Problem: fmt.Sprintf(format, args...)}
	for _, v := range variables {
		if v.name == name {
			f.Example = v.example
		}
	}
	p.faults = append(p.faults, f)
}

func (p *parser) parse(c *Config) {
	c.Dev = p.dev
	p.address(c)
	p.metricsAddress(c)
	p.pprofAddress(c)
	p.dataDir(c)
	p.catalog(c)
	p.accountKeys(c)
	p.apiKeys(c)
	p.mode(c)
	p.connectAccounts(c)
	p.redirectHosts(c)
	p.webhookMaxBytes(c)
	p.limits(c)
	p.logging(c)
	p.webhookSecrets(c)
	p.stripeAPI(c)
	p.eventStore(c)
	p.redis(c)
	p.traces(c)
}

func (p *parser) address(c *Config) {
	c.Addr = p.get(nameAddr)
	host, ok := p.hostOf(nameAddr)
	if ok && c.Dev && !loopback(host) {
		p.fault("--"+devFlag, "its secret and its API key are public, so it wants a loopback address, not %s=%s", nameAddr, c.Addr)
	}
}

// metricsAddress may not be the address of the routes: these are for everybody.
func (p *parser) metricsAddress(c *Config) {
	c.MetricsAddr = p.get(nameMetricsAddr)
	if c.MetricsAddr == "" {
		return
	}
	if _, ok := p.hostOf(nameMetricsAddr); ok && sameAddress(c.MetricsAddr, c.Addr) {
		p.fault(nameMetricsAddr, "is the same as %s: leave it out, and clients on the loopback find /metrics there", nameAddr)
	}
}

// pprofAddress is for this machine alone: whoever asks for a profile slows the
// server down, and nobody is asked for a key.
func (p *parser) pprofAddress(c *Config) {
	c.PprofAddr = p.get(namePprofAddr)
	if c.PprofAddr == "" {
		return
	}
	switch host, ok := p.hostOf(namePprofAddr); {
	case !ok:
	case !loopback(host):
		p.fault(namePprofAddr, "profiles are for this machine alone: want a loopback address, not %s", c.PprofAddr)
	case sameAddress(c.PprofAddr, c.Addr) || sameAddress(c.PprofAddr, c.MetricsAddr):
		p.fault(namePprofAddr, "is the address of another listener: profiles have one of their own")
	}
}

// sameAddress reports two listeners that cannot both be there. Port 0 is another
// one each time.
func sameAddress(a, b string) bool {
	_, port, _ := net.SplitHostPort(a)
	return a == b && port != "0"
}

// hostOf checks an address to listen on, and returns its host.
func (p *parser) hostOf(name string) (host string, ok bool) {
	addr := p.get(name)
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		p.fault(name, "%q is not host:port", addr)
		return "", false
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		p.fault(name, "port %q is not a number from 0 to 65535", port)
	} else if strconv.FormatUint(n, 10) != port {
		p.fault(name, "port %q: want it without leading zeros", port)
	}
	if !validHost(host) {
		p.fault(name, "%q is neither an IP address nor a host name", host)
	}
	return host, true
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,252})$`)

// validHost accepts an empty host, which means every interface.
func validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return true
	}
	numeric := strings.Trim(host, "0123456789.") == "" // a mistyped IPv4 address
	return !numeric && hostName.MatchString(host)
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost"
}

// dataDir need not exist yet, but what exists must be a folder.
func (p *parser) dataDir(c *Config) {
	c.DataDir = p.get(nameDataDir)
	if strings.ContainsRune(c.DataDir, 0) || c.DataDir == "" {
		p.fault(nameDataDir, "%q is no path", c.DataDir)
		return
	}
	info, err := os.Stat(c.DataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		p.fault(nameDataDir, "%v", err)
	case !info.IsDir():
		p.fault(nameDataDir, "%s is a file: want a folder", c.DataDir)
	}
}

func (p *parser) accountKeys(c *Config) {
	c.AccountKeys = list(p.get(nameAccountKeys))
	if len(c.AccountKeys) == 0 {
		p.fault(nameAccountKeys, "want at least one key")
	}
	for i, key := range c.AccountKeys {
		switch {
		case len(key) > maxMetadataKey:
			p.fault(nameAccountKeys, "%q is longer than the %d characters that Stripe allows", key, maxMetadataKey)
		case strings.ContainsAny(key, "[]"):
			p.fault(nameAccountKeys, "%q: Stripe allows no brackets in metadata keys", key)
		case slices.Contains(c.AccountKeys[:i], key):
			p.fault(nameAccountKeys, "%q is there twice", key)
		}
	}
}

func (p *parser) apiKeys(c *Config) {
	spec := strings.Join(list(p.get(nameAPIKeys)), ",")
	if !c.Dev && strings.Contains(strings.ToLower(spec), devKeyHash()) {
		p.fault(nameAPIKeys, "the key %q is public: it exists only with --%s", DevAPIKey, devFlag)
	}
	if c.Dev {
		spec = strings.Trim(spec+",dev:read+audit+billing+admin:"+devKeyHash(), ",")
	}
	keys, err := api.ParseKeys(spec)
	c.APIKeys = keys
	var faults api.KeyFaults
	if errors.As(err, &faults) {
		for _, fault := range faults {
			p.fault(nameAPIKeys, "%s", fault)
		}
	} else if err != nil {
		p.fault(nameAPIKeys, "%v", err)
	}
}

func devKeyHash() string {
	sum := sha256.Sum256([]byte(DevAPIKey))
	return hex.EncodeToString(sum[:])
}

func (p *parser) mode(c *Config) {
	mode := p.get(nameLivemode)
	if mode != "live" && mode != "test" {
		p.fault(nameLivemode, "%q is neither live nor test", mode)
		return
	}
	c.Livemode = mode == "live" && !c.Dev
	if c.Dev && mode == "live" && p.explicit[nameLivemode] {
		p.fault("--"+devFlag, "it is for test mode, but %s=live", nameLivemode)
	}
}

func (p *parser) connectAccounts(c *Config) {
	c.ConnectAccounts = list(p.get(nameConnectAccounts))
	for _, account := range c.ConnectAccounts {
		if !connectAccount.MatchString(account) {
			p.fault(nameConnectAccounts, "%q is no account id", account)
		}
	}
}

func (p *parser) redirectHosts(c *Config) {
	for _, text := range list(p.get(nameRedirectHosts)) {
		host, err := checkout.ParseHost(text)
		if err != nil {
			p.fault(nameRedirectHosts, "%q: %v", text, err)
		}
		c.RedirectHosts = append(c.RedirectHosts, host)
	}
	if p.explicit[nameRedirectHosts] && len(c.RedirectHosts) == 0 {
		p.fault(nameRedirectHosts, "holds no host")
	}
}

// webhookMaxBytes may not exceed what the store takes: a larger event would be
// let in at the door and then refused for ever.
func (p *parser) webhookMaxBytes(c *Config) {
	text := p.get(nameWebhookMaxBytes)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < minWebhookBytes || n > eventstore.MaxAppendBytes {
		p.fault(nameWebhookMaxBytes, "%q is not a number of bytes from %d to %d", text, minWebhookBytes, eventstore.MaxAppendBytes)
	}
	c.WebhookMaxBytes = n
}

func (p *parser) logging(c *Config) {
	level, err := logrus.ParseLevel(p.get(nameLogLevel))
	if err != nil || level < logrus.ErrorLevel {
		p.fault(nameLogLevel, "%q is none of error, warning, info, debug, trace", p.get(nameLogLevel))
	}
	c.LogLevel = level
	c.LogFormat = p.get(nameLogFormat)
	if c.LogFormat != "json" && c.LogFormat != "text" {
		p.fault(nameLogFormat, "%q is neither json nor text", c.LogFormat)
	}
}

func (p *parser) webhookSecrets(c *Config) {
	for i, secret := range list(p.get(nameWebhookSecrets)) {
		switch err := intake.ValidSecret(secret); {
		case secret == DevSecret && !c.Dev:
			p.fault(nameWebhookSecrets, "entry %d is the public development secret: it is valid only with --%s", i+1, devFlag)
		case err != nil:
			p.fault(nameWebhookSecrets, "entry %d: %v", i+1, err)
		case !slices.Contains(c.WebhookSecrets, secret):
			c.WebhookSecrets = append(c.WebhookSecrets, secret)
		}
	}
	if c.Dev && !slices.Contains(c.WebhookSecrets, DevSecret) {
		c.WebhookSecrets = append(c.WebhookSecrets, DevSecret)
	}
	given := p.explicit[nameWebhookSecrets]
	switch {
	case p.input.Serving && !given && !c.Dev:
		p.fault(nameWebhookSecrets, "not set: without a signing secret no webhook can be believed (for a try, use --%s)", devFlag)
	case given && !p.unread[nameWebhookSecrets] && len(list(p.get(nameWebhookSecrets))) == 0:
		p.fault(nameWebhookSecrets, "holds no secret")
	}
}

// stripeAPI checks the key's form and mode: one of the other mode would answer
// with what must not come into this store. It follows mode.
func (p *parser) stripeAPI(c *Config) {
	c.StripeKey = p.get(nameStripeKey)
	given := p.explicit[nameStripeKey] && !p.unread[nameStripeKey]
	if given {
		if err := stripeapi.CheckKey(c.StripeKey, c.Livemode); err != nil {
			p.fault(nameStripeKey, "%v", err)
		}
	}
	if c.StripeBase = strings.TrimSuffix(p.get(nameStripeBase), "/"); c.StripeBase == "" {
		return
	}
	u, err := url.Parse(c.StripeBase)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Path+u.RawQuery+u.Fragment != "":
		p.fault(nameStripeBase, "want http:// or https:// and a host, and nothing behind it")
	case u.Scheme == "http" && c.Livemode && !loopback(u.Hostname()):
		p.fault(nameStripeBase, "a key of live mode must not go over plain http to another machine")
	case !p.explicit[nameStripeKey]:
		p.fault(nameStripeBase, "has a meaning only with %s", nameStripeKey)
	}
}

// streamPrefix ends with a mark, so that no prefix is the beginning of
// another's name by accident.
var streamPrefix = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,98}[._:/-]$`)

// eventStore never shows the connection string: it holds a password.
func (p *parser) eventStore(c *Config) {
	c.EventStoreURL, c.StreamPrefix = p.get(nameEventStoreURL), p.get(nameStreamPrefix)
	switch given := p.explicit[nameEventStoreURL]; {
	case c.EventStoreURL != "":
		if err := esdb.Validate(c.EventStoreURL); err != nil {
			p.fault(nameEventStoreURL, "%v", err)
		}
	case given && !p.unread[nameEventStoreURL]:
		p.fault(nameEventStoreURL, "holds no connection string")
	case c.StreamPrefix != "" && !given:
		p.fault(nameStreamPrefix, "has a meaning only with %s", nameEventStoreURL)
	}
	if c.StreamPrefix != "" && !streamPrefix.MatchString(c.StreamPrefix) {
		p.fault(nameStreamPrefix, "%q: want 2 to 100 letters, digits and . _ : / -, the last one none of the letters and digits", c.StreamPrefix)
	}
}

// list splits at commas and line ends, and drops blanks around and between.
func list(text string) []string {
	var entries []string
	for _, entry := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		if entry = strings.TrimSpace(entry); entry != "" {
			entries = append(entries, entry)
		}
	}
	return entries
}
