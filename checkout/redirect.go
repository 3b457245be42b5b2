package checkout

import (
	"errors"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Placeholder stands in a success URL for the session's id. Stripe puts that in
// its place, provided that it arrives as it is, braces and all.
const Placeholder = "{CHECKOUT_SESSION_ID}"

// maxURL is longer than any page of a program's own, and shorter than what Stripe
// takes.
const maxURL = 2048

// Host is a host that buyers may be sent back to.
type Host struct {
	// Name is in lower case: a name, an IPv4 address, or an IPv6 one in brackets.
	Name string
	// Port is empty for the scheme's own.
	Port string
}

func (h Host) String() string {
	if h.Port == "" {
		return h.Name
	}
	return h.Name + ":" + h.Port
}

// hostName is a name as it stands in a URL: a domain that is not written in ASCII
// has its xn-- form there. There is no dot at the end.
var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// ParseHost reads HOST or HOST:PORT. The error tells what would be right.
func ParseHost(text string) (Host, error) {
	name, port, bracketed := strings.ToLower(text), "", false
	if strings.HasPrefix(name, "[") {
		i := strings.LastIndexByte(name, ']')
		bracketed = i > 0
		name, port = name[:i+1], name[i+1:]
	} else if i := strings.IndexByte(name, ':'); i >= 0 {
		name, port = name[:i], name[i:]
	}
	switch {
	case bracketed && !validIPv6(name), !bracketed && !validName(name):
		return Host{}, errors.New("want a host as it stands in URLs, like app.example.com or localhost:3000: no scheme, no path, no wildcard, no dot at the end, an international name in its xn-- form")
	case port != "" && !validPort(port[1:]):
		return Host{}, errors.New("want a port from 1 to 65535, without leading zeros")
	}
	return Host{Name: name, Port: strings.TrimPrefix(port, ":")}, nil
}

func validName(name string) bool {
	if strings.Trim(name, "0123456789.") == "" { // four bytes, and not one of the many other ways to write an address
		ip, err := netip.ParseAddr(name)
		return err == nil && ip.Is4()
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	return len(name) <= 253 && hostName.MatchString(name) && !numeric(last)
}

// numeric reports a label that browsers read as a number, and the name with it as
// an IPv4 address.
func numeric(label string) bool {
	_, err := strconv.ParseUint(label, 0, 64)
	return err == nil || strings.Trim(label, "0123456789") == "" || strings.HasPrefix(label, "0x")
}

func validIPv6(name string) bool {
	ip, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil && ip.Is6() && ip.Zone() == "" && "["+ip.String()+"]" == name
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == port
}

// Redirects says where buyers may be sent when they are done at Stripe.
type Redirects struct {
	Hosts []Host
	// Dev also allows plain http, to this machine.
	Dev bool
}

// Check returns a URL as Stripe is to have it, or why it is not allowed, as the
// reason of a fault.
//
// Programs differ in how they read a URL that is a little wrong, and each such
// difference has been a way past a list of hosts. So nothing is read leniently
// here: what is allowed is made of few characters, in the one form in which every
// program reads the same host, and that host is compared as text.
func (r Redirects) Check(text string) (to string, refusal string) {
	if len(r.Hosts) == 0 {
		return "", "is refused: no host is allowed to send buyers back to; the operator lists them in DAYBOOK_REDIRECT_HOSTS"
	}
	to = braced.ReplaceAllString(text, Placeholder)
	bare := strings.ReplaceAll(to, Placeholder, "")
	switch {
	case len(to) > maxURL:
		return "", "is longer than " + strconv.Itoa(maxURL) + " bytes"
	case strings.ContainsFunc(bare, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("\\\"<>^`{|}", c) }):
		return "", "wants ASCII without spaces, control characters, backslashes and braces (but " + Placeholder + "); encode what else there is"
	}
	scheme, rest, found := strings.Cut(to, "://")
	if !found || scheme != "https" && scheme != "http" {
		return "", "wants https:// and a host, in lower case"
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	if refusal = r.checkHost(scheme, authority); refusal != "" {
		return "", refusal
	}
	// What was read by hand, the standard parser must read alike.
	if u, err := url.Parse(bare); err != nil || u.Host != authority || u.User != nil || u.Opaque != "" {
		return "", "is not a well-formed URL"
	}
	return to, ""
}

// braced is the placeholder as builders of URLs like to encode it.
var braced = regexp.MustCompile(`(?i:%7B)CHECKOUT_SESSION_ID(?i:%7D)`)

// checkHost says why a buyer may not be sent to an authority.
func (r Redirects) checkHost(scheme, authority string) (refusal string) {
	host, err := ParseHost(authority)
	if err != nil || host.String() != authority {
		return "wants an allowed host behind https://, in lower case: no user, no escapes, no placeholder, no dot at the end"
	}
	if scheme == "http" && !r.Dev {
		return "wants https"
	}
	if scheme == "http" && !loopback(host.Name) {
		return "wants https, but for a server on this machine"
	}
	if !r.allows(scheme, host) {
		return "is refused: " + host.String() + " is none of the hosts in DAYBOOK_REDIRECT_HOSTS"
	}
	return ""
}

func (r Redirects) allows(scheme string, host Host) bool {
	own := map[string]string{"https": "443", "http": "80"}[scheme]
	portOf := func(h Host) string {
		if h.Port == "" {
			return own
		}
		return h.Port
	}
	for _, h := range r.Hosts {
		if h.Name == host.Name && portOf(h) == portOf(host) {
			return true
		}
	}
	return false
}

func loopback(name string) bool {
	ip, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil && ip.IsLoopback() || name == "localhost"
}

// withoutPlaceholder is a URL for a page at Stripe that puts nothing in the
// placeholder's place.
func withoutPlaceholder(url string) string { return strings.ReplaceAll(url, Placeholder, "") }
