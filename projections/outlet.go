package projections

import (
	"context"
	"errors"
	"time"

	"github.com/daybookhq/daybook/eventstore"
)

// What keeps an Outlet from publishing. An error of an outlet wraps one of them
// where it can tell, and its text is a sentence for the operator, without
// secrets.
var (
	// ErrOutletAway: no answer, or none in time. Every other cause that is not
	// told apart counts as this one.
	ErrOutletAway = errors.New("it cannot be used at present")
	// ErrOutletResting: it failed so often that nobody asks it for a moment.
	ErrOutletResting = errors.New("it has failed repeatedly and is left alone for a moment")
	// ErrOutletDenied: it refuses who we say we are, or what we want to do.
	ErrOutletDenied = errors.New("it denies access: check user, password and rights")
	// ErrOutletReadOnly: it is a replica.
	ErrOutletReadOnly = errors.New("it is a read-only replica")
	// ErrOutletFull: it has no memory left.
	ErrOutletFull = errors.New("its memory is full")
)

// Publication is an entitlement that is to be published.
type Publication struct {
	Account string
	// Doc is the entitlement as the model stores it: EntitlementRow.Doc, or what
	// aggregate.EncodeEntitlement writes.
	Doc []byte
	// Position is the place up to which the model was folded when it said so:
	// read in the same transaction as Doc or, failing that, before it.
	Position eventstore.Position
	// AsOf is the moment for which Doc is true: the present, when the publisher
	// vouches for it. The lease counts from then.
	AsOf time.Time
}

// Withdrawal is an entry that is to be removed, because the model, folded up to
// Position, at AsOf has none for the account.
type Withdrawal struct {
	Account  string
	Position eventstore.Position
	AsOf     time.Time
}

// Outcome is what became of a publication, or of a withdrawal.
type Outcome uint8

// The outcomes.
const (
	// OutcomeFailed: nothing is known of it; the error beside says why. It may
	// or may not have been done, and can be asked for again.
	OutcomeFailed Outcome = iota
	// OutcomeWritten: what readers see has changed, or there was nothing.
	OutcomeWritten
	// OutcomeRenewed: what the account may do was published already; its lease
	// is now longer.
	OutcomeRenewed
	// OutcomeReplaced: what was there was foreign or forged, and is no more.
	OutcomeReplaced
	// OutcomeWithdrawn: the entry was removed, or there was none.
	OutcomeWithdrawn
	// OutcomeOlder: a newer entry is there, and stays.
	OutcomeOlder
	// OutcomeNewerSchema: an entry of a schema that this build does not know is
	// there, and stays.
	OutcomeNewerSchema
	// OutcomeWrongType: the key holds something that is no string, and stays.
	OutcomeWrongType
	// OutcomeLapsed: the publication would have lapsed on arrival, by the clock
	// of the outlet; what was there stays.
	OutcomeLapsed
	// OutcomeSkewed: the publication comes from the future, by the clock of the
	// outlet; what was there stays.
	OutcomeSkewed
	// OutcomeInvalid: it is not fit to be published, as when the account has no
	// possible name; it need not be tried again.
	OutcomeInvalid
)

var outcomeNames = [...]string{"failed", "written", "renewed", "replaced", "withdrawn", "older",
	"newer_schema", "wrong_type", "lapsed", "skewed", "invalid"}

// String is the outcome's name in metrics and logs.
func (o Outcome) String() string { return outcomeNames[o] }

// Beat is what came of a heartbeat.
type Beat struct {
	// Republish says why everything has to be published again, empty if it has
	// not: the outlet is another one than at the last beat, was emptied, or
	// served another store. It is told once: remember it until it is done.
	Republish string
	// Behind: a publisher of the same store that is further ahead beats there;
	// ours was not written.
	Behind bool
	// Occupied names the epoch of another store whose publisher beats there,
	// empty if none does. Nothing must be published then: two stores never share
	// an outlet, and the first to be there keeps it until it falls silent.
	Occupied string
	// Skew is how far our clock is ahead of the outlet's. Beyond MaxSkew, nothing
	// is written, and entries of ours are refused: OutcomeSkewed, OutcomeLapsed.
	Skew time.Duration
}

// MaxSkew is how far our clock may be from the outlet's.
const MaxSkew = 15 * time.Second

// OutletHealth is how an outlet is doing.
type OutletHealth struct {
	// Breaker is "closed" while it works, "open" while it is left alone, and
	// "half-open" while it is being tried.
	Breaker string `json:"breaker"`
	// LastError is what was wrong last, empty since it works again.
	LastError string `json:"last_error,omitempty"`
	// Since is when the trouble began.
	Since time.Time `json:"since,omitzero"`
}

// PublishedEntry is an entry as it was found at the outlet.
type PublishedEntry struct {
	Account string
	// Value is what is there. published.Read tells what it says.
	Value []byte
}

// Outlet is where the entitlements of one store are published for readers that
// do not ask the API. Whoever writes, and however late a write arrives, a newer
// entry is never replaced by an older: the outlet compares the store, the
// position up to which the log was folded, and the moment that was evaluated. It
// may therefore be used by several at once, and every call may be repeated.
//
// Every call has a deadline of its own, and fails at once while the outlet is
// left alone after repeated failures. All methods are safe for concurrent use.
type Outlet interface {
	// Publish writes entries, of any number, and returns what became of each, in
	// their order. The error tells of those that failed, and that others
	// succeeded changes nothing about it. No account may be there twice.
	Publish(ctx context.Context, entries []Publication) ([]Outcome, error)
	// Withdraw removes entries that are not newer than the withdrawal.
	Withdraw(ctx context.Context, entries []Withdrawal) ([]Outcome, error)
	// Beat publishes how far the publisher is, and finds out whether the outlet
	// still has what was published. Publish nothing before the first beat, which
	// always asks for everything to be published.
	Beat(ctx context.Context, position eventstore.Position, now time.Time) (Beat, error)
	// Told reads the heartbeat that is there, whoever's it is. It changes nothing.
	Told(ctx context.Context) (Told, error)
	// Walk calls fn with the entries that are there, page by page, in no order,
	// never at once from several goroutines. What is written meanwhile may be
	// missed, and one may be shown twice. Memory is bounded by a page.
	Walk(ctx context.Context, fn func([]PublishedEntry) error) error
	// Health tells how the outlet is doing, without asking it.
	Health() OutletHealth
}

// Elector lets one of several processes do work that all could do. It saves
// effort; nothing may rest on there being one leader.
type Elector interface {
	// Lead campaigns until ctx ends. Whenever this process leads, it calls work,
	// whose context ends with the leadership, and campaigns again when work has
	// returned. Only ctx's end ends it. Where no election can be held, since the
	// server is away, everybody leads until one can: the work is not left undone.
	Lead(ctx context.Context, work func(ctx context.Context, term Term) error) error
}

// Term is one leadership.
type Term interface {
	// Elected reports whether others were asked to leave the work to us; false
	// where nobody could be asked.
	Elected() bool
	// Held reports whether the leadership is certain at this moment, by this
	// process's own clock. Ask before every step: a process that was stopped and
	// goes on finds out here first.
	Held() bool
}
