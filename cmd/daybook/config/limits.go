package config

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/daybookhq/daybook/api"
)

// The bounds of limits.
const (
	maxRate        = 10_000_000
	minConnections = 16
	maxConnections = 100_000
	// unlimited is the word for no limit.
	unlimited = "off"
)

func (p *parser) limits(c *Config) {
	c.Limits = api.Limits{
		PerKey: p.rate(nameRateKey), PerAddress: p.rate(nameRateAddress), Webhooks: p.rate(nameRateWebhooks),
		Proxies: p.proxies(),
	}
	text := p.get(nameMaxConnections)
	n, err := strconv.Atoi(text)
	if err != nil || n < minConnections || n > maxConnections {
		p.fault(nameMaxConnections, "%q is not a number of connections from %d to %d", text, minConnections, maxConnections)
	}
	c.MaxConnections = n
}

// rate reads a number per second, with how many at once behind a colon: as many
// if that is not there.
func (p *parser) rate(name string) api.Rate {
	text := p.get(name)
	if text == unlimited {
		return api.Rate{}
	}
	perSecond, burst, two := strings.Cut(text, ":")
	if !two {
		burst = perSecond
	}
	n, err := strconv.Atoi(perSecond)
	most, burstErr := strconv.Atoi(burst)
	if err != nil || burstErr != nil || n < 1 || n > maxRate || most < 1 || most > maxRate {
		p.fault(name, "%q is neither %s nor a number per second, or two numbers with a colon between, per second and at once, from 1 to %d", text, unlimited, maxRate)
		return api.Rate{}
	}
	return api.Rate{PerSecond: float64(n), Burst: most}
}

// proxies reads networks, and addresses that stand for themselves.
func (p *parser) proxies() (proxies api.Proxies) {
	for _, text := range list(p.get(nameTrustedProxies)) {
		network, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
			network, err = netip.PrefixFrom(addr.WithZone(""), addr.BitLen()), nil
		}
		switch {
		case err != nil:
			p.fault(nameTrustedProxies, "%q is neither a network nor an address", text)
		case network.Addr().Is4In6():
			p.fault(nameTrustedProxies, "%q: write an IPv4 address as one", text)
		case network.Bits() == 0:
			p.fault(nameTrustedProxies, "%q is everybody: then every client may say that it is another", text)
		case network != network.Masked():
			p.fault(nameTrustedProxies, "%q has bits behind its length: want %s", text, network.Masked())
		default:
			proxies = append(proxies, network)
		}
	}
	if p.explicit[nameTrustedProxies] && len(list(p.get(nameTrustedProxies))) == 0 {
		p.fault(nameTrustedProxies, "holds no network")
	}
	return proxies
}
