package config

import (
	"strings"

	"github.com/spf13/pflag"
)

// The variables of this build.
const (
	nameAddr            = "DAYBOOK_ADDR"
	nameDataDir         = "DAYBOOK_DATA_DIR"
	nameCatalog         = "DAYBOOK_CATALOG"
	nameAccountKeys     = "DAYBOOK_ACCOUNT_KEYS"
	nameAPIKeys         = "DAYBOOK_API_KEYS"
	nameLivemode        = "DAYBOOK_LIVEMODE"
	nameConnectAccounts = "DAYBOOK_CONNECT_ACCOUNTS"
	nameWebhookMaxBytes = "DAYBOOK_WEBHOOK_MAX_BYTES"
	nameRedirectHosts   = "DAYBOOK_REDIRECT_HOSTS"
	nameTrustedProxies  = "DAYBOOK_TRUSTED_PROXIES"
	nameRateKey         = "DAYBOOK_RATE_PER_KEY"
	nameRateAddress     = "DAYBOOK_RATE_PER_ADDRESS"
	nameRateWebhooks    = "DAYBOOK_RATE_WEBHOOKS"
	nameMaxConnections  = "DAYBOOK_MAX_CONNECTIONS"
	nameMetricsAddr     = "DAYBOOK_METRICS_ADDR"
	namePprofAddr       = "DAYBOOK_PPROF_ADDR"
	nameLogLevel        = "DAYBOOK_LOG_LEVEL"
	nameLogFormat       = "DAYBOOK_LOG_FORMAT"
	nameWebhookSecrets  = "STRIPE_WEBHOOK_SECRETS"
	nameStripeKey       = "STRIPE_API_KEY"
	nameStripeBase      = "STRIPE_API_BASE"
	nameEventStoreURL   = "EVENTSTORE_URL"
	nameStreamPrefix    = "EVENTSTORE_STREAM_PREFIX"
	nameRedisURL        = "REDIS_URL"
	nameRedisConnect    = "REDIS_CONNECT_TIMEOUT"
	nameRedisCommand    = "REDIS_COMMAND_TIMEOUT"
	nameEntitlementTTL  = "DAYBOOK_ENTITLEMENT_TTL"
	nameEntitlementKey  = "DAYBOOK_ENTITLEMENT_KEY"

	nameOTelDisabled       = "OTEL_SDK_DISABLED"
	nameTracesExporter     = "OTEL_TRACES_EXPORTER"
	nameOTLPEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	nameOTLPTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	nameOTLPProtocol       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	nameOTLPTracesProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	nameTracesSampler      = "OTEL_TRACES_SAMPLER"
	nameTracesSamplerArg   = "OTEL_TRACES_SAMPLER_ARG"
	nameTracesQueue        = "OTEL_BSP_MAX_QUEUE_SIZE"

	devFlag    = "dev"
	fileSuffix = "_FILE"
)

// variable is one setting as users know it.
type variable struct {
	name     string
	fallback string
	usage    string
	example  string
	// secret values are also read from the file that NAME_FILE names, and are
	// never printed.
	secret bool
	// standard variables belong to OpenTelemetry, whose library reads them from
	// the environment too: they have no flag.
	standard bool
}

// flag is the variable's flag: its name without the product's, in dashes.
func (v variable) flag() string { return flagOf(v.name) }

func flagOf(name string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "DAYBOOK_")), "_", "-")
}

