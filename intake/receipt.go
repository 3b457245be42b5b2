package intake

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// SourceWebhook is the source of what Stripe delivered to the webhook route.
// Other sources have other names; an entry without a valid signature must have
// one of those.
const SourceWebhook = "stripe-webhook"

// Receipt is the metadata of a journal entry: how, when and from where it came.
type Receipt struct {
	eventstore.Metadata
	// ReceivedAt is our clock when the delivery came in.
	ReceivedAt time.Time `json:"received_at"`
	// EventCreated is Stripe's time of the event.
	EventCreated time.Time `json:"event_created"`
	APIVersion   string    `json:"api_version,omitempty"`
	Livemode     bool      `json:"livemode"`
	// Account is the connected account, empty for the platform's own events.
	Account string `json:"account,omitempty"`
	// Source is SourceWebhook or another source's name.
	Source string `json:"source"`
	// Secret is the fingerprint of the secret that the signature was valid
	// for, empty if the entry was not signed.
	Secret string `json:"secret,omitempty"`
}

// Signed reports whether the entry came with a valid signature.
func (r Receipt) Signed() bool { return r.Secret != "" }

// DecodeReceipt reads the metadata of a journal entry.
func DecodeReceipt(metadata []byte) (Receipt, error) {
	var r Receipt
	if err := json.Unmarshal(metadata, &r); err != nil {
		return Receipt{}, fmt.Errorf("decode receipt: %w", err)
	}
	return r, nil
}
