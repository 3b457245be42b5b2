package intake

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"
)

// Tolerance is how far the time in a signature may lie from ours, in either
// direction.
const Tolerance = 300 * time.Second

// maxHeader bounds the Stripe-Signature header, in bytes. One with a signature
// for each of two secrets has about 150.
const maxHeader = 4096

// SignatureFault says what was wrong with a signature. It is for metrics and
// logs: the sender gets no hint.
type SignatureFault string

// The faults.
const (
	SignatureMissing   SignatureFault = "missing"
	SignatureMalformed SignatureFault = "malformed"
	SignatureMismatch  SignatureFault = "mismatch"
	SignatureStale     SignatureFault = "stale"
	SignatureFuture    SignatureFault = "future"
)

// SignatureError says that a delivery is not known to come from Stripe.
type SignatureError struct{ Kind SignatureFault }

func (e *SignatureError) Error() string { return "stripe signature: " + string(e.Kind) }

// Verifier checks the Stripe-Signature header of deliveries. Its methods may
// be called from many goroutines.
type Verifier struct {
	now     func() time.Time
	secrets atomic.Pointer[[]secret]
}

type secret struct{ value, fingerprint string }

// NewVerifier returns a verifier that accepts every one of the secrets, as is
// needed while a secret is rolled. Without secrets it accepts nothing.
func NewVerifier(secrets []string, now func() time.Time) *Verifier {
	v := &Verifier{now: now}
	v.SetSecrets(secrets)
	return v
}

// SetSecrets replaces the secrets. Verifications under way end with those they
// began with.
func (v *Verifier) SetSecrets(secrets []string) {
	next := make([]secret, 0, len(secrets))
	for _, s := range secrets {
		if s != "" { // anyone can sign with the empty secret
			next = append(next, secret{value: s, fingerprint: Fingerprint(s)})
		}
	}
	v.secrets.Store(&next)
}

// Fingerprints lists the secrets that are in force, without telling them.
func (v *Verifier) Fingerprints() []string {
	var all []string
	for _, s := range *v.secrets.Load() {
		all = append(all, s.fingerprint)
	}
	return all
}

// Fingerprint names a secret without telling it: the first 8 hex digits of its
// SHA-256.
func Fingerprint(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:4])
}

// Verify checks that body was signed, with one of the secrets and within
// Tolerance of now, and returns that secret's fingerprint. Every error is a
// *SignatureError; none contains a secret or a signature.
func (v *Verifier) Verify(body []byte, header string) (fingerprint string, err error) {
	sent, err := signedAt(header)
	if err != nil {
		return "", err
	}
	fingerprint, err = v.match(body, header)
	if err != nil {
		return "", err
	}
	return fingerprint, v.checkTime(sent)
}

func (v *Verifier) match(body []byte, header string) (string, error) {
	for _, s := range *v.secrets.Load() {
		err := webhook.ValidatePayloadIgnoringTolerance(body, header, s.value)
		switch {
		case err == nil:
			return s.fingerprint, nil
		case errors.Is(err, webhook.ErrInvalidHeader):
			return "", &SignatureError{SignatureMalformed}
		}
	}
	return "", &SignatureError{SignatureMismatch}
}

func (v *Verifier) checkTime(sent time.Time) error {
	age := v.now().Sub(sent)
	switch {
	case age > Tolerance:
		return &SignatureError{SignatureStale}
	case age < -Tolerance:
		return &SignatureError{SignatureFuture}
	}
	return nil
}

// signedAt reads the one time in a header of the form "t=1495999758,v1=ABC".
// Two times would leave open which of them was signed.
func signedAt(header string) (time.Time, error) {
	if header == "" {
		return time.Time{}, &SignatureError{SignatureMissing}
	}
	malformed := &SignatureError{SignatureMalformed}
	if len(header) > maxHeader {
		return time.Time{}, malformed
	}
	var seconds string
	times, signatures := 0, 0
	for pair := range strings.SplitSeq(header, ",") {
		switch name, value, _ := strings.Cut(pair, "="); name {
		case "t":
			times++
			seconds = value
		case "v1":
			signatures++
		}
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if times != 1 || signatures == 0 || err != nil || n < 0 || n > maxUnix {
		return time.Time{}, malformed
	}
	return time.Unix(n, 0), nil
}

// The shape of a webhook signing secret.
const (
	secretPrefix = "whsec_"
	minSecret    = 8
	maxSecret    = 256
)

// ValidSecret reports what is wrong with the format of a webhook signing
// secret, without quoting it.
func ValidSecret(s string) error {
	rest, found := strings.CutPrefix(s, secretPrefix)
	if !found {
		return fmt.Errorf("webhook secret: does not begin with %s", secretPrefix)
	}
	if len(rest) < minSecret || len(rest) > maxSecret {
		return fmt.Errorf("webhook secret: %d characters behind %s, want %d to %d", len(rest), secretPrefix, minSecret, maxSecret)
	}
	for i := range len(rest) {
		c := rest[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("_-+/=", c) < 0 {
			return errors.New("webhook secret: a character that no secret has, perhaps a space or a quote")
		}
	}
	return nil
}
