package aggregate_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

const why = "a partner of ours"

func granted(id, tier string, until time.Time) aggregate.Decision {
	return aggregate.Decision{Type: aggregate.WaiverGranted, DecidedAt: day0, Actor: "ops", Reason: why, Waiver: id, Tier: tier, Until: until}
}

func decided(t aggregate.DecisionType, d aggregate.Decision) aggregate.Decision {
	d.Type, d.DecidedAt, d.Actor, d.Reason = t, day0, "ops", why
	return d
}

// accountOf folds decisions, at the positions 1, 2, and so on.
func accountOf(decisions ...aggregate.Decision) *aggregate.Account {
	a := aggregate.NewAccount("team-42")
	for i := range decisions {
		a.Evolve(aggregate.Event{Decision: &decisions[i]}, aggregate.Place{Position: uint64(i + 1)})
	}
	return a
}

var (
	grant   = aggregate.GrantWaiver{ID: "w_1", Tier: "premium", Reason: why, ExpiresAt: at(30 * day), Actor: "ops"}
	revoke  = aggregate.RevokeWaiver{ID: "w_1", Reason: why, Actor: "ops"}
	block   = aggregate.BlockAccount{Reason: why, Actor: "ops"}
	unblock = aggregate.UnblockAccount{Reason: why, Actor: "ops"}
	extend  = aggregate.ExtendGrace{Until: at(9 * day), Reason: why, Actor: "ops"}
)

