package stripeapi

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v76/form"
)

// Endpoint is a webhook endpoint: where Stripe sends which events.
type Endpoint struct {
	ID  string `json:"id"`
	URL string `json:"url"`
	// Status is "enabled" or "disabled".
	Status string `json:"status"`
	// APIVersion renders the events; empty for the account's default.
	APIVersion string `json:"api_version"`
	// EnabledEvents are the types that are sent; "*" stands for nearly all.
	EnabledEvents []string `json:"enabled_events"`
	// Secret signs the events. Stripe tells it once, when the endpoint is made.
	Secret string `json:"secret,omitempty"`
}

// Endpoints lists the account's webhook endpoints.
func (c *Client) Endpoints(ctx context.Context) ([]Endpoint, error) {
	var all []Endpoint
	for page, err := range c.List(ctx, Listing{Resource: Endpoints}) {
		if err != nil {
			return nil, err
		}
		for _, o := range page.Objects {
			e, err := decodeEndpoint(o.Raw, Endpoints.listing())
			if err != nil {
				return nil, err
			}
			all = append(all, e)
		}
	}
	return all, nil
}

// CreateEndpoint makes an endpoint that is sent the types, rendered in an API
// version.
func (c *Client) CreateEndpoint(ctx context.Context, url, version string, types []string) (Endpoint, error) {
	const doing = "create a webhook endpoint"
	f := &form.Values{}
	f.Add("url", url)
	f.Add("api_version", version)
	f.Add("description", "Daybook")
	for _, t := range types {
		f.Add("enabled_events[]", t)
	}
	made, err := c.create(ctx, request{path: Endpoints.Path, form: f, idempotencyKey: uuid.NewString(), doing: doing})
	if err != nil {
		return Endpoint{}, err
	}
	return decodeEndpoint(made.Raw, doing)
}

func decodeEndpoint(raw []byte, doing string) (Endpoint, error) {
	var e Endpoint
	if err := json.Unmarshal(raw, &e); err != nil || e.URL == "" {
		return Endpoint{}, &Error{Kind: Unreadable, Doing: doing}
	}
	return e, nil
}
