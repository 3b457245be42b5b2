package config_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/api"
	"github.com/daybookhq/daybook/checkout"
	"github.com/daybookhq/daybook/cmd/daybook/config"
)

const secret = "whsec_5f3c9a0b7d2e4816"

// input makes an Input of variables and command-line arguments.
func input(t *testing.T, environ []string, args ...string) config.Input {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.AddFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return config.Input{Flags: fs, Environ: environ, Serving: true}
}

func mustLoad(t *testing.T, in config.Input) *config.Config {
	t.Helper()
	c, err := config.Load(in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// faultsOf loads what must be refused, and lists whose fault it is.
func faultsOf(t *testing.T, in config.Input) (names []string, text string) {
	t.Helper()
	_, err := config.Load(in)
	var faults config.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("error %v: want config.Faults", err)
	}
	for _, f := range faults {
		names = append(names, f.Name)
	}
	return names, err.Error()
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func settings(c *config.Config) map[string]config.Setting {
	byName := map[string]config.Setting{}
	for _, s := range c.Settings() {
		byName[s.Name] = s
	}
	return byName
}

func TestDefaults(t *testing.T) {
	c := mustLoad(t, input(t, []string{"STRIPE_WEBHOOK_SECRETS=" + secret, "DAYBOOK_ADDR="}))
	if c.Addr != "127.0.0.1:8080" || c.DataDir != "./data" || !c.Livemode || c.Dev ||
		c.WebhookMaxBytes != 1048576 || c.LogLevel.String() != "info" || c.LogFormat != "json" {
		t.Errorf("defaults: %+v", c)
	}
	if !slices.Equal(c.AccountKeys, []string{"account_id", "community_id"}) || len(c.APIKeys) != 0 || len(c.ConnectAccounts) != 0 {
		t.Errorf("default lists: %q %v %q", c.AccountKeys, c.APIKeys, c.ConnectAccounts)
	}
	if c.Catalog.FreeTier != "starter" || len(c.Catalog.Tiers) != 6 {
		t.Errorf("built-in catalog: %+v", c.Catalog)
	}
}

func TestLaterLayersOverrideAndSayWhereFrom(t *testing.T) {
	file := writeFile(t, "secrets", secret+"\nwhsec_the_second\n")
	c := mustLoad(t, input(t,
		[]string{"DAYBOOK_ADDR=127.0.0.1:1", "DAYBOOK_LIVEMODE=test", "STRIPE_WEBHOOK_SECRETS_FILE=" + file},
		"--addr", "127.0.0.1:2"))
	if c.Addr != "127.0.0.1:2" || c.Livemode || !slices.Equal(c.WebhookSecrets, []string{secret, "whsec_the_second"}) {
		t.Errorf("addr %s livemode %v secrets %q", c.Addr, c.Livemode, c.WebhookSecrets)
	}
	want := map[string]string{
		"DAYBOOK_ADDR":           "flag --addr",
		"DAYBOOK_LIVEMODE":       "env DAYBOOK_LIVEMODE",
		"DAYBOOK_DATA_DIR":       "default",
		"STRIPE_WEBHOOK_SECRETS": "env STRIPE_WEBHOOK_SECRETS_FILE (" + file + ")",
	}
	for name, source := range want {
		if got := settings(c)[name].Source; got != source {
			t.Errorf("%s comes from %q: want %q", name, got, source)
		}
	}
}

func TestAFlagReplacesAVariablesFile(t *testing.T) {
	in := input(t, []string{"STRIPE_WEBHOOK_SECRETS_FILE=/nowhere"}, "--stripe-webhook-secrets", secret)
	if c := mustLoad(t, in); !slices.Equal(c.WebhookSecrets, []string{secret}) {
		t.Errorf("secrets %q", c.WebhookSecrets)
	}
	file := writeFile(t, "secrets", secret)
	in = input(t, []string{"STRIPE_WEBHOOK_SECRETS=whsec_the_other"}, "--stripe-webhook-secrets-file", file)
	if c := mustLoad(t, in); !slices.Equal(c.WebhookSecrets, []string{secret}) {
		t.Errorf("secrets %q", c.WebhookSecrets)
	}
}

func TestEveryFaultAtOnce(t *testing.T) {
	catalog := writeFile(t, "catalog.yaml", "free_tier: none\ntiers: [{id: a, price: x}, {id: a}]\n")
	names, text := faultsOf(t, input(t, []string{
		"DAYBOOK_ADDR=nonsense", "DAYBOOK_DATA_DIR=" + catalog, "DAYBOOK_CATALOG=" + catalog,
		"DAYBOOK_ACCOUNT_KEYS=a,a", "DAYBOOK_API_KEYS=bad", "DAYBOOK_LIVEMODE=false",
		"DAYBOOK_CONNECT_ACCOUNTS=acc_1", "DAYBOOK_WEBHOOK_MAX_BYTES=1MB", "DAYBOOK_LOG_LEVEL=loud",
		"DAYBOOK_LOG_FORMAT=xml", "DAYBOOK_REDIRECT_HOSTS=//evil", "DAYBOOK_METRICS_ADDR=9464", "STRIPE_WEBHOOK_SECRETS=sk_live_secret", "REDIS_URL=localhost:6379",
		"DAYBOOK_TRUSTED_PROXIES=10.0.0.0/8,proxy", "DAYBOOK_RATE_PER_KEY=0", "DAYBOOK_RATE_PER_ADDRESS=1:", "DAYBOOK_RATE_WEBHOOKS=none",
		"DAYBOOK_MAX_CONNECTIONS=1",
		"REDIS_CONNECT_TIMEOUT=5", "REDIS_COMMAND_TIMEOUT=1ms", "DAYBOOK_ENTITLEMENT_TTL=never", "DAYBOOK_ENTITLEMENT_KEY=short",
	}))
	for _, want := range []string{
		"DAYBOOK_ADDR", "DAYBOOK_DATA_DIR", "DAYBOOK_CATALOG", "DAYBOOK_ACCOUNT_KEYS", "DAYBOOK_API_KEYS",
		"DAYBOOK_LIVEMODE", "DAYBOOK_CONNECT_ACCOUNTS", "DAYBOOK_WEBHOOK_MAX_BYTES", "DAYBOOK_LOG_LEVEL",
		"DAYBOOK_LOG_FORMAT", "DAYBOOK_REDIRECT_HOSTS", "DAYBOOK_METRICS_ADDR", "STRIPE_WEBHOOK_SECRETS", "REDIS_URL",
		"DAYBOOK_TRUSTED_PROXIES", "DAYBOOK_RATE_PER_KEY", "DAYBOOK_RATE_PER_ADDRESS", "DAYBOOK_RATE_WEBHOOKS", "DAYBOOK_MAX_CONNECTIONS",
		"REDIS_CONNECT_TIMEOUT", "REDIS_COMMAND_TIMEOUT", "DAYBOOK_ENTITLEMENT_TTL", "DAYBOOK_ENTITLEMENT_KEY",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("no fault of %s in %q", want, names)
		}
	}
	for _, want := range []string{"free_tier", "price: unknown key", "there twice", "(example: 127.0.0.1:8080)"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "sk_live_secret") {
		t.Errorf("a secret is told:\n%s", text)
	}
}

func TestRefused(t *testing.T) {
	ok := "STRIPE_WEBHOOK_SECRETS=" + secret
	devHash := "DAYBOOK_API_KEYS=x:read:ef260e9aa3c673af240d17a2660480361a8e081d1ffeca2a5ed0e3219fc18567"
	file := writeFile(t, "two.yaml", "free_tier: a\n---\nfree_tier: b\n")
	secrets := writeFile(t, "secrets", "whsec_another_one")
	cases := map[string]struct {
		environ []string
		args    []string
		want    string
	}{
		"no secret":              {nil, nil, "STRIPE_WEBHOOK_SECRETS"},
		"blank secret":           {[]string{"STRIPE_WEBHOOK_SECRETS= , "}, nil, "STRIPE_WEBHOOK_SECRETS"},
		"secret file missing":    {[]string{"STRIPE_WEBHOOK_SECRETS_FILE=/nowhere/at/all"}, nil, "STRIPE_WEBHOOK_SECRETS_FILE"},
		"value and file":         {[]string{ok, "STRIPE_WEBHOOK_SECRETS_FILE=" + secrets}, nil, "STRIPE_WEBHOOK_SECRETS"},
		"public secret":          {[]string{"STRIPE_WEBHOOK_SECRETS=" + config.DevSecret}, nil, "STRIPE_WEBHOOK_SECRETS"},
		"public key":             {[]string{ok, devHash}, nil, "DAYBOOK_API_KEYS"},
		"port":                   {[]string{ok, "DAYBOOK_ADDR=127.0.0.1:65536"}, nil, "DAYBOOK_ADDR"},
		"mistyped IP":            {[]string{ok, "DAYBOOK_ADDR=127.0.0.256:80"}, nil, "DAYBOOK_ADDR"},
		"catalog missing":        {[]string{ok, "DAYBOOK_CATALOG=/nowhere.yaml"}, nil, "DAYBOOK_CATALOG"},
		"catalog of two":         {[]string{ok, "DAYBOOK_CATALOG=" + file}, nil, "DAYBOOK_CATALOG"},
		"body above the store":   {[]string{ok, "DAYBOOK_WEBHOOK_MAX_BYTES=1048577"}, nil, "DAYBOOK_WEBHOOK_MAX_BYTES"},
		"dev in live mode":       {[]string{"DAYBOOK_LIVEMODE=live"}, []string{"--dev"}, "--dev"},
		"dev on every address":   {nil, []string{"--dev", "--addr", ":8080"}, "--dev"},
		"store of another kind":  {[]string{ok, "EVENTSTORE_URL=kurrentdb://node:2113"}, nil, "EVENTSTORE_URL"},
		"prefix without store":   {[]string{ok, "EVENTSTORE_STREAM_PREFIX=a."}, nil, "EVENTSTORE_STREAM_PREFIX"},
		"prefix without end":     {[]string{ok, "EVENTSTORE_URL=esdb://node:2113", "EVENTSTORE_STREAM_PREFIX=team"}, nil, "EVENTSTORE_STREAM_PREFIX"},
		"prefix of the server":   {[]string{ok, "EVENTSTORE_URL=esdb://node:2113", "EVENTSTORE_STREAM_PREFIX=$ce."}, nil, "EVENTSTORE_STREAM_PREFIX"},
		"Redis of another kind":  {[]string{ok, "REDIS_URL=memcached://x"}, nil, "REDIS_URL"},
		"Redis timeout":          {[]string{ok, "REDIS_CONNECT_TIMEOUT=31s"}, nil, "REDIS_CONNECT_TIMEOUT"},
		"no unit":                {[]string{ok, "REDIS_COMMAND_TIMEOUT=500"}, nil, "REDIS_COMMAND_TIMEOUT"},
		"lease too short":        {[]string{ok, "DAYBOOK_ENTITLEMENT_TTL=59s"}, nil, "DAYBOOK_ENTITLEMENT_TTL"},
		"lease too long":         {[]string{ok, "DAYBOOK_ENTITLEMENT_TTL=25h"}, nil, "DAYBOOK_ENTITLEMENT_TTL"},
		"key too short":          {[]string{ok, "DAYBOOK_ENTITLEMENT_KEY=c2hvcnQ="}, nil, "DAYBOOK_ENTITLEMENT_KEY"},
		"a key of two too short": {[]string{ok, "DAYBOOK_ENTITLEMENT_KEY=" + strings.Repeat("QUJD", 11) + ",c2hvcnQ="}, nil, "DAYBOOK_ENTITLEMENT_KEY"},
		"unsupported by a file":  {[]string{ok, "DAYBOOK_PAYLOAD_KEYS_FILE=/x"}, nil, "DAYBOOK_PAYLOAD_KEYS_FILE"},
		"metrics' port":          {[]string{ok, "DAYBOOK_METRICS_ADDR=127.0.0.1:09464"}, nil, "DAYBOOK_METRICS_ADDR"},
		"metrics' host":          {[]string{ok, "DAYBOOK_METRICS_ADDR=127.0.0.256:9464"}, nil, "DAYBOOK_METRICS_ADDR"},
		"redirect with a scheme": {[]string{ok, "DAYBOOK_REDIRECT_HOSTS=https://app.example.com"}, nil, "DAYBOOK_REDIRECT_HOSTS"},
		"redirect to any host":   {[]string{ok, "DAYBOOK_REDIRECT_HOSTS=app.example.com,*"}, nil, "DAYBOOK_REDIRECT_HOSTS"},
		"redirect to none":       {[]string{ok, "DAYBOOK_REDIRECT_HOSTS= , "}, nil, "DAYBOOK_REDIRECT_HOSTS"},
		"profiles for others":    {[]string{ok, "DAYBOOK_PPROF_ADDR=:6060"}, nil, "DAYBOOK_PPROF_ADDR"},
		"profiles on a network":  {[]string{ok, "DAYBOOK_PPROF_ADDR=192.0.2.1:6060"}, nil, "DAYBOOK_PPROF_ADDR"},
		"profiles' port":         {[]string{ok, "DAYBOOK_PPROF_ADDR=127.0.0.1:x"}, nil, "DAYBOOK_PPROF_ADDR"},
		"profiles with the rest": {[]string{ok, "DAYBOOK_PPROF_ADDR=127.0.0.1:8080"}, nil, "DAYBOOK_PPROF_ADDR"},
		"profiles with metrics":  {[]string{ok, "DAYBOOK_METRICS_ADDR=127.0.0.1:9464", "DAYBOOK_PPROF_ADDR=127.0.0.1:9464"}, nil, "DAYBOOK_PPROF_ADDR"},
		"metrics with the rest":  {[]string{ok, "DAYBOOK_METRICS_ADDR=127.0.0.1:8080"}, nil, "DAYBOOK_METRICS_ADDR"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			names, text := faultsOf(t, input(t, c.environ, c.args...))
			if !slices.Equal(names, []string{c.want}) {
				t.Errorf("faults of %q, want one of %s:\n%s", names, c.want, text)
			}
		})
	}
}