func TestCommandsOnAnAccount(t *testing.T) {
	theWaiver := granted("w_1", "premium", at(30*day))
	revoked := decided(aggregate.WaiverRevoked, aggregate.Decision{Waiver: "w_1"})
	blocked := decided(aggregate.AccountBlocked, aggregate.Decision{})
	unblocked := decided(aggregate.AccountUnblocked, aggregate.Decision{})
	extended := decided(aggregate.GraceExtended, aggregate.Decision{Until: at(9 * day)})
	forEver := grant
	forEver.ExpiresAt = time.Time{}
	spaced := grant
	spaced.Reason = "  " + why + " "
	elsewhere := grant
	elsewhere.ExpiresAt = grant.ExpiresAt.In(time.FixedZone("", 3600))
	later := extend
	later.Until = at(10 * day)
	free := grant
	free.Tier = "starter"

	for name, test := range map[string]struct {
		given []aggregate.Decision
		when  aggregate.Command
		then  []aggregate.Decision
	}{
		"a waiver":                         {nil, grant, []aggregate.Decision{theWaiver}},
		"a waiver without end":             {nil, forEver, []aggregate.Decision{granted("w_1", "premium", time.Time{})}},
		"a waiver of the free tier":        {nil, free, []aggregate.Decision{granted("w_1", "starter", at(30*day))}},
		"a reason is trimmed":              {nil, spaced, []aggregate.Decision{theWaiver}},
		"an end is kept in UTC":            {nil, elsewhere, []aggregate.Decision{theWaiver}},
		"a second waiver":                  {[]aggregate.Decision{granted("w_0", "basic", time.Time{})}, grant, []aggregate.Decision{theWaiver}},
		"the same waiver again":            {[]aggregate.Decision{theWaiver}, grant, nil},
		"the same waiver after its end":    {[]aggregate.Decision{theWaiver, revoked}, grant, nil},
		"the same waiver, told in spaces":  {[]aggregate.Decision{theWaiver}, spaced, nil},
		"the same waiver, in another zone": {[]aggregate.Decision{theWaiver}, elsewhere, nil},
		"a revocation":                     {[]aggregate.Decision{theWaiver}, revoke, []aggregate.Decision{revoked}},
		"a revocation again":               {[]aggregate.Decision{theWaiver, revoked}, revoke, nil},
		"a block":                          {nil, block, []aggregate.Decision{blocked}},
		"a block again":                    {[]aggregate.Decision{blocked}, block, nil},
		"a block after an unblocking":      {[]aggregate.Decision{blocked, unblocked}, block, []aggregate.Decision{blocked}},
		"an unblocking":                    {[]aggregate.Decision{blocked}, unblock, []aggregate.Decision{unblocked}},
		"an unblocking of what is free":    {nil, unblock, nil},
		"an extension":                     {nil, extend, []aggregate.Decision{extended}},
		"the same extension again":         {[]aggregate.Decision{extended}, extend, nil},
		"an extension of the extension": {[]aggregate.Decision{extended}, later,
			[]aggregate.Decision{decided(aggregate.GraceExtended, aggregate.Decision{Until: at(10 * day)})}},
	} {
		events, err := accountOf(test.given...).Decide(test.when, builtin(), day0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []aggregate.Decision
		for _, e := range events {
			got = append(got, *e.Decision)
		}
		if !reflect.DeepEqual(got, test.then) {
			t.Errorf("%s: decided %+v\nwant %+v", name, got, test.then)
		}
	}
}

func TestCommandsThatContradictWhatWasDecided(t *testing.T) {
	given := granted("w_1", "premium", at(30*day))
	for name, test := range map[string]struct {
		when aggregate.Command
		want error
	}{
		"another tier":   {aggregate.GrantWaiver{ID: "w_1", Tier: "basic", Reason: why, ExpiresAt: at(30 * day), Actor: "ops"}, aggregate.ErrWaiverDiffers},
		"another reason": {aggregate.GrantWaiver{ID: "w_1", Tier: "premium", Reason: "some other reason", ExpiresAt: at(30 * day), Actor: "ops"}, aggregate.ErrWaiverDiffers},
		"another end":    {aggregate.GrantWaiver{ID: "w_1", Tier: "premium", Reason: why, Actor: "ops"}, aggregate.ErrWaiverDiffers},
		"no such waiver": {aggregate.RevokeWaiver{ID: "w_2", Reason: why, Actor: "ops"}, aggregate.ErrNoWaiver},
	} {
		if events, err := accountOf(given).Decide(test.when, builtin(), day0); !errors.Is(err, test.want) || len(events) != 0 {
			t.Errorf("%s: decided %v, error %v, want %v", name, events, err, test.want)
		}
	}
}

func TestBadCommandsNameEveryFault(t *testing.T) {
	extended := decided(aggregate.GraceExtended, aggregate.Decision{Until: at(9 * day)})
	for name, test := range map[string]struct {
		when   aggregate.Command
		fields []string
	}{
		"nothing in it":       {aggregate.GrantWaiver{}, []string{"reason", "actor", "id", "tier"}},
		"nothing right in it": {aggregate.GrantWaiver{Tier: "platinum", Reason: "short", ExpiresAt: at(-1)}, []string{"reason", "actor", "id", "tier", "expires_at"}},
		"a grace of nothing":  {aggregate.ExtendGrace{}, []string{"reason", "actor", "until"}},
		"no such tier":        {aggregate.GrantWaiver{ID: "w", Tier: "platinum", Reason: why, Actor: "ops"}, []string{"tier"}},
		"an end that is past": {aggregate.GrantWaiver{ID: "w", Tier: "", Reason: why, Actor: "ops", ExpiresAt: at(-1)}, []string{"tier", "expires_at"}},
		"an end that is now":  {aggregate.GrantWaiver{ID: "w", Tier: "basic", Reason: why, Actor: "ops", ExpiresAt: day0}, []string{"expires_at"}},
		"an end beyond RFC 3339": {aggregate.GrantWaiver{ID: "w", Tier: "basic", Reason: why, Actor: "ops",
			ExpiresAt: time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600))}, []string{"expires_at"}},
		"a short reason":        {aggregate.BlockAccount{Reason: " 9 letters ", Actor: "ops"}, []string{"reason"}},
		"a long reason":         {aggregate.BlockAccount{Reason: strings.Repeat("ä", 501), Actor: "ops"}, []string{"reason"}},
		"a reason of two lines": {aggregate.UnblockAccount{Reason: "one line\nand another", Actor: "ops"}, []string{"reason"}},
		"a reason of no text":   {aggregate.UnblockAccount{Reason: "0123456789\xff", Actor: "ops"}, []string{"reason"}},
		"nobody":                {aggregate.RevokeWaiver{ID: "w_1", Reason: why}, []string{"actor"}},
		"an odd actor":          {aggregate.RevokeWaiver{ID: "w_1", Reason: why, Actor: "a\x00b"}, []string{"actor"}},
		"no end of grace":       {aggregate.ExtendGrace{Reason: why, Actor: "ops"}, []string{"until"}},
		"an earlier grace":      {aggregate.ExtendGrace{Until: at(9*day - 1), Reason: why, Actor: "ops"}, []string{"until"}},
	} {
		events, err := accountOf(extended).Decide(test.when, builtin(), day0)
		var fields []string
		for _, fault := range aggregate.CommandErrors(err) {
			fields = append(fields, fault.Field)
		}
		if !slices.Equal(fields, test.fields) || len(events) != 0 {
			t.Errorf("%s: faults of %v (%v), want %v", name, fields, err, test.fields)
		}
	}
	past := aggregate.ExtendGrace{Until: at(-day), Reason: why, Actor: "ops"}
	if _, err := accountOf().Decide(past, builtin(), day0); len(aggregate.CommandErrors(err)) != 1 {
		t.Errorf("grace until a time that is past: %v", err)
	}
	if _, err := aggregate.NewAccount("").Decide(block, builtin(), day0); len(aggregate.CommandErrors(err)) != 1 {
		t.Errorf("an account without a name: %v", err)
	}
	if got := aggregate.CommandErrors(aggregate.ErrNoWaiver); got != nil {
		t.Errorf("an error that is no bad input: %v", got)
	}
}

