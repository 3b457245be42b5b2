package esdbtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// User is one that a secure server knows. Its admin, of the group $admins, is
// always there.
type User struct {
	Name, Password string
	Groups         []string
}

// The user that every server begins with, and that passes every ACL.
const (
	adminUser     = "admin"
	adminPassword = "changeit"
	adminGroup    = "$admins"
)

// guard is what a secure server has before its streams.
type guard struct {
	transport credentials.TransportCredentials
	authority string // the file of the certificate that the server's is signed with
	users     []User
}

// StartSecure runs a server on a free port of the loopback, until the test
// ends, that speaks TLS, wants a user, and enforces the default ACL of the
// stream $settings. Streams have no ACLs of their own here.
func StartSecure(t testing.TB, users ...User) *Server {
	t.Helper()
	g := &guard{authority: filepath.Join(t.TempDir(), "ca.crt"), users: append(users, User{adminUser, adminPassword, []string{adminGroup}})}
	certificate, err := selfSigned(g.authority)
	if err != nil {
		t.Fatal(err)
	}
	g.transport = credentials.NewServerTLSFromCert(&certificate)
	s := &Server{log: newLog(), faults: &faults{}, addr: "127.0.0.1:0", guard: g}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// URLOf is the connection string of a user of a secure server.
func (s *Server) URLOf(name string) string {
	at := slices.IndexFunc(s.guard.users, func(u User) bool { return u.Name == name })
	login := url.UserPassword(name, s.guard.users[at].Password)
	return "esdb://" + login.String() + "@" + s.addr + "?tlsCAFile=" + url.QueryEscape(s.guard.authority)
}

// selfSigned makes a certificate for the loopback, and puts it into a file for
// clients.
func selfSigned(path string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "eventstoredb-node"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, os.WriteFile(path, content, 0o600)
}

// action is what is done to a stream, as ACLs name it.
type action string

const (
	toRead      action = "$r"
	toWrite     action = "$w"
	toDelete    action = "$d"
	toReadMeta  action = "$mr"
	toWriteMeta action = "$mw"
)

// The names of streams that ACLs know.
const (
	allStream      = "$all"
	settingsStream = "$settings"
	metaPrefix     = "$$"
)

// authenticated answers as a server does that does not know the user.
func (n *node) authenticated(ctx context.Context) error {
	if n.server.guard != nil {
		if _, known := n.server.guard.userOf(ctx); !known {
			return status.Error(codes.Unauthenticated, "Unauthenticated")
		}
	}
	return nil
}

// allow answers as a server does whose user may not do something.
func (n *node) allow(ctx context.Context, what action, stream string) error {
	if err := n.authenticated(ctx); err != nil || n.server.guard == nil {
		return err
	}
	user, _ := n.server.guard.userOf(ctx)
	if original, meta := strings.CutPrefix(stream, metaPrefix); meta {
		stream = original
		what = map[action]action{toRead: toReadMeta, toWrite: toWriteMeta}[what] // nobody may delete it
	}
	if slices.Contains(user.Groups, adminGroup) || what != "" && n.server.log.defaultACL(stream).allows(user, what) {
		return nil
	}
	if err := grpc.SetTrailer(ctx, metadata.Pairs("exception", "access-denied")); err != nil {
		return err
	}
	return status.Error(codes.PermissionDenied, "Access Denied")
}

// userOf is who a call is made by.
func (g *guard) userOf(ctx context.Context) (User, bool) {
	sent, _ := metadata.FromIncomingContext(ctx)
	for _, header := range sent.Get("authorization") {
		for _, u := range g.users {
			if header == "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Name+":"+u.Password)) {
				return u, true
			}
		}
	}
	return User{}, false
}

// acl is an ACL as it is written: a name for each action, or a list of them.
type acl map[action]any

// allows reports whether a user may do something, by name or by a group.
func (a acl) allows(u User, what action) bool {
	names, isList := a[what].([]any)
	if !isList {
		names = []any{a[what]}
	}
	return slices.ContainsFunc(names, func(name any) bool {
		text, _ := name.(string)
		return text == "$all" || text == u.Name || slices.Contains(u.Groups, text)
	})
}

// defaultACL is in force for a stream: what the last event of $settings says,
// and what it leaves open as servers have it.
func (l *log) defaultACL(stream string) acl {
	part, everybody := "$userStreamAcl", "$all"
	if strings.HasPrefix(stream, "$") {
		part, everybody = "$systemStreamAcl", adminGroup
	}
	effective := acl{}
	for _, what := range []action{toRead, toWrite, toDelete, toReadMeta, toWriteMeta} {
		effective[what] = everybody
	}
	held, _ := l.stream(settingsStream)
	if len(held) == 0 {
		return effective
	}
	var said map[string]acl
	if err := json.Unmarshal(held[len(held)-1].data, &said); err != nil {
		return effective
	}
	for what, names := range said[part] {
		effective[what] = names
	}
	return effective
}

// Delete implements the protocol's call of that name as far as its refusals go:
// nothing that is tested here may ever be allowed one.
func (n *node) Delete(ctx context.Context, req *streams.DeleteReq) (*streams.DeleteResp, error) {
	stream := string(req.GetOptions().GetStreamIdentifier().GetStreamName())
	if err := n.allow(ctx, toDelete, stream); err != nil {
		return nil, err
	}
	held, _ := n.server.log.stream(stream)
	if wanted, exact := req.GetOptions().GetExpectedStreamRevision().(*streams.DeleteReq_Options_Revision); exact && wanted.Revision+1 != uint64(len(held)) {
		if err := grpc.SetTrailer(ctx, metadata.Pairs("exception", "wrong-expected-version", "stream-name", stream)); err != nil {
			return nil, err
		}
		return nil, status.Error(codes.FailedPrecondition, fmt.Sprintf("Append failed due to WrongExpectedVersion. Stream: %s", stream))
	}
	return nil, status.Error(codes.Unimplemented, "this server deletes nothing")
}
