package aggregate

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The bounds of what operators write.
const (
	minReason = 10
	maxReason = 500
	// maxName bounds an actor's name and a waiver's id, in bytes.
	maxName = 200
	// lastYear is the last that RFC 3339 can write.
	lastYear = 9999
)

// Errors of commands that contradict what was decided before.
var (
	ErrNoWaiver      = errors.New("no such waiver")
	ErrWaiverDiffers = errors.New("a waiver of this id was granted with other content")
)

// CommandError says which part of a command is bad, and why.
type CommandError struct {
	// Field is the part's name in snake_case: tier, reason, expires_at, …
	Field string
	// Reason is for a person, and begins in lower case.
	Reason string
}

func (e *CommandError) Error() string { return e.Field + ": " + e.Reason }

// CommandErrors lists every fault of a command that Decide refused, nil if the
// error tells of none.
func CommandErrors(err error) []*CommandError {
	if joined, is := err.(interface{ Unwrap() []error }); is {
		var all []*CommandError
		for _, e := range joined.Unwrap() {
			all = append(all, CommandErrors(e)...)
		}
		return all
	}
	var one *CommandError
	if errors.As(err, &one) {
		return []*CommandError{one}
	}
	return nil
}

// Command is what an operator asks to be decided on an account: one of the
// types below.
type Command interface {
	// decide returns nil, nil if the command changes nothing.
	decide(a *Account, c Catalogs, now time.Time) (*Decision, error)
}

// GrantWaiver grants a tier without payment.
type GrantWaiver struct {
	// ID identifies the waiver within its account. Granting one again that was
	// granted with the same content decides nothing; with another it is
	// ErrWaiverDiffers.
	ID string
	// Tier is one of the catalog in force.
	Tier   string
	Reason string
	// ExpiresAt is when the waiver ends, zero for never.
	ExpiresAt time.Time
	Actor     string
}

// RevokeWaiver ends a waiver now. One that was never granted is ErrNoWaiver.
type RevokeWaiver struct {
	ID, Reason, Actor string
}

// BlockAccount refuses all access.
type BlockAccount struct {
	Reason, Actor string
}

// UnblockAccount undoes BlockAccount.
type UnblockAccount struct {
	Reason, Actor string
}

// ExtendGrace lets no grace of the account end before Until, which is never
// earlier than what an earlier extension said.
type ExtendGrace struct {
	Until         time.Time
	Reason, Actor string
}

func (g GrantWaiver) decide(a *Account, c Catalogs, now time.Time) (*Decision, error) {
	g.Reason = strings.TrimSpace(g.Reason)
	limits := errors.Join(checkTier(g.Tier, c), checkEnd("expires_at", g.ExpiresAt, now))
	if err := errors.Join(a.check(g.Reason, g.Actor), checkName("id", g.ID)); err != nil {
		return nil, errors.Join(err, limits)
	}
	if w := a.waiver(g.ID); w != nil {
		if w.Tier != g.Tier || w.Reason != g.Reason || !w.ExpiresAt.Equal(g.ExpiresAt) {
			return nil, fmt.Errorf("waiver %q: %w", g.ID, ErrWaiverDiffers)
		}
		return nil, nil
	}
	if limits != nil { // of one granted already they need not hold any more
		return nil, limits
	}
	return &Decision{Type: WaiverGranted, Actor: g.Actor, Reason: g.Reason, Waiver: g.ID, Tier: g.Tier,
		Until: utc(g.ExpiresAt)}, nil
}

func (r RevokeWaiver) decide(a *Account, _ Catalogs, _ time.Time) (*Decision, error) {
	r.Reason = strings.TrimSpace(r.Reason)
	if err := a.check(r.Reason, r.Actor); err != nil {
		return nil, err
	}
	switch w := a.waiver(r.ID); {
	case w == nil:
		return nil, fmt.Errorf("waiver %q: %w", r.ID, ErrNoWaiver)
	case !w.RevokedAt.IsZero():
		return nil, nil
	}
	return &Decision{Type: WaiverRevoked, Actor: r.Actor, Reason: r.Reason, Waiver: r.ID}, nil
}

func (b BlockAccount) decide(a *Account, _ Catalogs, _ time.Time) (*Decision, error) {
	b.Reason = strings.TrimSpace(b.Reason)
	if err := a.check(b.Reason, b.Actor); err != nil || a.truth.Block != nil {
		return nil, err
	}
	return &Decision{Type: AccountBlocked, Actor: b.Actor, Reason: b.Reason}, nil
}

func (u UnblockAccount) decide(a *Account, _ Catalogs, _ time.Time) (*Decision, error) {
	u.Reason = strings.TrimSpace(u.Reason)
	if err := a.check(u.Reason, u.Actor); err != nil || a.truth.Block == nil {
		return nil, err
	}
	return &Decision{Type: AccountUnblocked, Actor: u.Actor, Reason: u.Reason}, nil
}

func (x ExtendGrace) decide(a *Account, _ Catalogs, now time.Time) (*Decision, error) {
	x.Reason = strings.TrimSpace(x.Reason)
	err := a.check(x.Reason, x.Actor)
	switch inForce := a.truth.GraceUntil; {
	case x.Until.IsZero():
		err = errors.Join(err, &CommandError{"until", "missing"})
	case x.Until.Equal(inForce):
		return nil, err
	case x.Until.Before(inForce):
		err = errors.Join(err, &CommandError{"until", "grace is already extended until " + moment(inForce)})
	default:
		err = errors.Join(err, checkEnd("until", x.Until, now))
	}
	if err != nil {
		return nil, err
	}
	return &Decision{Type: GraceExtended, Actor: x.Actor, Reason: x.Reason, Until: utc(x.Until)}, nil
}

// check lists what is wrong with the parts that every command has.
func (a *Account) check(reason, actor string) error {
	var faults []error
	if !ValidAccount(a.truth.Account) {
		faults = append(faults, &CommandError{"account", "cannot name an account"})
	}
	switch n := utf8.RuneCountInString(reason); {
	case !cleanText(reason):
		faults = append(faults, &CommandError{"reason", "want text of one line, without control characters"})
	case n < minReason || n > maxReason:
		faults = append(faults, &CommandError{"reason", fmt.Sprintf("has %d characters: want %d to %d", n, minReason, maxReason)})
	}
	return errors.Join(append(faults, checkName("actor", actor))...)
}

func checkName(field, name string) error {
	switch {
	case name == "":
		return &CommandError{field, "missing"}
	case len(name) > maxName || !cleanText(name):
		return &CommandError{field, fmt.Sprintf("want at most %d bytes of text, without control characters", maxName)}
	}
	return nil
}

func checkTier(tier string, c Catalogs) error {
	if catalog := c.Current(); catalog == nil || catalog.Rank(tier) < 0 {
		return &CommandError{"tier", fmt.Sprintf("%q is no tier of the catalog in force", tier)}
	}
	return nil
}

// checkEnd checks a moment at which something is to end; zero is never.
func checkEnd(field string, end, now time.Time) error {
	switch {
	case end.IsZero():
		return nil
	case !end.After(now):
		return &CommandError{field, moment(end) + " is not in the future"}
	case end.UTC().Year() > lastYear:
		return &CommandError{field, "is too far in the future"}
	}
	return nil
}

// utc keeps the zero time as it is.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}
