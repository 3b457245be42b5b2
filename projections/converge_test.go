package projections_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
	"github.com/daybookhq/daybook/projections"
)

// told is one event of a stream, not yet recorded.
type told struct {
	stream eventstore.Stream
	kind   string
	data   []byte
}

// tell gathers what a story tells, instead of recording it.
func tell(t *testing.T, seed uint64, events int) []told {
	t.Helper()
	r := newRig(t)
	s := &story{rig: r, Rand: rand.New(rand.NewPCG(seed, 1))}
	r.adopt(strict())
	for range events {
		if s.IntN(3) == 0 {
			s.subscribed(fmt.Sprintf("sub_%d", s.IntN(25)), pick(s, fmt.Sprintf("account-%d", s.IntN(12)), "", ""),
				pick(s, aggregate.Active, aggregate.PastDue), "price_premium", begin)
			continue
		}
		s.object()
	}
	var all []told
	for e, err := range r.store.ReadAll(t.Context(), 0, eventstore.Forwards, eventstore.Filter{}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == "SomethingNewer" {
			continue
		}
		all = append(all, told{stream: e.Stream, kind: e.Type, data: e.Data})
		if s.IntN(10) == 0 {
			all = s.takenBack(all)
		}
	}
	return all
}

// takenBack adds that what was told last is out of force, if it is a fact.
func (s *story) takenBack(all []told) []told {
	s.t.Helper()
	last := all[len(all)-1]
	event, err := aggregate.Decode(last.kind, last.data)
	if err != nil || event.Fact == nil {
		return all
	}
	f := aggregate.Fact{Type: aggregate.Retracted, Key: event.Fact.Key, Epoch: 8, OccurredAt: event.Fact.OccurredAt, Retraction: &aggregate.Retraction{}}
	if s.IntN(2) == 0 {
		f.Type, f.Epoch, f.Retraction, f.Repudiation = aggregate.Repudiated, aggregate.RepudiatedEpoch, nil, &aggregate.Repudiation{Actor: "ann", Reason: "forged"}
	}
	data, err := aggregate.Encode(aggregate.Event{Fact: &f})
	if err != nil {
		s.t.Fatal(err)
	}
	return append(all, told{stream: last.stream, kind: string(f.Type), data: data})
}

// shuffled is another order of arrival: any, but that an operator's decisions on
// one account are taken one after the other.
func shuffled(all []told, random *rand.Rand) []told {
	decided := func(e told) bool { return e.stream.Category() == string(projections.KindAccount) }
	next := slices.Clone(all)
	random.Shuffle(len(next), func(i, j int) { next[i], next[j] = next[j], next[i] })
	var decisions []told
	for _, e := range all {
		if decided(e) {
			decisions = append(decisions, e)
		}
	}
	for i := range next {
		if decided(next[i]) {
			next[i], decisions = decisions[0], decisions[1:]
		}
	}
	return next
}

// sayings is what a model says of every account, but for places in the log and
// for when it was asked.
func (r *rig) sayings() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	for i := range 12 {
		r.say(all, fmt.Sprintf("account-%d", i))
	}
	for i := range 25 {
		r.say(all, fmt.Sprintf("cus_sub_%d", i))
	}
	return all
}

func (r *rig) say(all map[string]string, account string) {
	r.t.Helper()
	record, known, err := r.model.Account(r.t.Context(), account)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := range record.Subscriptions {
		record.Subscriptions[i].Position = 0
	}
	e := r.entitlement(account)
	e.Position, e.AsOf = 0, begin
	said, err := json.MarshalIndent([]any{known, record, e}, "", " ")
	if err != nil {
		r.t.Fatal(err)
	}
	all[account] = string(said)
}

// Whatever arrives in whatever order, the accounts end up the same.
func TestAccountsConvergeInEveryOrder(t *testing.T) {
	for seed := range uint64(4) {
		all := tell(t, seed, 120)
		random := rand.New(rand.NewPCG(seed, 2))
		var want map[string]string
		for round := range 4 {
			order := all
			if round > 0 {
				order = shuffled(all, random)
			}
			r := newRig(t)
			r.start()
			for i, e := range order {
				r.appendRaw(e.stream, e.kind, e.data)
				if random.IntN(10) == 0 || i == len(order)-1 {
					r.settle()
				}
			}
			got := r.sayings()
			r.sameAsRebuilt()
			r.close()
			if want == nil {
				want = got
				continue
			}
			for account := range want {
				if got[account] != want[account] {
					t.Errorf("seed %d, round %d: %s\nfirst %s\nthen %s", seed, round, account, want[account], got[account])
				}
			}
		}
	}
}
