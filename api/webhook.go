package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// Verifier checks that a delivery comes from Stripe. It returns the fingerprint
// of the secret that signed it, or a *intake.SignatureError.
type Verifier interface {
	Verify(body []byte, header string) (fingerprint string, err error)
	// Fingerprints are those of all secrets that are in force.
	Fingerprints() []string
}

// Journal makes a delivery durable before it returns without an error. It may
// keep the entry's body.
type Journal interface {
	Record(ctx context.Context, entry intake.Entry) (intake.Outcome, error)
}

// The refusals of the webhook. The signature's is one for every fault, so that
// a forger learns nothing from it.
var (
	errSignature = problem(http.StatusBadRequest, "The Stripe-Signature header is not valid for this body.")
	errEncoding  = problem(http.StatusUnsupportedMediaType, "Send the body as it is, without a Content-Encoding.")
	errBodyLarge = problem(http.StatusRequestEntityTooLarge, "The body is larger than this endpoint takes.")
	errBodyCut   = problem(http.StatusBadRequest, "The body ended early.")
	errBodySlow  = problem(http.StatusRequestTimeout, "The body did not arrive in time.")
	errDurable   = unavailable("The event could not be made durable. Send it again.")
)

// WebhookSteps tells how a signed event was taken in, for traces.
type WebhookSteps struct {
	Envelope  intake.Envelope
	RequestID string
	// Bytes is the size of the body.
	Bytes int
	// Outcome is what became of it, if Err is nil.
	Outcome intake.Outcome
	Err     error
	// Arrived is when the request came; then the body was read, the signature
	// and the envelope were checked, and the event was recorded, or was not.
	Arrived, Read, Checked, Recorded time.Time
}

// webhook answers POST /webhooks/stripe. It reads, verifies, records, and does
// nothing else: whatever could fail for another reason comes later, from the
// journal.
func (s *Server) webhook(w http.ResponseWriter, r *http.Request) error {
	steps := WebhookSteps{Arrived: s.tracedAt()}
	client := s.limits.proxies.clientOf(r)
	if err := s.limits.admitWebhook(client, s.now()); err != nil {
		return err
	}
	body, fingerprint, err := s.readSigned(w, r, &steps)
	if errors.Is(err, errSignature) {
		return s.limits.refuse(r.Context(), client, s.now(), err, errShed)
	}
	if err != nil {
		return err
	}
	envelope, err := intake.ParseEnvelope(body)
	if err != nil {
		return s.refuseBody(w, err)
	}
	working(r.Context())
	if !s.limits.webhooksNow.enter() {
		s.limits.counts.webhooksAtOnce.Add(1)
		return errShed
	}
	defer s.limits.webhooksNow.leave()
	ctx, cancel := context.WithTimeout(r.Context(), recordTimeout)
	defer cancel()
	steps.Checked = time.Now()
	outcome, err := s.Journal.Record(ctx, intake.Entry{
		Body: body, Envelope: envelope, Source: intake.SourceWebhook, Secret: fingerprint,
	})
	steps.Recorded = time.Now()
	s.timings.appends.Observe(steps.Recorded.Sub(steps.Checked).Seconds())
	if s.OnWebhook != nil {
		steps.Envelope, steps.RequestID, steps.Bytes, steps.Outcome, steps.Err = envelope, w.Header().Get(requestIDHeader), len(body), outcome, err
		s.OnWebhook(steps)
	}
	if err != nil {
		return s.refuseUnrecorded(w, envelope, err)
	}
	s.counters.signedBy(fingerprint).Add(1)
	s.acknowledge(w, envelope, outcome)
	return nil
}

// tracedAt is the present, where somebody wants to know it.
func (s *Server) tracedAt() time.Time {
	if s.OnWebhook == nil {
		return time.Time{}
	}
	return time.Now()
}

// readSigned returns the body of a delivery, and the fingerprint of the secret
// that signed it.
func (s *Server) readSigned(w http.ResponseWriter, r *http.Request, steps *WebhookSteps) (body []byte, fingerprint string, err error) {
	buf := bodies.Get().(*bytes.Buffer)
	defer putBody(buf)
	held := heldBytes{of: &s.limits.bodies}
	defer held.release()
	if err := s.readBody(w, r, &held, buf); err != nil {
		return nil, "", err
	}
	steps.Read = s.tracedAt()
	header := ""
	if lines := r.Header["Stripe-Signature"]; len(lines) == 1 {
		header = lines[0]
	} else if len(lines) > 1 {
		return nil, "", s.refuseSignature(w, &intake.SignatureError{Kind: intake.SignatureMalformed})
	}
	if fingerprint, err = s.Verifier.Verify(buf.Bytes(), header); err != nil {
		return nil, "", s.refuseSignature(w, err)
	}
	// The store may keep what it is given beyond this request, so the entry
	// gets bytes of its own, and the buffer goes back.
	return bytes.Clone(buf.Bytes()), fingerprint, nil
}