// variables is the order in which settings are printed and faults are listed.
var variables = []variable{
	{name: nameAddr, fallback: "127.0.0.1:8080", example: "127.0.0.1:8080",
		usage: "address to listen on"},
	{name: nameDataDir, fallback: "./data", example: "/var/lib/daybook",
		usage: "folder of the store and the read model"},
	{name: nameCatalog, example: "/etc/daybook/catalog.yaml",
		usage: "plan catalog, a YAML file; without one, the built-in catalog of six tiers"},
	{name: nameAccountKeys, fallback: "account_id,community_id", example: "account_id,community_id",
		usage: "metadata keys that name the account, in order"},
	{name: nameAPIKeys, secret: true, example: "ops:read+audit:" + exampleHash,
		usage: "API keys, name:scope[+scope]:sha256hex[:account], comma-separated"},
	{name: nameLivemode, fallback: "live", example: "test",
		usage: "whose events are posted, live or test; those of the other mode are only recorded"},
	{name: nameConnectAccounts, example: "acct_1032D82eZvKYlo2C",
		usage: "connected accounts whose events are posted, comma-separated"},
	{name: nameWebhookMaxBytes, fallback: "1048576", example: "1048576",
		usage: "largest webhook body, in bytes"},
	{name: nameRedirectHosts, example: "app.example.com,localhost:3000",
		usage: "hosts that buyers may be sent back to from Stripe, HOST or HOST:PORT, comma-separated; without any, nobody is sent to Stripe"},
	{name: nameTrustedProxies, example: "10.0.0.0/8,fd00::/8",
		usage: "networks of proxies whose X-Forwarded-For tells the client's address, comma-separated"},
	{name: nameRateKey, fallback: "50000:500000", example: "100:200",
		usage: "requests with one API key, per second and, behind a colon, at once; or off"},
	{name: nameRateAddress, fallback: "50000:500000", example: "100:200",
		usage: "requests of one client address (of IPv6, one /64), webhooks aside; or off"},
	{name: nameRateWebhooks, fallback: "50000:500000", example: "2000:20000",
		usage: "webhooks of one client address; or off"},
	{name: nameMaxConnections, fallback: "2048", example: "2048",
		usage: "connections at once, 16 to 100000; beyond, the one that has waited for its client the longest gives way"},
	{name: nameMetricsAddr, example: "127.0.0.1:9464",
		usage: "address to serve /metrics on, to whoever asks; without one it is among the other routes, for clients on the loopback"},
	{name: namePprofAddr, example: "127.0.0.1:6060",
		usage: "loopback address to serve Go's profiles on; without one they are not served"},
	{name: nameLogLevel, fallback: "info", example: "info",
		usage: "error, warning, info, debug or trace"},
	{name: nameLogFormat, fallback: "json", example: "json",
		usage: "json or text"},
	{name: nameWebhookSecrets, secret: true, example: "whsec_5f3c9a0b7d2e4816",
		usage: "Stripe's signing secrets, comma-separated, all valid"},
	{name: nameStripeKey, secret: true, example: "rk_live_51Hxy0PqRsTuVwXyZ",
		usage: "Stripe's API key, secret or restricted, for checkout, portal, backfill, reconcile and checks; without one, Stripe is never asked"},
	{name: nameStripeBase, example: "https://api.stripe.com",
		usage: "address of Stripe's API; without one, Stripe's own"},
	{name: nameEventStoreURL, secret: true, example: "esdb+discover://user:password@cluster.example:2113",
		usage: "connection string of an EventStoreDB or KurrentDB cluster; without one, the embedded store"},
	{name: nameStreamPrefix, example: "daybook.",
		usage: "what the names of our streams begin with on a cluster that is shared"},
	{name: nameRedisURL, secret: true, example: "rediss://user:password@redis.example:6379/0",
		usage: "Redis that entitlements are published to; addr= parameters name a cluster's nodes, master_name= a sentinel's master"},
	{name: nameRedisConnect, fallback: "5s", example: "5s",
		usage: "how long a connection to Redis may take, 100ms to 30s"},
	{name: nameRedisCommand, fallback: "500ms", example: "500ms",
		usage: "how long an answer of Redis may take, 10ms to 10s"},
	{name: nameEntitlementTTL, fallback: "5m", example: "5m",
		usage: "for how long an entitlement may be kept, and holds in Redis unless it is renewed, 60s to 24h"},
	{name: nameEntitlementKey, secret: true, example: exampleKey,
		usage: "keys that sign published entitlements, 32 or more bytes in base64, comma-separated: the first signs, all verify"},
	{name: nameOTelDisabled, fallback: "false", example: "true", standard: true},
	{name: nameTracesExporter, example: "otlp", standard: true},
	{name: nameOTLPEndpoint, example: "http://localhost:4318", standard: true},
	{name: nameOTLPTracesEndpoint, example: "http://localhost:4318/v1/traces", standard: true},
	{name: nameOTLPProtocol, example: "http/protobuf", standard: true},
	{name: nameOTLPTracesProtocol, example: "http/protobuf", standard: true},
	{name: nameTracesSampler, fallback: "parentbased_always_on", example: "traceidratio", standard: true},
	{name: nameTracesSamplerArg, example: "0.1", standard: true},
	{name: nameTracesQueue, fallback: "2048", example: "2048", standard: true},
}

const exampleHash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

// exampleKey is one that nobody would use: 32 zero bytes.
const exampleKey = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

// unsupported are variables with a meaning that this build does not have, and
// that must not be ignored: somebody would take payloads for sealed.
var unsupported = []string{"DAYBOOK_PAYLOAD_KEYS"}

// AddFlags defines a flag for every setting. Their values are read by Load.
func AddFlags(fs *pflag.FlagSet) {
	for _, v := range variables {
		if v.standard {
			continue
		}
		// The default is printed as pflag does, but never taken from here.
		fs.String(v.flag(), v.fallback, v.usage+" ["+v.name+"]")
		if v.secret {
			fs.String(v.flag()+"-file", "", "file that holds --"+v.flag()+" ["+v.name+fileSuffix+"]")
		}
	}
	fs.Bool(devFlag, false, "development: test mode, a public signing secret, and the API key \""+DevAPIKey+"\"; loopback only")
}
