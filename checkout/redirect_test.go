package checkout_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/daybookhq/daybook/checkout"
)

func hosts(t *testing.T, texts ...string) []checkout.Host {
	t.Helper()
	var all []checkout.Host
	for _, text := range texts {
		h, err := checkout.ParseHost(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		all = append(all, h)
	}
	return all
}

// TestFault25NobodyIsSentAnywhere tries the ways past a list of hosts.
func TestFault25NobodyIsSentAnywhere(t *testing.T) {
	r := checkout.Redirects{Hosts: hosts(t, "app.example.com", "pay.example.com:8443", "xn--bcher-kva.example", "192.0.2.7", "[2001:db8::1]", "localhost:3000")}
	dev := r
	dev.Dev = true
	for name, forms := range map[string][]string{
		"another host":         {"https://evil.example/", "https://example.com/", "https://app.example.com.evil.example/", "https://evil-app.example.com/", "https://sub.app.example.com/", "https://app.example.comevil.example"},
		"no scheme":            {"//evil.example/", "//app.example.com/", "/done", "done", "app.example.com/done", ":https://app.example.com", "https:app.example.com", "https:/app.example.com", "https:///app.example.com/", "https:////app.example.com"},
		"another scheme":       {"javascript:alert(1)", "javascript://app.example.com/%0aalert(1)", "JavaScript://app.example.com/", "data:text/html,x", "data://app.example.com/", "ftp://app.example.com/", "file://app.example.com/", "wss://app.example.com/", "httpss://app.example.com/", "blob:https://app.example.com/"},
		"plain http":           {"http://app.example.com/", "http://app.example.com:443/", "http://pay.example.com:8443/"},
		"case":                 {"HTTPS://app.example.com/", "Https://app.example.com/", "https://APP.example.com/", "https://app.Example.com", "https://EVIL.example"},
		"backslashes":          {`https:\\app.example.com\`, `https://evil.example\@app.example.com/`, `https://app.example.com\.evil.example/`, `https://app.example.com\@evil.example/`, `\\evil.example`, `/\evil.example`, `https:/\evil.example`, `https://app.example.com/\evil`},
		"users":                {"https://app.example.com@evil.example/", "https://user@app.example.com/", "https://user:pw@app.example.com/", "https://@app.example.com/", "https://app.example.com:443@evil.example/", "https://app.example.com%40evil.example/", "https://evil.example#@app.example.com/", "https://evil.example?@app.example.com/"},
		"ports":                {"https://app.example.com:8443/", "https://app.example.com:80/", "https://app.example.com:/", "https://app.example.com:0443/", "https://app.example.com:0/", "https://app.example.com:65979/", "https://app.example.com:44 3/", "https://app.example.com:+443/", "https://pay.example.com/", "https://pay.example.com:443/", "https://app.example.com:443:443/", "https://app.example.com:https/"},
		"dots":                 {"https://app.example.com./", "https://app.example.com.:443/", "https://.app.example.com/", "https://app..example.com/", "https://app.example.com../", "https://./", "https:///", "https://", "https://?", "https://#"},
		"international names":  {"https://аpp.example.com/", "https://app.example。com/", "https://app.example.com／evil", "https://bücher.example/", "https://xn--pp-6kc.example.com/", "https://ａｐｐ.example.com/", "https://app.example.com\u200b/", "https://app.exampleK.com/", "https://xn--bcher-kva.example.evil.example/"},
		"control characters":   {"https://app.example.com\x00.evil.example/", "https://app.example.com/\r\nLocation: https://evil.example", "\thttps://app.example.com/", " https://app.example.com/", "https://app.example.com/ ", "java\nscript:alert(1)", "https://app.\texample.com/", "https://app.example.com/\x7f", "https://app.example.com/\u0085", "https://\x01app.example.com/"},
		"escapes in the host":  {"https://app%2eexample.com/", "https://app.example.com%2f.evil.example/", "https://app.example.com%00.evil.example/", "https://%61pp.example.com/"},
		"addresses":            {"https://192.0.2.8/", "https://3221225991/", "https://0xC0000207/", "https://192.0.519/", "https://0300.0.2.7/", "https://192.0.2.7./", "https://[2001:DB8::1]/", "https://[2001:db8:0::1]/", "https://[2001:db8::1%25eth0]/", "https://[::ffff:192.0.2.7]/", "https://2001:db8::1/", "https://[2001:db8::1/", "https://[2001:db8::1].evil.example/", "https://[app.example.com]/"},
		"the placeholder":      {"{CHECKOUT_SESSION_ID}://app.example.com/", "https{CHECKOUT_SESSION_ID}://app.example.com/", "https:{CHECKOUT_SESSION_ID}//app.example.com/", "https://{CHECKOUT_SESSION_ID}/", "https://{CHECKOUT_SESSION_ID}app.example.com/", "https://app.example.com{CHECKOUT_SESSION_ID}/", "https://app.example.com{CHECKOUT_SESSION_ID}.evil.example/", "https://{CHECKOUT_SESSION_ID}.evil.example/", "https://app.example.com:{CHECKOUT_SESSION_ID}/", "https://%7BCHECKOUT_SESSION_ID%7D@app.example.com/", "{CHECKOUT_SESSION_ID}", "htt{CHECKOUT_SESSION_ID}ps://app.example.com/"},
		"other braces":         {"https://app.example.com/{session}", "https://app.example.com/{checkout_session_id}", "https://app.example.com/{{CHECKOUT_SESSION_ID}}", "https://app.example.com/{CHECKOUT_SESSION_ID", "https://app.example.com/{CHECKOUT_{CHECKOUT_SESSION_ID}SESSION_ID}"},
		"what is not a URL":    {"", "https://app.example.com/%", "https://app.example.com/%zz", "https://app.example.com/<script>", "https://app.example.com/\"", "https://app.example.com|evil.example/", "https://app.example.com^/", "https://app.example.com`/", "https://app.example.com;evil.example/", "https://app.example.com,evil.example/"},
		"what is far too long": {"https://app.example.com/" + strings.Repeat("a", 2048), "https://" + strings.Repeat("a.", 2000) + "app.example.com/"},
	} {
		for _, form := range forms {
			if to, refusal := r.Check(form); refusal == "" || to != "" {
				t.Errorf("%s: %q is allowed, as %q", name, form, to)
			}
			if _, refusal := dev.Check(form); refusal == "" {
				t.Errorf("%s: %q is allowed in development", name, form)
			}
		}
	}
}

func TestListedHostsAreAllowed(t *testing.T) {
	r := checkout.Redirects{Hosts: hosts(t, "App.example.com", "pay.example.com:8443", "xn--bcher-kva.example", "192.0.2.7", "[2001:db8::1]:444", "other.example:443", "localhost:3000", "127.0.0.1:3000")}
	for _, form := range []string{
		"https://app.example.com", "https://app.example.com/", "https://app.example.com:443/done", "https://app.example.com?x=1", "https://app.example.com#done",
		"https://app.example.com/a/b?next=https://evil.example/&at=%2F%2Fevil@x", "https://app.example.com//evil.example", "https://app.example.com/@evil.example/%5C",
		"https://pay.example.com:8443/x", "https://xn--bcher-kva.example/", "https://192.0.2.7/", "https://[2001:db8::1]:444/", "https://other.example/", "https://other.example:443/",
		"https://localhost:3000/", "https://app.example.com/" + strings.Repeat("a", 2000),
		"https://app.example.com/done?session_id={CHECKOUT_SESSION_ID}", "https://app.example.com/{CHECKOUT_SESSION_ID}/done", "https://app.example.com/#/done/{CHECKOUT_SESSION_ID}",
		"https://app.example.com?{CHECKOUT_SESSION_ID}",
	} {
		if to, refusal := r.Check(form); refusal != "" || to != form {
			t.Errorf("%s: %q, %s", form, to, refusal)
		}
	}
	// Who builds a URL by a library gets the braces encoded, and Stripe would leave
	// them so.
	if to, refusal := r.Check("https://app.example.com/done?id=%7BCHECKOUT_SESSION_ID%7d"); to != "https://app.example.com/done?id={CHECKOUT_SESSION_ID}" {
		t.Errorf("%q, %s", to, refusal)
	}
}

func TestPlainHTTPIsForThisMachineInDevelopment(t *testing.T) {
	r := checkout.Redirects{Hosts: hosts(t, "localhost:3000", "127.0.0.1", "[::1]:3000", "app.example.com", "localhost.example.com"), Dev: true}
	for form, allowed := range map[string]bool{
		"http://localhost:3000/done": true, "http://127.0.0.1/": true, "http://127.0.0.1:80/": true, "http://[::1]:3000/": true, "https://app.example.com/": true,
		"http://app.example.com/": false, "http://localhost/": false, "http://localhost.example.com/": false, "http://127.0.0.1:3000/": false,
	} {
		if _, refusal := r.Check(form); (refusal == "") != allowed {
			t.Errorf("%s: %s", form, refusal)
		}
		r := r
		r.Dev = false
		if _, refusal := r.Check(form); strings.HasPrefix(form, "http://") && refusal == "" {
			t.Errorf("%s is allowed outside development", form)
		}
	}
}

func TestWithoutAListNothingIsAllowed(t *testing.T) {
	if _, refusal := (checkout.Redirects{}).Check("https://app.example.com/"); !strings.Contains(refusal, "DAYBOOK_REDIRECT_HOSTS") {
		t.Errorf("%q", refusal)
	}
}

func TestHostsOfAListAreChecked(t *testing.T) {
	for _, text := range []string{"", "https://app.example.com", "app.example.com/", "app.example.com/x", "*.example.com", "*", "app.example.com.", ".example.com",
		"bücher.example", "app example.com", "app.example.com:", "app.example.com:0", "app.example.com:65536", "app.example.com:080", "app.example.com:x",
		"user@app.example.com", "1.2.3", "1.2.3.4.5", "0x7f.1", "app.0x10", "app.1", "[::1", "::1", "[::1]x", "[1.2.3.4]", "[fe80::1%eth0]", "-a.example", "a-.example", strings.Repeat("a", 64) + ".example"} {
		if h, err := checkout.ParseHost(text); err == nil {
			t.Errorf("%q is %q", text, h)
		}
	}
}

// FuzzRedirect wants whatever is allowed to be read by the standard parser as a
// URL of a listed host.
func FuzzRedirect(f *testing.F) {
	for _, seed := range []string{"https://app.example.com/done?s={CHECKOUT_SESSION_ID}", "https://app.example.com:443#x", "https://evil@app.example.com", `https://app.example.com\@x`, "http://localhost:3000"} {
		f.Add(seed)
	}
	r := checkout.Redirects{Hosts: []checkout.Host{{Name: "app.example.com"}, {Name: "localhost", Port: "3000"}}, Dev: true}
	f.Fuzz(func(t *testing.T, text string) {
		to, refusal := r.Check(text)
		if refusal != "" {
			return
		}
		for _, id := range []string{"cs_test_1", "", "@evil.example", "."} { // whatever took the placeholder's place
			u, err := url.Parse(strings.ReplaceAll(to, checkout.Placeholder, id))
			if err != nil || u.User != nil || u.Hostname() != "app.example.com" && u.Hostname() != "localhost" || u.Scheme != "https" && u.Hostname() != "localhost" {
				t.Errorf("%q with %q: %v, %v", to, id, u, err)
			}
		}
	})
}
