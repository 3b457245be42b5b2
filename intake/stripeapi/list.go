package stripeapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/stripe/stripe-go/v76/form"
)

// pageSize is the most that Stripe gives at once.
const pageSize = 100

// maxRestarts bounds how often in a row a list may lose its place.
const maxRestarts = 5

// Range bounds the time at which objects were created, both ends included; a
// zero end is open.
type Range struct{ From, Until time.Time }

// Place is where a list goes on: behind an object. Created leads back there once
// that object is gone.
type Place struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
}

// Listing says what to list.
type Listing struct {
	Resource
	Created Range
	// Where narrows the list by further parameters, as in "status".
	Where map[string]string
	// After is where an earlier listing stopped; zero begins at the newest.
	After Place
	// Limit is the size of a page, 0 for the most that Stripe gives.
	Limit int

	// query is in Stripe's search query language: the resource is searched, for one
	// page, and not listed.
	query string
}

// Page is one page of a list.
type Page struct {
	Objects []Object
	// Next is where the list goes on behind this page.
	Next Place
	// Last says that nothing follows.
	Last bool
	// AskedAt is the second of the question, by Stripe's clock.
	AskedAt time.Time
}

// List pages through a list, the newest object first. What is created meanwhile
// is not in it; what changes may be shown before or after. An object from which
// the list was to go on may be gone by then: the list goes on at the second in
// which it was created, so that nothing is left out, and something may come
// twice. An error ends the list.
func (c *Client) List(ctx context.Context, l Listing) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		restarts := 0
		for {
			page, err := c.page(ctx, l)
			if IsKind(err, CursorExpired) && restarts < maxRestarts && !l.After.Created.IsZero() {
				restarts++
				l.Created.Until, l.After.ID = l.After.Created, ""
				continue
			}
			if err != nil {
				yield(Page{}, err)
				return
			}
			if len(page.Objects) > 0 && !page.Next.Created.Equal(l.After.Created) {
				restarts = 0 // the list moves on
			}
			if !yield(page, nil) || page.Last {
				return
			}
			l.After = page.Next
		}
	}
}

// page fetches one page.
func (c *Client) page(ctx context.Context, l Listing) (Page, error) {
	path, kind, doing := l.Path, "list", l.listing()
	if l.query != "" {
		path, kind, doing = l.Path+"/search", "search_result", l.searching()
	}
	got, err := c.ask(ctx, request{method: http.MethodGet, path: path, form: l.form(), doing: doing})
	if err != nil {
		return Page{}, err
	}
	page := Page{AskedAt: got.askedAt, Next: l.After}
	var list struct {
		Object  string            `json:"object"`
		Data    []json.RawMessage `json:"data"`
		HasMore bool              `json:"has_more"`
	}
	if err := json.Unmarshal(got.body, &list); err != nil || list.Object != kind {
		return Page{}, &Error{Kind: Unreadable, Doing: doing}
	}
	page.Last = !list.HasMore || len(list.Data) == 0
	for _, raw := range list.Data {
		object, err := c.object(raw, got.askedAt, doing)
		if err != nil {
			return Page{}, err
		}
		page.Objects = append(page.Objects, object)
		page.Next = Place{ID: object.ID, Created: object.Created}
	}
	return page, nil
}

func (l *Listing) form() *form.Values {
	f := &form.Values{}
	f.Add("limit", strconv.Itoa(cmp.Or(l.Limit, pageSize)))
	for name, value := range l.Where {
		f.Add(name, value)
	}
	if !l.Created.From.IsZero() {
		f.Add("created[gte]", strconv.FormatInt(l.Created.From.Unix(), 10))
	}
	if !l.Created.Until.IsZero() {
		f.Add("created[lte]", strconv.FormatInt(l.Created.Until.Unix(), 10))
	}
	if l.query != "" {
		f.Add("query", l.query)
	}
	if l.After.ID != "" {
		f.Add("starting_after", l.After.ID)
	}
	return f
}

// Fetch returns one object. An object that is gone, or never was, is an error of
// the kind NotFound; a customer that was deleted is an object that says so.
func (c *Client) Fetch(ctx context.Context, r Resource, id string) (Object, error) {
	doing := r.fetching(id)
	got, err := c.ask(ctx, request{method: http.MethodGet, path: r.at(id), doing: doing})
	if err != nil {
		return Object{}, err
	}
	return c.object(got.body, got.askedAt, doing)
}

// Check asks for one object of each resource, and so finds out whether the key
// may list them and is of the right mode, before anything is begun. It returns
// the present second by Stripe's clock. The error joins an *Error for each
// resource that may not be listed.
func (c *Client) Check(ctx context.Context, resources ...Resource) (now time.Time, err error) {
	var faults []error
	for _, r := range resources {
		page, err := c.page(ctx, Listing{Resource: r, Limit: 1})
		if err == nil {
			now = page.AskedAt
			continue
		}
		if faults = append(faults, err); !IsKind(err, Forbidden) {
			break // what is wrong with one is wrong with all
		}
	}
	return now, errors.Join(faults...)
}