func TestDev(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:8080", "localhost:8080"} {
		c := mustLoad(t, input(t, []string{"STRIPE_WEBHOOK_SECRETS=" + secret}, "--dev", "--addr", addr))
		if c.Livemode || !c.Dev || !slices.Equal(c.WebhookSecrets, []string{secret, config.DevSecret}) {
			t.Errorf("%s: %+v", addr, c)
		}
		if len(c.APIKeys) != 1 || c.APIKeys[0].Hash != sha256.Sum256([]byte("dev")) || !slices.Equal(c.APIKeys[0].Scopes, api.Scopes()) {
			t.Errorf("API keys %v", c.APIKeys)
		}
		if s := settings(c)["DAYBOOK_LIVEMODE"]; s.Value != "test" || s.Source != "--dev" {
			t.Errorf("mode is shown as %+v", s)
		}
	}
	if c := mustLoad(t, input(t, []string{"STRIPE_WEBHOOK_SECRETS=" + secret}, "--dev=false")); c.Dev || !c.Livemode {
		t.Errorf("--dev=false: %+v", c)
	}
}

func TestRedirectHosts(t *testing.T) {
	c := mustLoad(t, input(t, []string{"STRIPE_WEBHOOK_SECRETS=" + secret}, "--redirect-hosts", "App.example.com, localhost:3000,[::1]:3000"))
	want := []checkout.Host{{Name: "app.example.com"}, {Name: "localhost", Port: "3000"}, {Name: "[::1]", Port: "3000"}}
	if !slices.Equal(c.RedirectHosts, want) {
		t.Errorf("%v", c.RedirectHosts)
	}
}

