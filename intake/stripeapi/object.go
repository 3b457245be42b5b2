package stripeapi

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"
)

// Resource is a kind of object, and where the API has it.
type Resource struct {
	// Kind is what Stripe writes in the member "object".
	Kind string
	// Path is where it is listed.
	Path string
	// Name is for people, in the plural.
	Name string
}

// The resources that are asked for.
var (
	Subscriptions = Resource{"subscription", "/v1/subscriptions", "subscriptions"}
	Customers     = Resource{"customer", "/v1/customers", "customers"}
	Invoices      = Resource{"invoice", "/v1/invoices", "invoices"}
	Sessions      = Resource{"checkout.session", "/v1/checkout/sessions", "checkout sessions"}
	Events        = Resource{"event", "/v1/events", "events"}
	Products      = Resource{"product", "/v1/products", "products"}
	Prices        = Resource{"price", "/v1/prices", "prices"}
	Endpoints     = Resource{"webhook_endpoint", "/v1/webhook_endpoints", "webhook endpoints"}
)

// at is the path of one object.
func (r Resource) at(id string) string { return r.Path + "/" + url.PathEscape(id) }

// Object is one object as Stripe answered with it.
type Object struct {
	ID   string
	Kind string
	// Created is when Stripe made the object.
	Created time.Time
	// AskedAt is when it was asked for, by Stripe's clock and in whole seconds:
	// whatever Stripe did before that second is in the object, and what it did in
	// that second or later may not be.
	AskedAt time.Time
	// Raw is the object's JSON, byte by byte.
	Raw []byte
}

// head is what is read of every object.
type head struct {
	ID       string `json:"id"`
	Object   string `json:"object"`
	Created  int64  `json:"created"`
	Livemode *bool  `json:"livemode"`
}

// object reads the head of an object, and refuses one of the other mode.
func (c *Client) object(raw []byte, askedAt time.Time, doing string) (Object, error) {
	var h head
	if err := json.Unmarshal(raw, &h); err != nil || h.ID == "" {
		return Object{}, &Error{Kind: Unreadable, Doing: doing}
	}
	if h.Livemode != nil && *h.Livemode != c.live {
		return Object{}, &Error{Kind: WrongMode, Doing: doing, live: c.live}
	}
	return Object{ID: h.ID, Kind: h.Object, Created: time.Unix(h.Created, 0).UTC(), AskedAt: askedAt, Raw: raw}, nil
}

func (r Resource) listing() string { return "list " + r.Name }

func (r Resource) searching() string { return "search " + r.Name }

func (r Resource) fetching(id string) string { return fmt.Sprintf("fetch %s %s", r.Kind, id) }
