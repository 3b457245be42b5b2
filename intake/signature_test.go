package intake_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/daybookhq/daybook/intake"
)

const (
	oldSecret = "whsec_old_secret_1"
	newSecret = "whsec_new_secret_2"
)

var clock = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func atClock() time.Time { return clock }

// sign returns the header that Stripe would send at a time.
func sign(body []byte, secret string, at time.Time) string {
	return webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: secret, Timestamp: at}).Header
}

func TestVerify(t *testing.T) {
	body := []byte(`{"id":"evt_1"}`)
	good := sign(body, newSecret, clock)
	stamp, signature, _ := strings.Cut(good, ",")
	foreign := sign(body, "whsec_of_another", clock)
	_, foreignSignature, _ := strings.Cut(foreign, ",")
	tests := []struct {
		name, header string
		want         intake.SignatureFault
	}{
		{"signed", good, ""},
		{"signed with the old secret", sign(body, oldSecret, clock), ""},
		{"second of two signatures", stamp + "," + foreignSignature + "," + signature, ""},
		{"other schemes beside it", good + ",v0=6ffbb59b,scheme=x", ""},
		{"v1 that is not hex beside it", stamp + ",v1=zz," + signature, ""},
		{"300 s ago", sign(body, newSecret, clock.Add(-300*time.Second)), ""},
		{"in 300 s", sign(body, newSecret, clock.Add(300*time.Second)), ""},
		{"301 s ago", sign(body, newSecret, clock.Add(-301*time.Second)), intake.SignatureStale},
		{"in 301 s", sign(body, newSecret, clock.Add(301*time.Second)), intake.SignatureFuture},
		{"nothing", "", intake.SignatureMissing},
		{"no time", signature, intake.SignatureMalformed},
		{"time only", stamp, intake.SignatureMalformed},
		{"time that is no number", "t=now," + signature, intake.SignatureMalformed},
		{"negative time", "t=-1," + signature, intake.SignatureMalformed},
		{"time beyond all bounds", "t=9223372036854775807," + signature, intake.SignatureMalformed},
		{"two times", stamp + "," + good, intake.SignatureMalformed},
		{"v0 only", stamp + ",v0=" + strings.TrimPrefix(signature, "v1="), intake.SignatureMalformed},
		{"part without a value", good + ",x", intake.SignatureMalformed},
		{"very long", good + strings.Repeat(",v1=00", 1000), intake.SignatureMalformed},
		{"another secret", foreign, intake.SignatureMismatch},
		{"another time", "t=1772366401," + signature, intake.SignatureMismatch},
		{"shorter signature", good[:len(good)-2], intake.SignatureMismatch},
		{"no signature that is hex", stamp + ",v1=zz", intake.SignatureMismatch},
	}
	v := intake.NewVerifier([]string{oldSecret, newSecret}, atClock)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fingerprint, err := v.Verify(body, tt.header)
			checkFault(t, err, tt.want)
			if known := fingerprint == intake.Fingerprint(newSecret) || fingerprint == intake.Fingerprint(oldSecret); err == nil && !known {
				t.Errorf("fingerprint %q", fingerprint)
			}
		})
	}
	_, err := v.Verify([]byte(`{"id":"evt_2"}`), good)
	checkFault(t, err, intake.SignatureMismatch)
}

func checkFault(t *testing.T, err error, want intake.SignatureFault) {
	t.Helper()
	if want == "" && err == nil {
		return
	}
	var got *intake.SignatureError
	if !errors.As(err, &got) || got.Kind != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestFingerprintTellsWhichSecret(t *testing.T) {
	body := []byte("{}")
	v := intake.NewVerifier([]string{oldSecret, newSecret}, atClock)
	for _, s := range []string{oldSecret, newSecret} {
		got, err := v.Verify(body, sign(body, s, clock))
		if err != nil || got != intake.Fingerprint(s) || len(got) != 8 {
			t.Errorf("%q, %v", got, err)
		}
	}
	if got := intake.Fingerprint("whsec_daybook_dev"); got != "e6aba25c" {
		t.Errorf("fingerprint %q: receipts hold these", got)
	}
}

func TestNoSecretsAcceptNothing(t *testing.T) {
	body := []byte("{}")
	for _, secrets := range [][]string{nil, {""}} {
		_, err := intake.NewVerifier(secrets, atClock).Verify(body, sign(body, "", clock))
		checkFault(t, err, intake.SignatureMismatch)
	}
}

func TestSetSecretsWhileVerifying(t *testing.T) {
	body := []byte("{}")
	header := sign(body, newSecret, clock)
	v := intake.NewVerifier([]string{newSecret}, atClock)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if _, err := v.Verify(body, header); err != nil {
					t.Errorf("a secret that is in both sets: %v", err)
					return
				}
				v.SetSecrets([]string{oldSecret, newSecret})
			}
		})
	}
	wg.Wait()
	v.SetSecrets([]string{oldSecret})
	_, err := v.Verify(body, header)
	checkFault(t, err, intake.SignatureMismatch)
}

func TestSignatureErrorsTellNothing(t *testing.T) {
	body := []byte("{}")
	header := sign(body, "whsec_of_another", clock)
	_, err := intake.NewVerifier([]string{newSecret}, atClock).Verify(body, header)
	_, signature, _ := strings.Cut(header, "v1=")
	if text := fmt.Sprintf("%+v", err); strings.Contains(text, newSecret) || strings.Contains(text, signature) {
		t.Error("an error quotes a secret or a signature")
	}
}

func TestValidSecret(t *testing.T) {
	for _, s := range []string{"whsec_daybook_dev", "whsec_" + strings.Repeat("aB3", 20), "whsec_abc+/def="} {
		if err := intake.ValidSecret(s); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []string{
		"", "whsec_", "whsec_short", "sk_test_daybook_dev", "WHSEC_daybook_dev", " whsec_daybook_dev",
		"whsec_daybook dev", "whsec_daybook\ndev", `"whsec_daybook_dev"`, "whsec_daybook_dév", "whsec_" + strings.Repeat("a", 257),
	} {
		err := intake.ValidSecret(s)
		if err == nil {
			t.Errorf("accepted %q", s)
		} else if len(s) > 8 && strings.Contains(err.Error(), s[6:]) {
			t.Errorf("%v: quotes the secret", err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	body := []byte("{}")
	good := sign(body, newSecret, clock)
	f.Add(good)
	f.Add("t=1,v1=00,v0=00")
	f.Add("t=1,t=2,v1=")
	f.Add(",=,t==,v1")
	v := intake.NewVerifier([]string{oldSecret, newSecret}, atClock)
	f.Fuzz(func(t *testing.T, header string) {
		_, err := v.Verify(body, header)
		var fault *intake.SignatureError
		if err != nil && !errors.As(err, &fault) {
			t.Fatal(err)
		}
		_, signature, _ := strings.Cut(good, "v1=")
		if err == nil && !strings.Contains(strings.ToLower(header), signature) {
			t.Fatalf("accepted %q", header)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	body := readFixture(b, "testdata/fixtures/events/2022-11-15/invoice.paid--hookdeck_webhook-samples--1.json")
	header := sign(body, newSecret, clock)
	v := intake.NewVerifier([]string{newSecret}, atClock)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(body, header); err != nil {
			b.Fatal(err)
		}
	}
}