func TestReadingCommandsNeedNoSecret(t *testing.T) {
	in := input(t, nil)
	in.Serving = false
	mustLoad(t, in)
}

func TestUnknownVariableIsWarnedOf(t *testing.T) {
	c := mustLoad(t, input(t, []string{"STRIPE_WEBHOOK_SECRETS=" + secret, "DAYBOOK_LIVE_MODE=test"}))
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "DAYBOOK_LIVE_MODE") {
		t.Errorf("warnings %q", c.Warnings)
	}
}

func TestReloadReadsFilesAgain(t *testing.T) {
	secrets := writeFile(t, "secrets", secret)
	catalog := writeFile(t, "catalog.yaml", "free_tier: a\ngrace_period: 7d\ntiers:\n  - id: a\n    limits: {members: unlimited, seats: 3}\n")
	c := mustLoad(t, input(t, []string{"STRIPE_WEBHOOK_SECRETS_FILE=" + secrets, "DAYBOOK_CATALOG=" + catalog}))
	if got := c.Catalog.LimitsOf("a", 1)["seats"]; got != 3 {
		t.Errorf("seats %d", got)
	}
	if err := os.WriteFile(secrets, []byte("whsec_the_next_one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(catalog, []byte("free_tier: b\ntiers: [{id: b}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	next, err := c.Reload()
	if err != nil {
		t.Fatal(err)
	}
	if next.Catalog.FreeTier != "b" || !slices.Equal(next.WebhookSecrets, []string{"whsec_the_next_one"}) {
		t.Errorf("after reload: %q %q", next.Catalog.FreeTier, next.WebhookSecrets)
	}
	if c.Catalog.FreeTier != "a" || !slices.Equal(c.WebhookSecrets, []string{secret}) {
		t.Error("reload changed the old configuration")
	}
}

func TestWhatIsPrintedIsMasked(t *testing.T) {
	key := strings.Repeat("ab", 32)
	c := mustLoad(t, input(t, []string{"STRIPE_WEBHOOK_SECRETS=" + secret, "DAYBOOK_API_KEYS=ops:read:" + key}))
	var table bytes.Buffer
	jsonText, err := json.Marshal(c.Settings())
	if err := errors.Join(err, config.WriteTable(&table, c.Settings())); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{table.String(), string(jsonText)} {
		if strings.Contains(text, secret) || strings.Contains(text, key) {
			t.Errorf("a secret is printed:\n%s", text)
		}
		if !strings.Contains(text, "ops (read, sha256:") || !strings.Contains(text, "DAYBOOK_LOG_FORMAT") {
			t.Errorf("something is missing:\n%s", text)
		}
	}
	var decoded []config.Setting
	if err := json.Unmarshal(jsonText, &decoded); err != nil || !reflect.DeepEqual(decoded, c.Settings()) {
		t.Errorf("JSON does not read back: %v\n%s", err, jsonText)
	}
}

func TestACatalogFileSetsPolicies(t *testing.T) {
	const rest = "\nfree_tier: a\ntiers: [{id: a}]\n"
	load := func(policies string) *aggregate.Catalog {
		t.Helper()
		catalog, err := config.ReadCatalog(writeFile(t, "catalog.yaml", policies+rest))
		if err != nil {
			t.Fatal(err)
		}
		return catalog
	}
	c := load("on_dispute: deny\non_full_refund: deny\non_pause_collection: deny\nasync_payment: wait")
	if c.OnDispute != aggregate.PolicyDeny || c.OnFullRefund != aggregate.PolicyDeny ||
		c.OnPauseCollection != aggregate.PolicyDeny || c.AsyncPayment != aggregate.PolicyWait {
		t.Errorf("policies %+v", c)
	}
	said := load("on_dispute: keep\non_full_refund: keep\non_pause_collection: keep\nasync_payment: grant")
	if said.Hash() != load("").Hash() {
		t.Error("a default that is said is another catalog than one that is not")
	}
	for _, bad := range []string{"on_dispute: never", "on_full_refund:", "on_pause_collection: no", "async_payment: 1"} {
		_, err := config.ReadCatalog(writeFile(t, "bad.yaml", bad+rest))
		if key, _, _ := strings.Cut(bad, ":"); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v, want a fault of it", bad, err)
		}
	}
}

func TestTheConnectionStringIsNeverShownWhole(t *testing.T) {
	const url = "esdb://app:hunter2@node1:2113,node2:2113?tls=true"
	file := writeFile(t, "url", url+"\n")
	for _, environ := range [][]string{{"EVENTSTORE_URL=" + url}, {"EVENTSTORE_URL_FILE=" + file}} {
		c := mustLoad(t, input(t, append(environ, "STRIPE_WEBHOOK_SECRETS="+secret, "EVENTSTORE_STREAM_PREFIX=team-a.")))
		if c.EventStoreURL != url || c.StreamPrefix != "team-a." {
			t.Errorf("%q %q", c.EventStoreURL, c.StreamPrefix)
		}
		if shown := settings(c)["EVENTSTORE_URL"].Value; shown != "esdb://***@node1:2113,node2:2113" {
			t.Errorf("shown as %q", shown)
		}
	}
	for _, wrong := range []string{"esdb://app:hunter2@node1:port", "postgres://app:hunter2@node1", "esdb://app:hun%ter2@node1"} {
		_, text := faultsOf(t, input(t, []string{"EVENTSTORE_URL=" + wrong, "STRIPE_WEBHOOK_SECRETS=" + secret}))
		if strings.Contains(text, "hun") {
			t.Errorf("a password is told: %s", text)
		}
	}
}

func TestStripesKeyMustBeOfTheStoresMode(t *testing.T) {
	base := []string{"STRIPE_WEBHOOK_SECRETS=" + secret}
	c := mustLoad(t, input(t, append(base, "STRIPE_API_KEY=sk_live_abcdef123456", "STRIPE_API_BASE=https://stripe.example/")))
	if c.StripeKey != "sk_live_abcdef123456" || c.StripeBase != "https://stripe.example" {
		t.Errorf("key %q, base %q", c.StripeKey, c.StripeBase)
	}
	if shown := settings(c)["STRIPE_API_KEY"].Value; !strings.HasPrefix(shown, "sk_live_***") || strings.Contains(shown, "abcdef") {
		t.Errorf("the key is shown as %q", shown)
	}
	for name, test := range map[string]struct {
		environ []string
		of      string
		says    string
	}{
		"test key, live store":  {[]string{"STRIPE_API_KEY=sk_test_abcdef"}, "STRIPE_API_KEY", "a key of test mode, and this is live mode"},
		"live key, test store":  {[]string{"DAYBOOK_LIVEMODE=test", "STRIPE_API_KEY=rk_live_abcdef"}, "STRIPE_API_KEY", "a key of live mode, and this is test mode"},
		"publishable key":       {[]string{"STRIPE_API_KEY=pk_live_abcdef"}, "STRIPE_API_KEY", "publishable"},
		"no key":                {[]string{"STRIPE_API_KEY=abcdef"}, "STRIPE_API_KEY", "form"},
		"base without a key":    {[]string{"STRIPE_API_BASE=https://stripe.example"}, "STRIPE_API_BASE", "only with"},
		"base with a path":      {[]string{"STRIPE_API_KEY=sk_live_a", "STRIPE_API_BASE=https://stripe.example/v1"}, "STRIPE_API_BASE", "nothing behind it"},
		"live key in the clear": {[]string{"STRIPE_API_KEY=sk_live_a", "STRIPE_API_BASE=http://stripe.example"}, "STRIPE_API_BASE", "plain http"},
	} {
		t.Run(name, func(t *testing.T) {
			names, text := faultsOf(t, input(t, append(base, test.environ...)))
			if !slices.Contains(names, test.of) || !strings.Contains(text, test.says) || strings.Contains(text, "abcdef") {
				t.Errorf("%v: %s", names, text)
			}
		})
	}
	file := writeFile(t, "key", "rk_test_fromafile\n")
	if c := mustLoad(t, input(t, append(base, "DAYBOOK_LIVEMODE=test", "STRIPE_API_KEY_FILE="+file))); c.StripeKey != "rk_test_fromafile" {
		t.Errorf("key %q", c.StripeKey)
	}
}