// heldBytes counts what one body takes of the memory that large bodies share.
type heldBytes struct {
	io.Reader
	of         *atomic.Int64
	read, held int64
}

// Read implements io.Reader, and fails where there is no more memory to share.
func (h *heldBytes) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if h.read += int64(n); h.read > smallBody {
		more := h.read - smallBody - h.held
		h.held += more
		if h.of.Add(more) > largeBodies {
			return 0, errNoRoom
		}
	}
	return n, err
}

func (h *heldBytes) release() { h.of.Add(-h.held) }

// errNoRoom says that all large bodies together take too much memory.
var errNoRoom = errors.New("too many large bodies at once")

// readBody reads the whole body, as it was sent and no larger than allowed.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, held *heldBytes, into *bytes.Buffer) error {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		s.counters.encoded.Add(1)
		w.Header().Set("Accept-Encoding", "identity")
		return errEncoding
	}
	if r.ContentLength > s.MaxWebhookBytes {
		s.counters.tooLarge.Add(1)
		return errBodyLarge
	}
	held.Reader = io.LimitReader(r.Body, s.MaxWebhookBytes+1)
	_, err := into.ReadFrom(held)
	var timeout net.Error
	switch {
	case errors.Is(err, errNoRoom):
		s.limits.counts.bodies.Add(1)
		return errShed
	case errors.As(err, &timeout) && timeout.Timeout():
		s.counters.unreadable.Add(1)
		return errBodySlow
	case err != nil:
		s.counters.unreadable.Add(1)
		return errBodyCut
	case int64(into.Len()) > s.MaxWebhookBytes:
		s.counters.tooLarge.Add(1)
		return errBodyLarge
	}
	return nil
}

func (s *Server) refuseSignature(w http.ResponseWriter, err error) error {
	var fault *intake.SignatureError
	if !errors.As(err, &fault) {
		return err
	}
	s.counters.signature(fault.Kind).Add(1)
	s.logRefusal(w, "webhook refused: signature", logrus.Fields{"fault": string(fault.Kind)})
	return errSignature
}

func (s *Server) refuseBody(w http.ResponseWriter, err error) error {
	var fault *intake.NotAnEventError
	if !errors.As(err, &fault) {
		return err
	}
	s.counters.notAnEvent.Add(1)
	s.logRefusal(w, "webhook refused: signed, but no event", logrus.Fields{"fault": fault.Reason})
	return problem(http.StatusBadRequest, "The body is not a Stripe event: "+fault.Reason+".")
}

func (s *Server) refuseUnrecorded(w http.ResponseWriter, envelope intake.Envelope, err error) error {
	if errors.Is(err, eventstore.ErrTooLarge) {
		s.counters.tooLarge.Add(1)
		return errBodyLarge
	}
	s.counters.of(envelope.Type).notDurable.Add(1)
	s.Log.WithError(err).WithFields(logrus.Fields{
		"event_id": envelope.ID, "request_id": w.Header().Get(requestIDHeader),
	}).Error("webhook not recorded")
	return errDurable
}

// logRefusal is quiet by default: strangers decide how many of these there are.
// The counters in the status show them.
func (s *Server) logRefusal(w http.ResponseWriter, message string, fields logrus.Fields) {
	fields["request_id"] = w.Header().Get(requestIDHeader)
	s.Log.WithFields(fields).Debug(message)
}

// Header values that never change, so that no request makes them anew.
var jsonContentType = []string{"application/json"}

// acknowledge tells Stripe that the event is durable. The answer is put
// together by hand, for this is the busiest route.
func (s *Server) acknowledge(w http.ResponseWriter, envelope intake.Envelope, outcome intake.Outcome) {
	s.counters.durable(envelope.Type, outcome)
	s.lastEvent.Store(s.Clock().UnixNano())
	answer := make([]byte, 0, 160)
	answer = append(answer, `{"received":true,"status":`...)
	answer = appendJSONText(answer, string(outcome.Status))
	answer = append(answer, `,"event_id":`...)
	answer = appendJSONText(answer, envelope.ID)
	answer = append(answer, `,"event_type":`...)
	answer = appendJSONText(answer, envelope.Type)
	answer = append(answer, '}', '\n')
	h := w.Header()
	h["Content-Type"] = jsonContentType
	h["Content-Length"] = []string{strconv.Itoa(len(answer))}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(answer) // Stripe sends again what it was not told
}

// appendJSONText appends visible ASCII, which envelopes are checked to consist
// of, as a JSON string.
func appendJSONText(b []byte, text string) []byte {
	b = append(b, '"')
	for i := range len(text) {
		if text[i] == '"' || text[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, text[i])
	}
	return append(b, '"')
}

// bodies keeps read buffers for the next request.
var bodies = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, 8<<10)) }}

// maxKeptBody bounds the buffers that are kept: one large body should not hold
// memory for ever.
const maxKeptBody = 128 << 10

func putBody(buf *bytes.Buffer) {
	if buf.Cap() <= maxKeptBody {
		buf.Reset()
		bodies.Put(buf)
	}
}
