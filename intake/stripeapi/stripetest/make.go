package stripetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Posted is one request that something be made, or be ended.
type Posted struct {
	Path string
	// Key is the idempotency key.
	Key  string
	Form url.Values
}

// reply is what came of a request of an idempotency key.
type reply struct {
	request string
	status  int
	body    []byte
}

// Posts lists what was asked to be made or ended so far, replays included.
func (s *Server) Posts(path string) []Posted {
	s.mu.Lock()
	defer s.mu.Unlock()
	var posts []Posted
	for _, p := range s.posts {
		if p.Path == path {
			posts = append(posts, p)
		}
	}
	return posts
}

// Change sets members of an object that is there.
func (s *Server) Change(path, id string, members map[string]any) {
	s.mu.Lock()
	o := s.lists[path][id]
	s.mu.Unlock()
	if o == nil {
		panic("stripetest: there is no " + path + "/" + id)
	}
	fields := maps.Clone(o.fields)
	maps.Copy(fields, members)
	s.Put(path, encode(fields))
}

// post makes or ends something, once for each idempotency key: the same request
// again is answered as the first was, another one is refused.
func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	s.making.Lock()
	defer s.making.Unlock()
	key := r.Header.Get("Idempotency-Key")
	if key == "" || len(key) > 255 || r.ParseForm() != nil {
		refuse(w, http.StatusBadRequest, "", "", "no idempotency key, or no form")
		return
	}
	s.mu.Lock()
	s.posts = append(s.posts, Posted{Path: r.URL.Path, Key: key, Form: r.PostForm})
	before, again := s.replies[key]
	s.mu.Unlock()
	switch {
	case again && before.request != requestOf(r):
		write(w, http.StatusBadRequest, encode(map[string]any{"error": map[string]any{"type": "idempotency_error",
			"message": "Keys for idempotent requests can only be used with the same parameters they were first used with."}}))
		return
	case again:
		w.Header().Set("Idempotent-Replayed", "true")
		write(w, before.status, before.body)
		return
	}
	kept := &keeper{ResponseWriter: w, status: http.StatusOK}
	s.carryOut(kept, r)
	if kept.status != http.StatusOK {
		return // what was wrong with a request is not kept: it was not begun
	}
	s.keep(r, kept)
}

// keep keeps what a request of an idempotency key was answered, unless something is
// kept of that already.
func (s *Server) keep(r *http.Request, kept *keeper) {
	request, key := requestOf(r), r.Header.Get("Idempotency-Key")
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again := s.replies[key]; !again {
		s.replies[key] = reply{request, kept.status, kept.body.Bytes()}
	}
}

// Keeps reports whether something is kept under a request's idempotency key.
func (s *Server) Keeps(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, kept := s.replies[r.Header.Get("Idempotency-Key")]
	return kept
}

// requestOf tells requests apart.
func requestOf(r *http.Request) string {
	_ = r.ParseForm() // what is no form is refused elsewhere
	return r.URL.Path + "?" + r.PostForm.Encode()
}

// keeper keeps what is answered.
type keeper struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (k *keeper) WriteHeader(status int) {
	k.status = status
	k.ResponseWriter.WriteHeader(status)
}

func (k *keeper) Write(b []byte) (int, error) {
	k.body.Write(b)
	return k.ResponseWriter.Write(b)
}

func (s *Server) carryOut(w http.ResponseWriter, r *http.Request) {
	session, expires := strings.CutSuffix(r.URL.Path, "/expire")
	switch {
	case r.URL.Path == "/v1/webhook_endpoints":
		s.createEndpoint(w, r)
	case r.URL.Path == "/v1/customers":
		s.createCustomer(w, r)
	case r.URL.Path == sessionsPath:
		s.createSession(w, r)
	case expires:
		s.expireSession(w, strings.TrimPrefix(session, sessionsPath+"/"))
	case r.URL.Path == "/v1/billing_portal/sessions":
		s.createPortal(w, r)
	default:
		refuse(w, http.StatusNotFound, "", "", "Unrecognized request URL")
	}
}

const sessionsPath = "/v1/checkout/sessions"

