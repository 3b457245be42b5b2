package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/daybookhq/daybook/cmd/daybook/config"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
)

// The bounds of the look for who signs.
const (
	signersSince  = 24 * time.Hour
	signersLook   = 1_000_000 // journal entries
	signersWithin = 15 * time.Second
)

// signersOfDay tells which secrets signed the webhooks of the last day.
type signersOfDay struct {
	// Since is how far the record was read.
	Since   time.Time `json:"since"`
	Secrets []signer  `json:"secrets"`
}

// signer is a signing secret.
type signer struct {
	// Fingerprint names the secret without telling it.
	Fingerprint string `json:"fingerprint"`
	// Configured says that webhooks signed by it are accepted.
	Configured bool `json:"configured"`
	// Webhooks counts what it signed; LastAt is when the last of these came.
	Webhooks int       `json:"webhooks"`
	LastAt   time.Time `json:"last_at,omitzero"`
}

// lookForSigners reads the record, if there is one. Secrets that no webhook can
// have been signed by, for the configuration is wrong, are not looked for.
func lookForSigners(ctx context.Context, cfg *config.Config, valid bool) (*signersOfDay, error) {
	if !valid {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, signersWithin)
	defer cancel()
	if err := storeExists(ctx, cfg); errors.Is(err, errNoStore) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	store, err := openStoreReader(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer store.Close() //nolint:errcheck // it was only read
	return readSigners(ctx, store, cfg.WebhookSecrets, systemClock())
}

// readSigners counts from the record's end back to a day ago, or as far as it
// may look.
func readSigners(ctx context.Context, store eventstore.Reader, configured []string, now time.Time) (*signersOfDay, error) {
	day := &signersOfDay{Since: now.Add(-signersSince).UTC()}
	found := map[string]*signer{}
	for _, secret := range configured {
		fingerprint := intake.Fingerprint(secret)
		found[fingerprint] = &signer{Fingerprint: fingerprint, Configured: true}
	}
	journal := eventstore.Filter{Prefixes: []string{intake.JournalCategory + "-"}}
	seen := 0
	for e, err := range store.ReadAll(ctx, eventstore.End, eventstore.Backwards, journal, signersLook) {
		if err != nil {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
		receipt, err := intake.DecodeReceipt(e.Metadata)
		if err != nil {
			return nil, err
		}
		if receipt.ReceivedAt.Before(day.Since) {
			break
		}
		if seen++; seen == signersLook {
			day.Since = receipt.ReceivedAt.UTC()
		}
		if !receipt.Signed() {
			continue
		}
		s := found[receipt.Secret]
		if s == nil {
			s = &signer{Fingerprint: receipt.Secret}
			found[receipt.Secret] = s
		}
		if s.Webhooks++; s.LastAt.Before(receipt.ReceivedAt) {
			s.LastAt = receipt.ReceivedAt.UTC()
		}
	}
	for _, s := range found {
		day.Secrets = append(day.Secrets, *s)
	}
	slices.SortFunc(day.Secrets, func(a, b signer) int {
		return cmp.Or(cmp.Compare(b.Webhooks, a.Webhooks), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return day, nil
}

func (d *signersOfDay) print(w io.Writer) error {
	if d == nil {
		return nil
	}
	fmt.Fprintf(w, "\nwebhooks recorded since %s, by the secret that signed them:\n", moment(d.Since))
	rows := newTable(w, "SECRET", "WEBHOOKS", "LAST", "")
	for _, s := range d.Secrets {
		note := ""
		if !s.Configured {
			note = "not configured any more"
		}
		rows.row("sha256:"+s.Fingerprint, s.Webhooks, moment(s.LastAt), note)
	}
	return rows.flush()
}
