package reconcile

import (
	"context"
	"math/rand/v2"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/intake"
	"github.com/daybookhq/daybook/intake/stripeapi"
)

// Verification says what is to be compared with Stripe, and by what.
type Verification struct {
	API        *stripeapi.Client
	Store      eventstore.Reader
	Translator *intake.Translator
	Catalogs   func() aggregate.Catalogs
	Ours       Ours
	Livemode   bool
	// Sample is how many subscriptions are compared, chosen at random; 0 for all
	// that are not over.
	Sample int
	// Progress is told how many of how many are done.
	Progress func(done, total int64)
}

// Verified is what came of it.
type Verified struct {
	Compared   int               `json:"compared"`
	Differing  []DifferingObject `json:"differing"`
	Unknown    []string          `json:"unknown_to_stripe"`
	Unreadable []Unreadable      `json:"unreadable"`
}

// Verify compares what is true here with Stripe's own answer, field by field. It
// records nothing.
func Verify(ctx context.Context, v Verification) (Verified, error) {
	out := Verified{Differing: []DifferingObject{}, Unknown: []string{}, Unreadable: []Unreadable{}}
	if _, err := v.API.Check(ctx, stripeapi.Subscriptions); err != nil {
		return out, err
	}
	ids, err := v.Ours.Live(ctx)
	if err != nil {
		return out, err
	}
	if v.Sample > 0 && v.Sample < len(ids) {
		rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		ids = ids[:v.Sample]
	}
	for i, id := range ids {
		if err := v.compare(ctx, id, &out); err != nil {
			return out, err
		}
		v.Progress(int64(i)+1, int64(len(ids)))
	}
	return out, nil
}

func (v *Verification) compare(ctx context.Context, id string, out *Verified) error {
	o, err := v.API.Fetch(ctx, stripeapi.Subscriptions, id)
	if stripeapi.IsKind(err, stripeapi.NotFound) {
		out.Unknown = append(out.Unknown, id)
		return nil
	}
	if err != nil {
		return err
	}
	facts, err := v.Translator.Observe(intake.Observation{Kind: o.Kind, ObjectID: id, Livemode: v.Livemode, AskedAt: o.AskedAt, Raw: o.Raw})
	if err != nil || len(facts) != 1 {
		out.Unreadable = append(out.Unreadable, Unreadable{ID: id, Reason: reasonOf(err)})
		return nil
	}
	ours, err := fold(ctx, v.Store, facts[0].Stream)
	if err != nil {
		return err
	}
	out.Compared++
	if differing := ours.differences(asked(facts[0].Fact), v.Catalogs()); len(differing) > 0 {
		out.Differing = append(out.Differing, DifferingObject{Kind: o.Kind, ID: id, Differences: differing})
	}
	return nil
}

func reasonOf(err error) string {
	if err == nil {
		return "it states nothing"
	}
	return err.Error()
}

// asked is a fact that has no other name until it is recorded.
func asked(f aggregate.Fact) aggregate.Fact {
	f.Key.StripeEventID = "asked"
	return f
}
