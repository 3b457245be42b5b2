package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
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

// keysInForce are the keys until they are replaced.
type keysInForce struct {
	keyring
	replaced chan struct{} // closed when they are
}

// SetKeys replaces the keys. Requests that were let in before are answered; whoever
// follows the record with a key that is gone is told no more.
func (s *Server) SetKeys(keys []Key) {
	before := s.keys.Swap(&keysInForce{slices.Clone(keys), make(chan struct{})})
	if before != nil {
		close(before.replaced)
	}
}

// whileAdmitted returns a context that ends with ctx, or as soon as the key that
// the request came with does not allow as much any more. Call cancel at the end.
func (s *Server) whileAdmitted(ctx context.Context, scope Scope) (_ context.Context, cancel context.CancelFunc) {
	key, _ := ctx.Value(keyContext{}).(*Key)
	ctx, cancel = context.WithCancel(ctx)
	go func() { // it ends with ctx
		defer cancel()
		for keys := s.keys.Load(); keys.admit(key, scope); keys = s.keys.Load() {
			select {
			case <-keys.replaced:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, cancel
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