func TestReasonsAtTheirBounds(t *testing.T) {
	for _, reason := range []string{"10 letters", strings.Repeat("ä", 500)} {
		if _, err := accountOf().Decide(aggregate.BlockAccount{Reason: reason, Actor: "ops"}, builtin(), day0); err != nil {
			t.Errorf("%d bytes: %v", len(reason), err)
		}
	}
}

func TestTheTruthOfAnAccount(t *testing.T) {
	a := accountOf(
		granted("w_1", "premium", at(30*day)),
		granted("w_2", "basic", time.Time{}),
		decided(aggregate.WaiverRevoked, aggregate.Decision{Waiver: "w_2"}),
		decided(aggregate.WaiverRevoked, aggregate.Decision{Waiver: "w_9"}),
		decided(aggregate.GraceExtended, aggregate.Decision{Until: at(2 * day)}),
		decided(aggregate.GraceExtended, aggregate.Decision{Until: at(day)}),
		decided(aggregate.AccountBlocked, aggregate.Decision{}),
	)
	want := aggregate.AccountTruth{Account: "team-42", Position: 7, GraceUntil: at(2 * day),
		Block: &aggregate.Block{Reason: why, BlockedBy: "ops", BlockedAt: day0},
		Waivers: []aggregate.Waiver{
			{ID: "w_1", Tier: "premium", Reason: why, GrantedBy: "ops", GrantedAt: day0, ExpiresAt: at(30 * day)},
			{ID: "w_2", Tier: "basic", Reason: why, GrantedBy: "ops", GrantedAt: day0, RevokedAt: day0, RevokedBy: "ops", RevokedReason: why},
		}}
	if got := a.Truth(); !reflect.DeepEqual(got, want) {
		t.Errorf("truth %+v\nwant %+v", got, want)
	}
	a.Truth().Waivers[0].Tier = "elite"
	if a.Truth().Waivers[0].Tier != "premium" {
		t.Error("what Truth returned is the account's own memory")
	}
}

// TestWhatIsDecidedFirstStands: where two recorded the same decision, the second
// changes nothing.
func TestWhatIsDecidedFirstStands(t *testing.T) {
	decisions := []aggregate.Decision{
		granted("w_1", "premium", at(30*day)),
		decided(aggregate.WaiverRevoked, aggregate.Decision{Waiver: "w_1"}),
		decided(aggregate.AccountBlocked, aggregate.Decision{}),
	}
	twice := slices.Clone(decisions)
	for _, d := range decisions {
		d.DecidedAt, d.Actor = at(day), "somebody else"
		twice = append(twice, d)
	}
	want, got := accountOf(decisions...).Truth(), accountOf(twice...).Truth()
	if want.Position = 6; !reflect.DeepEqual(got, want) {
		t.Errorf("truth %+v\nwant %+v", got, want)
	}
}

// TestCommandsGivenTwiceAreDecidedOnce: whoever does not know whether a command
// arrived gives it again.
func TestCommandsGivenTwiceAreDecidedOnce(t *testing.T) {
	a := accountOf()
	for _, command := range []aggregate.Command{grant, extend, block, unblock, revoke} {
		for i := range 2 {
			events, err := a.Decide(command, builtin(), at(time.Duration(i)))
			if err != nil || len(events) != 1-i {
				t.Fatalf("%T, time %d: %d events, %v", command, i+1, len(events), err)
			}
			for _, e := range events {
				a.Evolve(e, aggregate.Place{})
			}
		}
	}
}
