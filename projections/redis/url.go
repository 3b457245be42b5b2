package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	client "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// parameters are what a URL may say behind its question mark. Others that the
// client would take decide what our options decide, or make it read from
// replicas.
var parameters = []string{"addr", "client_name", "db", "master_name", "password", "pool_size", "protocol", "username"}

// Validate reports what is wrong with a URL of Redis, without quoting it, for it
// may hold a password.
func Validate(text string) error {
	_, err := newClient(text, Options{})
	return err
}

// Hosts is a URL without what is secret in it, for people.
func Hosts(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return ""
	}
	hosts := append([]string{u.Host}, u.Query()["addr"]...)
	shown := u.Scheme + "://" + strings.Join(hosts, ",") + u.EscapedPath()
	if name := u.Query().Get("master_name"); name != "" {
		shown += " (sentinel of " + name + ")"
	}
	return shown
}

// connector makes a client of a URL that was found right.
type connector func() client.UniversalClient

// newClient returns what connects by a URL.
func newClient(text string, opts Options) (connector, error) {
	u, err := checkURL(text)
	if err != nil {
		return nil, err
	}
	query := u.Query()
	switch {
	case query.Has("master_name"):
		return sentinels(text, opts)
	case query.Has("addr"):
		if strings.Trim(u.Path, "/") != "" || query.Has("db") {
			return nil, errors.New("a cluster has no numbered databases: leave out the number")
		}
		return cluster(text, opts)
	case query.Has("username"), query.Has("password"):
		return nil, errors.New("user and password belong before the host, as in redis://user:password@host; as parameters they are for the servers behind sentinels")
	}
	return single(text, opts)
}

// checkURL finds the faults that the client would word with the URL in them.
func checkURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("it cannot be read as a URL: percent-encode what is special in user and password")
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" {
		return nil, errors.New("want redis://… or, with TLS, rediss://…")
	}
	if u.Hostname() == "" || u.Opaque != "" {
		return nil, errors.New("it names no host")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("what is behind the question mark cannot be read: want name=value, joined by &")
	}
	for name, values := range query {
		if !slices.Contains(parameters, name) {
			return nil, fmt.Errorf("it has an unknown parameter: those known are %s", strings.Join(parameters, ", "))
		}
		if name != "addr" && len(values) > 1 {
			return nil, fmt.Errorf("the parameter %s is there %d times", name, len(values))
		}
		if slices.Contains(values, "") {
			return nil, fmt.Errorf("the parameter %s is empty", name)
		}
	}
	return u, nil
}

// errUnreadable stands for what the client says, which may quote a secret.
func errUnreadable(want string) error {
	return fmt.Errorf("a part of it cannot be read: want %s", want)
}

// The client's settings that are ours to decide. It is not to try again by
// itself, nor to go on dialling: whoever asked does so, and knows for how long.
const (
	never     = -1
	once      = 1
	redirects = 3
)

// quiet keeps the client from asking servers for what these need not know, and
// from what it would do with the answers.
func quiet() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// tls lets each server's certificate be that of the host that was dialled: the
// client would compare all of them with the first host of the URL.
func (o Options) tls(config *tls.Config) *tls.Config {
	if config == nil {
		return nil
	}
	config.ServerName, config.RootCAs = "", o.RootCAs
	return config
}

func single(text string, opts Options) (connector, error) {
	o, err := client.ParseURL(text)
	if err != nil {
		return nil, errUnreadable("redis://user:password@host:6379/0")
	}
	o.MaxRetries, o.DialerRetries = never, once
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = opts.ConnectTimeout, opts.CommandTimeout, opts.CommandTimeout, opts.allow()
	o.ContextTimeoutEnabled, o.DisableIdentity, o.MaintNotificationsConfig = true, true, quiet()
	o.TLSConfig = opts.tls(o.TLSConfig)
	return func() client.UniversalClient { return client.NewClient(o) }, nil
}

func cluster(text string, opts Options) (connector, error) {
	o, err := client.ParseClusterURL(text)
	if err != nil {
		return nil, errUnreadable("redis://user:password@host1:6379?addr=host2:6379&addr=host3:6379")
	}
	o.MaxRetries, o.DialerRetries, o.MaxRedirects = never, once, redirects
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = opts.ConnectTimeout, opts.CommandTimeout, opts.CommandTimeout, opts.allow()
	o.ContextTimeoutEnabled, o.DisableIdentity, o.MaintNotificationsConfig = true, true, quiet()
	o.TLSConfig = opts.tls(o.TLSConfig)
	return func() client.UniversalClient { return client.NewClusterClient(o) }, nil
}

func sentinels(text string, opts Options) (connector, error) {
	o, err := client.ParseFailoverURL(text)
	if err != nil {
		return nil, errUnreadable("redis://sentinel1:26379?addr=sentinel2:26379&master_name=main&password=secret")
	}
	o.MaxRetries, o.DialerRetries = never, once
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = opts.ConnectTimeout, opts.CommandTimeout, opts.CommandTimeout, opts.allow()
	o.ContextTimeoutEnabled, o.DisableIdentity = true, true
	o.TLSConfig = opts.tls(o.TLSConfig)
	return func() client.UniversalClient { return client.NewFailoverClient(o) }, nil
}
