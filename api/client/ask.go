package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"github.com/daybookhq/daybook/aggregate"
)

// Entitlement is what an account may do. It holds until ValidUntil.
type Entitlement = aggregate.Entitlement

// Limit is how many of something; Unlimited is one without end.
type Limit = aggregate.Limit

// Unlimited is a Limit without end.
const Unlimited = aggregate.Unlimited

// Feature is the answer whether an account may use a feature. What would give it
// (RequiredTier, UpgradeURL) is told of what is denied, if the API could be asked.
type Feature struct {
	aggregate.Feature
	// Unknown is why nothing is known of the account, nil if something is. Allowed
	// is then what the policy says. It is ErrUnknown.
	Unknown error `json:"-"`
}

// Check is the answer to many features and limits at once.
type Check struct {
	Account string `json:"account"`
	// Allowed says that all of it is.
	Allowed  bool                   `json:"allowed"`
	Tier     string                 `json:"tier"`
	Reason   aggregate.Reason       `json:"reason"`
	Features []aggregate.Feature    `json:"features"`
	Limits   []aggregate.LimitCheck `json:"limits"`
	// Unknown is as in Feature.
	Unknown error `json:"-"`
}

// Entitlement returns what an account may do. Where nothing is known the error is
// ErrUnknown, whatever the policy: no policy makes an entitlement.
func (c *Client) Entitlement(ctx context.Context, account string) (Entitlement, error) {
	var told Entitlement
	held, err := c.ask(ctx, account, func(*Entitlement) bool { return true }, func() error {
		return c.get(ctx, &told, account)
	})
	if held != nil {
		return *held, nil
	}
	return told, err
}

// Feature returns whether an account may use a feature. The error tells of a
// mistake, or that ctx was cancelled; where nothing is known the policy answers.
func (c *Client) Feature(ctx context.Context, account, feature string) (Feature, error) {
	if feature == "" {
		return Feature{}, fmt.Errorf("%w: it names no feature", ErrInvalid)
	}
	var told Feature
	held, err := c.ask(ctx, account, func(e *Entitlement) bool { return slices.Contains(e.Features, feature) }, func() error {
		return c.get(ctx, &told, account, "features", feature)
	})
	switch {
	case held != nil:
		return Feature{Feature: featureOf(held, feature)}, nil
	case errors.Is(err, ErrUnknown):
		return Feature{Feature: c.assumed(account, feature), Unknown: err}, nil
	}
	return told, err
}

// Check returns whether an account may use features and have so many of what. It
// asks for at least one name, and at most 200. The error is as that of Feature.
func (c *Client) Check(ctx context.Context, account string, features []string, limits map[string]Limit) (Check, error) {
	if len(features)+len(limits) == 0 {
		return Check{}, fmt.Errorf("%w: it names no feature and no limit", ErrInvalid)
	}
	var told Check
	held, err := c.ask(ctx, account, func(e *Entitlement) bool { return checkOf(e, features, limits).Allowed }, func() error {
		return c.post(ctx, &told, account, map[string]any{"account": account, "features": features, "limits": limits}, "check")
	})
	switch {
	case held != nil:
		return checkOf(held, features, limits), nil
	case errors.Is(err, ErrUnknown):
		return c.assumedCheck(account, features, limits, err), nil
	}
	return told, err
}

// ask finds out about an account: by its entry in Redis if that suffices, else by
// the API. What it returns is the entry if that is the answer; nil, and no error,
// if the API gave it.
func (c *Client) ask(ctx context.Context, account string, suffices func(*Entitlement) bool, api func() error) (*Entitlement, error) {
	if !aggregate.ValidAccount(account) {
		return nil, fmt.Errorf("%w: %q cannot name an account", ErrInvalid, account)
	}
	held, missing := c.published(ctx, account)
	if held != nil && suffices(held) {
		return held, nil
	}
	err := api()
	switch {
	case err == nil:
		return nil, nil
	case errors.Is(ctx.Err(), context.Canceled): // nobody waits for an answer
		return nil, err
	case !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrStale):
		return nil, err
	case held != nil:
		return held, nil
	}
	if missing != nil {
		err = fmt.Errorf("%w; %w", missing, err)
	}
	err = fmt.Errorf("%w %q: %w", ErrUnknown, account, err)
	c.report(ctx, err)
	return nil, err
}

// featureOf is what an entitlement says of a feature.
func featureOf(e *Entitlement, name string) aggregate.Feature {
	return aggregate.Feature{Account: e.Account, Feature: name, Allowed: slices.Contains(e.Features, name), Reason: e.Reason, CurrentTier: e.Tier}
}

// checkOf is what an entitlement says of features and limits.
func checkOf(e *Entitlement, features []string, limits map[string]Limit) Check {
	check := Check{Account: e.Account, Allowed: true, Tier: e.Tier, Reason: e.Reason}
	for _, name := range features {
		answer := featureOf(e, name)
		check.Features = append(check.Features, answer)
		check.Allowed = check.Allowed && answer.Allowed
	}
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		maximum, has := e.Limits[name]
		answer := aggregate.LimitCheck{Limit: name, Wanted: limits[name], Maximum: maximum, Reason: e.Reason, CurrentTier: e.Tier,
			Allowed: has && limits[name] <= maximum && e.Source != aggregate.FromBlocked}
		check.Limits = append(check.Limits, answer)
		check.Allowed = check.Allowed && answer.Allowed
	}
	return check
}

// assumed is what the policy says of a feature.
func (c *Client) assumed(account, feature string) aggregate.Feature {
	return aggregate.Feature{Account: account, Feature: feature, Allowed: c.policy == FailOpen}
}

// assumedCheck is what the policy says of features and limits.
func (c *Client) assumedCheck(account string, features []string, limits map[string]Limit, why error) Check {
	check := Check{Account: account, Allowed: c.policy == FailOpen, Unknown: why}
	for _, name := range features {
		check.Features = append(check.Features, c.assumed(account, name))
	}
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		check.Limits = append(check.Limits, aggregate.LimitCheck{Limit: name, Wanted: limits[name], Allowed: check.Allowed})
	}
	return check
}

// pathOf is the path of a question, each part encoded.
func pathOf(parts ...string) string {
	path := "/v1/entitlements"
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}
