package aggregate

import "time"

// FactType names what Stripe said. The strings are stored; they never change.
type FactType string

// The facts. Each is a normalised snapshot of one Stripe object at one moment,
// never a delta, and is named by what Stripe said, not by what it means to us.
const (
	SubscriptionStarted  FactType = "SubscriptionStarted"
	SubscriptionChanged  FactType = "SubscriptionChanged"
	SubscriptionPaused   FactType = "SubscriptionPaused"
	SubscriptionResumed  FactType = "SubscriptionResumed"
	SubscriptionCanceled FactType = "SubscriptionCanceled"
	TrialEnding          FactType = "TrialEnding"
	PendingUpdateApplied FactType = "PendingUpdateApplied"
	PendingUpdateExpired FactType = "PendingUpdateExpired"

	CheckoutCompleted FactType = "CheckoutCompleted"
	CheckoutPaid      FactType = "CheckoutPaid"
	CheckoutFailed    FactType = "CheckoutFailed"
	CheckoutExpired   FactType = "CheckoutExpired"

	InvoiceFinalized      FactType = "InvoiceFinalized"
	PaymentSucceeded      FactType = "PaymentSucceeded"
	PaymentFailed         FactType = "PaymentFailed"
	PaymentActionRequired FactType = "PaymentActionRequired"
	InvoiceVoided         FactType = "InvoiceVoided"
	InvoiceUncollectible  FactType = "InvoiceUncollectible"
	InvoiceDeleted        FactType = "InvoiceDeleted"
	InvoiceOverpaid       FactType = "InvoiceOverpaid"

	ChargeSucceeded       FactType = "ChargeSucceeded"
	ChargeFailed          FactType = "ChargeFailed"
	ChargeRefunded        FactType = "ChargeRefunded"
	IntentSucceeded       FactType = "IntentSucceeded"
	IntentFailed          FactType = "IntentFailed"
	InvoicePaymentPaid    FactType = "InvoicePaymentPaid"
	RefundCreated         FactType = "RefundCreated"
	RefundUpdated         FactType = "RefundUpdated"
	RefundFailed          FactType = "RefundFailed"
	DisputeOpened         FactType = "DisputeOpened"
	DisputeUpdated        FactType = "DisputeUpdated"
	DisputeClosed         FactType = "DisputeClosed"
	DisputeFundsWithdrawn FactType = "DisputeFundsWithdrawn"
	DisputeFundsReturned  FactType = "DisputeFundsReturned"

	CreditNoteIssued  FactType = "CreditNoteIssued"
	CreditNoteUpdated FactType = "CreditNoteUpdated"
	CreditNoteVoided  FactType = "CreditNoteVoided"

	CustomerCreated        FactType = "CustomerCreated"
	CustomerUpdated        FactType = "CustomerUpdated"
	CustomerDeleted        FactType = "CustomerDeleted"
	EntitlementsSummarized FactType = "EntitlementsSummarized"

	PayoutTold FactType = "PayoutTold"
	ClockTold  FactType = "ClockTold"

	// The objects as Stripe answered with them when it was asked, rather than told
	// of them itself: each stands for all that had happened to the object by then.
	SubscriptionObserved FactType = "SubscriptionObserved"
	InvoiceObserved      FactType = "InvoiceObserved"
	CheckoutObserved     FactType = "CheckoutObserved"
	CustomerObserved     FactType = "CustomerObserved"

	// Repudiated takes the place of a fact whose Stripe event an operator has
	// declared forged or mistaken: it has no snapshot, and nothing follows from it.
	Repudiated FactType = "Repudiated"
	// Retracted takes the place of a fact that its Stripe event, as it is read
	// now, does not state of this object: of another, or of none. Nothing follows
	// from it either, but a later reading may put a fact in its place again.
	Retracted FactType = "Retracted"
)

// Silent reports a type of fact from which nothing follows, as if it had never
// been told.
func (t FactType) Silent() bool { return t == Repudiated || t == Retracted }

// Observed reports a fact that Stripe was asked for.
func (t FactType) Observed() bool {
	switch t {
	case SubscriptionObserved, InvoiceObserved, CheckoutObserved, CustomerObserved:
		return true
	}
	return false
}

// FactKey identifies what one Stripe event said: two facts with the same key
// are the same statement, and the one with the higher epoch is in force.
type FactKey struct {
	StripeEventID string
	// Ordinal tells apart the facts that one Stripe event gives to one stream.
	Ordinal int
}

