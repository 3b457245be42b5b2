package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

var (
	errNoKey   = problem(http.StatusUnauthorized, "Send a valid key: Authorization: Bearer <key>.")
	errTwoKeys = badRequest(Fault{"Authorization", "is there more than once"})
	errGuesses = tooMany("This address sends more requests without a valid key than are answered.", refusalWait)
)

// admit finds the key of a request and checks its scope and its limit. Keys that
// are none are answered slowly where there are many.
func (s *Server) admit(r *http.Request, want Scope) (*Key, error) {
	key, err := s.authenticate(r, want)
	switch {
	case err == nil:
		return key, s.limits.admitKey(key, s.now())
	case key == nil:
		return nil, s.limits.refuse(r.Context(), s.limits.proxies.clientOf(r), s.now(), err, errGuesses)
	}
	return nil, err
}

// authenticate finds the key of a request, nil if it has none, and checks its
// scope.
func (s *Server) authenticate(r *http.Request, want Scope) (*Key, error) {
	if len(r.Header["Authorization"]) > 1 {
		return nil, errTwoKeys
	}
	key, ok := s.presentedKey(r)
	if !ok {
		return nil, errNoKey
	}
	if !key.allows(want) {
		return key, problem(http.StatusForbidden, fmt.Sprintf("The key lacks the scope %q.", want))
	}
	return key, nil
}

func (s *Server) presentedKey(r *http.Request) (*Key, bool) {
	scheme, presented, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if !found || !strings.EqualFold(scheme, "Bearer") || presented == "" {
		return nil, false
	}
	return s.keys.Load().find(presented)
}

// SetKeys replaces the keys. Requests that were let in before go on.
func (s *Server) SetKeys(keys []Key) {
	ring := keyring(append([]Key(nil), keys...))
	s.keys.Store(&ring)
}

type keyContext struct{}

func withKey(ctx context.Context, key *Key) context.Context {
	return context.WithValue(ctx, keyContext{}, key)
}

// boundAccount returns the only account that the request may see, empty if it
// may see all.
func boundAccount(ctx context.Context) string {
	if key, ok := ctx.Value(keyContext{}).(*Key); ok {
		return key.Account
	}
	return ""
}

// errOtherAccount answers a key that asks for more than its account. What does
// not exist and what belongs to others get the same answer, so that the key
// cannot tell them apart.
var errOtherAccount = problem(http.StatusForbidden, "The key is bound to one account, and this is not known to be of it.")

// authorizeAccount refuses any account but the one that the key is bound to.
func authorizeAccount(ctx context.Context, account string) error {
	if bound := boundAccount(ctx); bound != "" && bound != account {
		return errOtherAccount
	}
	return nil
}
