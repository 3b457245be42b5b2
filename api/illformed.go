package api

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strconv"
)

// refusingConn is a connection on which net/http's own refusals, of what is no
// request at all and so reaches no handler, are problems like every other.
type refusingConn struct{ net.Conn }

// Write sends b or, if that is such a refusal, the problem in its place. net/http
// writes a refusal at once, and then hangs up.
func (c refusingConn) Write(b []byte) (int, error) {
	status, refused := refusalByServer(b)
	if !refused {
		return c.Conn.Write(b)
	}
	if _, err := c.Conn.Write(illFormed(status)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// CloseWrite ends what is said; net/http does so before it hangs up on somebody
// who is still talking.
func (c refusingConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// serverRefusal is all of the header that net/http gives its own refusals. Answers
// of handlers have a Date.
var serverRefusal = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

// refusalByServer tells a refusal by net/http, and its status. That of an unknown
// expectation has another header, and a status that is nobody else's.
func refusalByServer(b []byte) (status int, refused bool) {
	rest, ok := bytes.CutPrefix(b, []byte("HTTP/1.1 "))
	if !ok || len(rest) < 3 || rest[0] < '4' {
		return 0, false
	}
	status, err := strconv.Atoi(string(rest[:3]))
	line := bytes.Index(rest, []byte("\r\n"))
	refused = err == nil && line > 0 && bytes.HasPrefix(rest[line:], serverRefusal)
	return status, refused || status == http.StatusExpectationFailed
}

// illFormed is the answer to what is no request.
func illFormed(status int) []byte {
	detail := "This is not a well-formed HTTP/1.1 request."
	switch status {
	case http.StatusExpectationFailed:
		detail = "The only expectation that can be met is 100-continue."
	case http.StatusRequestHeaderFieldsTooLarge:
		detail = "The header, with the path, is larger than this endpoint takes."
	case http.StatusNotImplemented:
		detail = "Send the body with a Content-Length, or chunked."
	case http.StatusHTTPVersionNotSupported:
		detail = "The protocol here is HTTP/1.1."
	}
	document, err := encodeJSON(problem(status, detail))
	if err != nil {
		panic("a problem is plain data: " + err.Error())
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), len(document), document)
}