// createEndpoint makes a webhook endpoint, and tells its secret this once.
func (s *Server) createEndpoint(w http.ResponseWriter, r *http.Request) {
	id := s.newID()
	endpoint := map[string]any{"id": "we_" + id, "object": "webhook_endpoint", "created": s.Now().Unix(), "livemode": false, "status": "enabled",
		"url": r.PostForm.Get("url"), "api_version": r.PostForm.Get("api_version"), "enabled_events": r.PostForm["enabled_events[]"]}
	s.Put(r.URL.Path, encode(endpoint))
	endpoint["secret"] = "whsec_secret" + id
	write(w, http.StatusOK, encode(endpoint))
}

func (s *Server) createCustomer(w http.ResponseWriter, r *http.Request) {
	raw := encode(map[string]any{"id": "cus_" + s.newID(), "object": "customer", "created": s.Now().Unix(), "livemode": false,
		"email": nil, "metadata": metadataIn(r.PostForm, "metadata")})
	s.Put(r.URL.Path, raw)
	write(w, http.StatusOK, raw)
}

// createSession makes an open checkout session, of a customer and prices that
// must be there.
func (s *Server) createSession(w http.ResponseWriter, r *http.Request) {
	form := r.PostForm
	if !s.hasCustomer(w, form) {
		return
	}
	for i := 0; form.Has(fmt.Sprintf("line_items[%d][price]", i)); i++ {
		param := fmt.Sprintf("line_items[%d][price]", i)
		if !s.has("/v1/prices", form.Get(param)) {
			refuse(w, http.StatusBadRequest, "resource_missing", param, "No such price: '"+form.Get(param)+"'")
			return
		}
	}
	id := "cs_test_" + s.newID()
	raw := encode(map[string]any{"id": id, "object": "checkout.session", "created": s.Now().Unix(), "livemode": false,
		"status": "open", "payment_status": "unpaid", "mode": form.Get("mode"), "url": "https://checkout.stripe.com/c/pay/" + id,
		"customer": form.Get("customer"), "subscription": nil, "client_reference_id": form.Get("client_reference_id"),
		"success_url": form.Get("success_url"), "cancel_url": form.Get("cancel_url"), "metadata": metadataIn(form, "metadata"),
		"expires_at": s.Now().Add(24 * time.Hour).Unix()})
	s.Put(r.URL.Path, raw)
	write(w, http.StatusOK, raw)
}

func (s *Server) expireSession(w http.ResponseWriter, id string) {
	s.mu.Lock()
	o := s.lists[sessionsPath][id]
	s.mu.Unlock()
	switch {
	case o == nil:
		refuse(w, http.StatusNotFound, "resource_missing", "session", "No such checkout session: '"+id+"'")
	case o.fields["status"] != "open":
		refuse(w, http.StatusBadRequest, "", "", "Only Checkout Sessions with a status in `open` can be expired.")
	default:
		s.Change(sessionsPath, id, map[string]any{"status": "expired", "url": nil})
		s.mu.Lock()
		defer s.mu.Unlock()
		write(w, http.StatusOK, s.lists[sessionsPath][id].raw)
	}
}

func (s *Server) createPortal(w http.ResponseWriter, r *http.Request) {
	if !s.hasCustomer(w, r.PostForm) {
		return
	}
	id := "bps_" + s.newID()
	write(w, http.StatusOK, encode(map[string]any{"id": id, "object": "billing_portal.session", "created": s.Now().Unix(), "livemode": false,
		"customer": r.PostForm.Get("customer"), "return_url": r.PostForm.Get("return_url"), "url": "https://billing.stripe.com/p/session/" + id}))
}

// hasCustomer refuses a request of a customer that is not there.
func (s *Server) hasCustomer(w http.ResponseWriter, form url.Values) bool {
	id := form.Get("customer")
	if s.has("/v1/customers", id) {
		return true
	}
	refuse(w, http.StatusBadRequest, "resource_missing", "customer", "No such customer: '"+id+"'")
	return false
}

func (s *Server) has(path, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists[path][id] != nil
}

func (s *Server) newID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	return fmt.Sprintf("%06d", s.made)
}

// metadataIn reads name[key]=value.
func metadataIn(form url.Values, name string) map[string]string {
	found := map[string]string{}
	for field := range form {
		if key, is := strings.CutPrefix(field, name+"["); is && strings.HasSuffix(key, "]") {
			found[strings.TrimSuffix(key, "]")] = form.Get(field)
		}
	}
	return found
}

func encode(object map[string]any) []byte {
	raw, err := json.Marshal(object)
	if err != nil {
		panic("stripetest: " + err.Error())
	}
	return raw
}
