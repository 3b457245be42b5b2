package api

import (
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the networks of proxies whose X-Forwarded-For is believed.
type Proxies []netip.Prefix

// hostBits is how much of an IPv6 address names a network: whoever has one
// address there has all of them.
const hostBits = 64

// maxHops bounds how many proxies are believed one after the other.
const maxHops = 32

// clientOf is the address that a request counts against: an IPv4 address, or the
// network of an IPv6 one.
//
// It is the connection's, unless that is a trusted proxy's. Then X-Forwarded-For
// is walked from its end, where the proxy next to us wrote, past every trusted
// proxy to the first address that is none. What stands further left is whatever
// the client liked to write. An entry that is no address ends the walk at the
// proxy that passed it on.
func (p Proxies) clientOf(r *http.Request) netip.Prefix {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{} // no network address: all of these are one client
	}
	client := peer.Addr().Unmap()
	if len(p) == 0 || !p.trust(client) {
		return networkOf(client)
	}
	lines := r.Header["X-Forwarded-For"]
	hops := 0
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; hops++ {
			var entry string
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, entry = rest[:comma], rest[comma+1:]
			} else {
				entry, more = rest, false
			}
			next, ok := forwardedAddr(entry)
			if !ok || hops == maxHops {
				return networkOf(client)
			}
			if client = next; !p.trust(client) {
				return networkOf(client)
			}
		}
	}
	return networkOf(client)
}

func (p Proxies) trust(a netip.Addr) bool {
	for _, network := range p {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// forwardedAddr reads an entry of X-Forwarded-For. Some proxies add the port.
func forwardedAddr(entry string) (netip.Addr, bool) {
	entry = strings.TrimSpace(entry)
	if withPort, err := netip.ParseAddrPort(entry); err == nil {
		return withPort.Addr().Unmap().WithZone(""), true
	}
	entry = strings.TrimSuffix(strings.TrimPrefix(entry, "["), "]")
	addr, err := netip.ParseAddr(entry)
	return addr.Unmap().WithZone(""), err == nil
}

func networkOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = hostBits
	}
	network, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}
