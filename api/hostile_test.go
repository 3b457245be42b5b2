package api

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hostile is a request as no decent client sends it.
type hostile struct {
	name    string
	request string
	// want lists the statuses that are right; early says that net/http may refuse it
	// before a handler does, and ends that the client says nothing more after it.
	want        []int
	early, ends bool
}

// converse sends bytes as they are, and returns everything that comes back until
// the server hangs up.
func converse(t *testing.T, addr, request string, ends bool) string {
	t.Helper()
	conn := dial(t, addr)
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, request) // it may have been refused before its end
	if ends {
		_ = conn.(*net.TCPConn).CloseWrite() // likewise
	}
	answer, _ := io.ReadAll(conn) // a reset ends it, too
	return string(answer)
}

// answered is the statuses of all answers in a conversation.
func answered(conversation string) (statuses []int) {
	for part := range strings.SplitSeq(conversation, "HTTP/1.") {
		var minor, status int
		if n, _ := fmt.Sscanf(part, "%d %d ", &minor, &status); n == 2 {
			statuses = append(statuses, status)
		}
	}
	return statuses
}

// reject sends each, and wants one answer of the right kind, nothing recorded, and
// the server alive.
func (r *rig) reject(addr string, all []hostile) {
	r.Helper()
	before, err := r.store.Head(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	for _, h := range all {
		got := converse(r.T, addr, h.request, h.ends)
		statuses := answered(got)
		if len(statuses) != 1 || !slices.Contains(h.want, statuses[0]) {
			r.Errorf("%s: answered %v, want one of %v:\n%.400s", h.name, statuses, h.want, got)
			continue
		}
		if handled := strings.Contains(got, "X-Request-Id: "); !handled && !h.early || statuses[0] >= 400 && !isProblem(got, statuses[0]) {
			r.Errorf("%s: not an answer of ours, or no problem:\n%.400s", h.name, got)
		}
		if strings.Contains(strings.ToLower(got), "\nx-evil:") || strings.Contains(got, "\nLocation:") {
			r.Errorf("%s: the answer says what it was told to:\n%s", h.name, got)
		}
		if resp, _ := raw(r.T, dial(r.T, addr), get("/livez", "")); resp.StatusCode != http.StatusOK {
			r.Fatalf("%s: the server is not alive: %d", h.name, resp.StatusCode)
		}
	}
	if head, err := r.store.Head(r.Context()); err != nil || head != before {
		r.Errorf("the log ends at %d, %v: want %d", head, err, before)
	}
	if log := r.log.String(); strings.Contains(log, "panic") || strings.Contains(strings.ToLower(log), "evil") {
		r.Errorf("the log:\n%s", log)
	}
}

// isProblem reports an answer that is a whole problem with that status.
func isProblem(answer string, status int) bool {
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var p Problem
	err = json.NewDecoder(resp.Body).Decode(&p)
	return err == nil && resp.Header.Get("Content-Type") == "application/problem+json" && p.Status == status && p.Detail != ""
}

// with is a request by the key that may do everything; it ends the connection.
func with(method, target string, headers ...string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + opsKey + "\r\n" +
		strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

func TestPathTricks(t *testing.T) {
	r := newRig(t)
	addr, _ := serve(t, r.server, 0)
	long := strings.Repeat("a", 600)
	r.reject(addr, []hostile{
		{name: "dots between", request: with("GET", "/v1/entitlements/../status"), want: []int{404}},
		{name: "dots at the end", request: with("GET", "/v1/entitlements/acme/.."), want: []int{404}},
		{name: "encoded dots are a name", request: with("GET", "/v1/accounts/%2e%2e"), want: []int{404}},
		{name: "encoded dots and slashes are a name", request: with("GET", "/v1/accounts/..%2f..%2fstatus"), want: []int{404}},
		{name: "twice encoded", request: with("GET", "/v1/accounts/%252e%252e%252fstatus"), want: []int{404}},
		{name: "backslashes", request: with("GET", `/v1/accounts/..\..\status`), want: []int{404}},
		{name: "encoded NUL", request: with("GET", "/v1/entitlements/acme%00"), want: []int{400}},
		{name: "NUL", request: with("GET", "/v1/entitlements/acme\x00"), want: []int{400}, early: true},
		{name: "not UTF-8", request: with("GET", "/v1/entitlements/%ff%fe"), want: []int{400}},
		{name: "an overlong slash", request: with("GET", "/v1/entitlements/a%c0%afb"), want: []int{400}},
		{name: "half an escape", request: with("GET", "/v1/entitlements/a%2"), want: []int{400}, early: true},
		{name: "a long account", request: with("GET", "/v1/entitlements/"+long), want: []int{400}},
		{name: "a long path", request: with("GET", "/"+strings.Repeat("a/", 8000)), want: []int{404}},
		{name: "a longer path", request: with("GET", "/"+strings.Repeat("a", 64<<10)), want: []int{431}, early: true},
		{name: "two slashes", request: with("GET", "//v1/status"), want: []int{404}},
		{name: "another host's", request: with("GET", "//evil.example/%2f.."), want: []int{404}},
		{name: "no path", request: with("GET", "status"), want: []int{400}, early: true},
		{name: "a faulty query", request: with("GET", "/v1/entitlements/acme?a=%zz"), want: []int{400}},
		{name: "a semicolon in the query", request: with("GET", "/v1/events?limit=1;limit=2"), want: []int{400}},
		{name: "line ends in an account", request: with("GET", "/v1/entitlements/a%0d%0aX-Evil:%201"), want: []int{400}},
		{name: "line ends in a feature", request: with("GET", "/v1/entitlements/acme/features/a%0d%0aX-Evil:%201"), want: []int{400}},
		{name: "line ends in a parameter", request: with("GET", "/v1/events?a%0d%0aX-Evil:%201=1"), want: []int{400}},
		{name: "line ends in an account that is looked for", request: with("GET", "/v1/events?account=a%0d%0aX-Evil:%201"), want: []int{400}},
		{name: "a line separator", request: with("GET", "/v1/accounts/a%e2%80%a8b"), want: []int{404}},
	})
	resp, body := raw(t, dial(t, addr), get("/v1/entitlements/a%2fb", opsKey))
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, `"account":"a/b"`) {
		t.Errorf("an encoded slash belongs to the name: %d %s", resp.StatusCode, body)
	}
}

func TestMethodsAndHeaders(t *testing.T) {
	r := newRig(t)
	addr, _ := serve(t, r.server, 0)
	event := subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic")
	signature := "Stripe-Signature: " + signed(event, secret, noon).Get("Stripe-Signature")
	webhook := func(headers ...string) string {
		return "POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n" + string(event)
	}
	length := fmt.Sprintf("Content-Length: %d", len(event))
	r.reject(addr, []hostile{
		{name: "TRACE", request: with("TRACE", "/v1/status"), want: []int{405}},
		{name: "CONNECT", request: with("CONNECT", "x:80"), want: []int{400, 404, 405}, early: true},
		{name: "a made-up method", request: with("EVIL", "/v1/status"), want: []int{405}},
		{name: "no method", request: with("", "/v1/status"), want: []int{400}, early: true},
		{name: "PUT", request: with("PUT", "/v1/entitlements/acme", "Content-Length: 0"), want: []int{405}},
		{name: "two keys", request: with("GET", "/v1/status", "Authorization: Bearer "+boundKey), want: []int{400}},
		{name: "two signatures", request: webhook(length, signature, signature), want: []int{400}},
		{name: "a good signature behind a bad one", request: webhook(length, "Stripe-Signature: t=1,v1=00", signature), want: []int{400}},
		{name: "two lengths", request: webhook(length, "Content-Length: 5", signature), want: []int{400}, early: true},
		{name: "two lengths in one", request: webhook(length+", 5", signature), want: []int{400}, early: true},
		{name: "a negative length", request: webhook("Content-Length: -1", signature), want: []int{400}, early: true},
		{name: "a length with a sign", request: webhook(fmt.Sprintf("Content-Length: +%d", len(event)), signature), want: []int{400}, early: true},
		{name: "a length beyond numbers", request: webhook("Content-Length: 99999999999999999999", signature), want: []int{400}, early: true},
		{name: "a length beyond the limit", request: webhook("Content-Length: 9999999999", signature), want: []int{413}},
		{name: "a length beyond the body", request: webhook(fmt.Sprintf("Content-Length: %d", len(event)+1), signature), want: []int{400}, ends: true},
		{name: "two hosts", request: with("GET", "/v1/status", "Host: evil.example"), want: []int{400}, early: true},
		{name: "no host", request: "GET /livez HTTP/1.1\r\n\r\n", want: []int{400}, early: true},
		{name: "a blank in a header's name", request: with("GET", "/v1/status", "X Evil: 1"), want: []int{400}, early: true},
		{name: "a control character in a header", request: with("GET", "/v1/status", "X-A: \x01"), want: []int{400}, early: true},
		{name: "a carriage return in a header", request: with("GET", "/v1/status", "X-A: a\rX-Evil: 1"), want: []int{400}, early: true},
		{name: "an unknown expectation", request: with("GET", "/v1/status", "Expect: evil"), want: []int{417}, early: true},
		{name: "another version", request: "GET /livez HTTP/3.7\r\nHost: x\r\n\r\n", want: []int{505}, early: true},
		{name: "TLS", request: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", want: []int{400}, early: true},
		{name: "noise", request: "\x00\xff\x00\xff\r\n\r\n", want: []int{400}, early: true},
	})
	got := converse(t, addr, with("GET", "/v1/nowhere", "X-Request-Id: stranger-chose-this"), false)
	if strings.Contains(got, "stranger-chose-this") {
		t.Errorf("a stranger's request id is repeated:\n%s", got)
	}
	resp, _ := raw(t, dial(t, addr), with("DELETE", "/v1/entitlements/acme"))
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("%d, Allow %q", resp.StatusCode, resp.Header.Get("Allow"))
	}
}

// TestSmuggling sends what two readers could take for one request or for two. Only
// one answer may come.
func TestSmuggling(t *testing.T) {
	r := newRig(t)
	addr, _ := serve(t, r.server, 0)
	second := get("/v1/status", opsKey)
	post := func(headers, body string) string {
		return "POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n\r\n" + body
	}
	noBody := "0\r\n\r\n"
	r.reject(addr, []hostile{
		{name: "length and chunks", request: post("Content-Length: 5\r\nTransfer-Encoding: chunked", noBody+second), want: []int{400}},
		{name: "chunks and length", request: post("Transfer-Encoding: chunked\r\nContent-Length: 500", noBody+second), want: []int{400}},
		{name: "chunks alone", request: post("Transfer-Encoding: chunked", noBody+second), want: []int{400}},
		{name: "an unknown coding", request: post("Transfer-Encoding: xchunked", noBody+second), want: []int{501, 400}, early: true},
		{name: "a list of codings", request: post("Transfer-Encoding: chunked, identity", noBody+second), want: []int{501, 400}, early: true},
		{name: "two codings", request: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", noBody+second), want: []int{501, 400}, early: true},
		{name: "a blank before the colon", request: post("Transfer-Encoding : chunked", noBody+second), want: []int{400}, early: true},
		{name: "a vertical tab", request: post("Transfer-Encoding: \x0bchunked", noBody+second), want: []int{400, 501}, early: true},
		{name: "quotes", request: post("Transfer-Encoding: \"chunked\"", noBody+second), want: []int{400, 501}, early: true},
		{name: "a line end alone in a chunk's head", request: post("Transfer-Encoding: chunked", "1\nA\r\n0\r\n\r\n"+second), want: []int{400}},
		{name: "a line end alone behind a chunk", request: post("Transfer-Encoding: chunked", "1\r\nA\n0\r\n\r\n"+second), want: []int{400}},
		{name: "a chunk's extension", request: post("Transfer-Encoding: chunked", "1;evil=\"\r\n\"\r\nA\r\n0\r\n\r\n"+second), want: []int{400}},
		{name: "a line end in a chunk's extension", request: post("Transfer-Encoding: chunked", "1;a\nb\r\nA\r\n0\r\n\r\n"+second), want: []int{400}},
		{name: "a long extension", request: post("Transfer-Encoding: chunked", "1;"+strings.Repeat("a", 64<<10)+"\r\nA\r\n0\r\n\r\n"+second), want: []int{400}},
		{name: "many extensions", request: post("Transfer-Encoding: chunked", strings.Repeat("1;"+strings.Repeat("a", 2000)+"\r\nA\r\n", 50)+"0\r\n\r\n"+second), want: []int{400}},
		{name: "a chunk beyond numbers", request: post("Transfer-Encoding: chunked", "FFFFFFFFFFFFFFFFF\r\nA\r\n0\r\n\r\n"+second), want: []int{400}},
		{name: "a negative chunk", request: post("Transfer-Encoding: chunked", "-1\r\nA\r\n0\r\n\r\n"+second), want: []int{400}},
		{name: "a chunk in 0x", request: post("Transfer-Encoding: chunked", "0x1\r\nA\r\n0\r\n\r\n"+second), want: []int{400}},
		{name: "an upgrade", request: with("GET", "/v1/nowhere", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), want: []int{404}},
	})
	// Line ends alone are line ends (RFC 9112, section 2.2): what matters is that
	// they do not make two requests of one.
	got := converse(t, addr, "GET /v1/status HTTP/1.1\nHost: x\nConnection: close\nX-A: 1\r\n\n", false)
	if statuses := answered(got); !slices.Equal(statuses, []int{401}) {
		t.Errorf("line ends alone: %v", statuses)
	}
}

// TestNobodyIsSentElsewhere writes the address of a listener into everything that a
// stranger can write, and wants nobody to come there.
func TestNobodyIsSentElsewhere(t *testing.T) {
	r := newRig(t)
	trap, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var caught atomic.Int64
	go func() {
		for {
			conn, err := trap.Accept()
			if err != nil {
				return
			}
			caught.Add(1)
			_ = conn.Close()
		}
	}()
	defer trap.Close()
	url := "http://" + trap.Addr().String() + "/evil"
	headers := http.Header{"X-Forwarded-Host": {trap.Addr().String()}, "Referer": {url}, "Origin": {url}, "Forwarded": {"host=" + trap.Addr().String()},
		"X-Original-Url": {url}, "X-Rewrite-Url": {url}, "Content-Type": {"application/json"}, "Idempotency-Key": {url}}
	for _, rt := range r.server.routes() {
		path := strings.NewReplacer("{account}", strings.ReplaceAll(url, "/", "%2F"), "{", "", "}", "").Replace(rt.path)
		if rt.path == tailPath {
			path += "?from=!"
		}
		for _, p := range []string{path, path + "?url=" + url + "&callback=" + url + "&return_url=" + url} {
			body := fmt.Sprintf(`{"account":%q,"reason":"a reason that is long enough, %s","tier":"basic","url":%q,"features":[%q],"success_url":%q,"cancel_url":%q,"return_url":%q}`, url, url, url, url, url, url, url)
			if a := r.do(rt.method, p, opsKey, []byte(body), headers.Clone()); a.status/100 == 3 || a.status >= 500 && a.status != 501 {
				t.Errorf("%s %s: %.300s", rt.method, p, a)
			}
		}
	}
	event := []byte(strings.ReplaceAll(string(subscriptionEvent("evt_1", subCreated, noon, "sub_1", "team-1", "active", "price_basic")),
		`"metadata":{`, fmt.Sprintf(`"latest_invoice":%q,"hosted_invoice_url":%q,"metadata":{"url":%q,`, url, url, url)))
	r.send(event)
	r.settle()
	if n := caught.Load(); n > 0 {
		t.Errorf("%d came", n)
	}
}