// Fact is what one Stripe event said of one object: compact, free of personal
// data, the same whatever came before it. Exactly one of the snapshots is set,
// the one that the type calls for.
type Fact struct {
	Type FactType
	Key  FactKey
	// Epoch is 0 for the first posting of a Stripe event; a correction of the
	// same key has a higher one and supersedes it.
	Epoch int
	// OccurredAt is Stripe's time of the event, in whole seconds. Of a fact that
	// Stripe was asked for it is the second of the question: the fact covers what
	// happened before that second, and nothing that happened in it need be in it.
	OccurredAt time.Time

	Subscription   *SubscriptionSnapshot
	Invoice        *InvoiceSnapshot
	Checkout       *CheckoutSnapshot
	Payment        *PaymentSnapshot
	InvoicePayment *InvoicePaymentSnapshot
	Refund         *RefundSnapshot
	Dispute        *DisputeSnapshot
	CreditNote     *CreditNoteSnapshot
	Customer       *CustomerSnapshot
	Entitlements   *EntitlementsSnapshot
	Payout         *PayoutSnapshot
	Clock          *ClockSnapshot
	Repudiation    *Repudiation
	Retraction     *Retraction
}

// RepudiatedEpoch is the epoch of every repudiation: no correction comes after it.
const RepudiatedEpoch = 1 << 30

// Repudiation says who declared a Stripe event forged or mistaken, and why.
type Repudiation struct {
	Actor  string `json:"actor"`
	Reason string `json:"reason"`
}

// Retraction says where a Stripe event's facts are now.
type Retraction struct {
	// Streams are those that have them; none if the event states nothing any more.
	Streams []string `json:"streams,omitempty"`
}

// snapshotOf tells, for a type of fact, which snapshot it carries, and for the
// fact at hand whether it is there; known is false for a type that this build
// does not know.
func (f *Fact) snapshotOf() (present, known bool) {
	switch f.Type {
	case SubscriptionStarted, SubscriptionChanged, SubscriptionPaused, SubscriptionResumed,
		SubscriptionCanceled, TrialEnding, PendingUpdateApplied, PendingUpdateExpired, SubscriptionObserved:
		return f.Subscription != nil, true
	case CheckoutCompleted, CheckoutPaid, CheckoutFailed, CheckoutExpired, CheckoutObserved:
		return f.Checkout != nil, true
	case InvoiceFinalized, PaymentSucceeded, PaymentFailed, PaymentActionRequired,
		InvoiceVoided, InvoiceUncollectible, InvoiceDeleted, InvoiceOverpaid, InvoiceObserved:
		return f.Invoice != nil, true
	case ChargeSucceeded, ChargeFailed, ChargeRefunded, IntentSucceeded, IntentFailed:
		return f.Payment != nil, true
	case InvoicePaymentPaid:
		return f.InvoicePayment != nil, true
	case RefundCreated, RefundUpdated, RefundFailed:
		return f.Refund != nil, true
	case DisputeOpened, DisputeUpdated, DisputeClosed, DisputeFundsWithdrawn, DisputeFundsReturned:
		return f.Dispute != nil, true
	case CreditNoteIssued, CreditNoteUpdated, CreditNoteVoided:
		return f.CreditNote != nil, true
	case CustomerCreated, CustomerUpdated, CustomerDeleted, CustomerObserved:
		return f.Customer != nil, true
	case EntitlementsSummarized:
		return f.Entitlements != nil, true
	case PayoutTold:
		return f.Payout != nil, true
	case ClockTold:
		return f.Clock != nil, true
	case Repudiated:
		return f.Repudiation != nil, true
	case Retracted:
		return f.Retraction != nil, true
	}
	return false, false
}

// snapshots counts the snapshots that are set.
func (f *Fact) snapshots() int {
	n := 0
	for _, set := range []bool{
		f.Subscription != nil, f.Invoice != nil, f.Checkout != nil, f.Payment != nil, f.InvoicePayment != nil,
		f.Refund != nil, f.Dispute != nil, f.CreditNote != nil, f.Customer != nil, f.Entitlements != nil,
		f.Payout != nil, f.Clock != nil, f.Repudiation != nil, f.Retraction != nil,
	} {
		if set {
			n++
		}
	}
	return n
}
