package aggregate

import (
	"fmt"
	"strings"
	"time"
)

// This file has every word that a support person reads in an explanation.

// rules tell in words what the reasons stand for.
var rules = map[Reason]string{
	ReasonSubscription:     "Stripe's status active or trialing grants access.",
	ReasonGrace:            "A payment is owed; access goes on while grace lasts.",
	ReasonNothingOwed:      "Stripe's status tells of a debt, but the invoice was settled: access goes on.",
	ReasonExpiredGrace:     "A payment is owed, and grace has run out.",
	ReasonUnmappedPrice:    "The subscription grants access, but no price of it is in the catalog: the free tier.",
	ReasonFree:             "There is no subscription: the free tier.",
	ReasonIncomplete:       "The first payment of the subscription was never made.",
	ReasonUnpaid:           "Stripe has given up on the payment that is owed.",
	ReasonPaused:           "The subscription is paused.",
	ReasonCanceled:         "The subscription has ended.",
	ReasonUnknownStatus:    "Stripe's status is not one that this version knows: access is denied.",
	ReasonWaiver:           "An operator granted this tier without payment.",
	ReasonBlocked:          "An operator refused all access.",
	ReasonDisputed:         "A payment is disputed, and the catalog denies access then (on_dispute: deny).",
	ReasonRefunded:         "The last payment was refunded, and the catalog denies access then (on_full_refund: deny).",
	ReasonCollectionPaused: "Collection is paused, and the catalog denies access then (on_pause_collection: deny).",
	ReasonPaymentPending:   "The payment is on its way, and the catalog waits for it (async_payment: wait).",
	ReasonCheckoutFailed:   "The payment that was waited for failed (async_payment: wait).",
}

// RuleOf tells in words what a reason stands for.
func RuleOf(r Reason) string { return rules[r] }

// Summarize writes the summary: the answer, the rule, what it rests on, and what
// would change it. It comes last, when all evidence is cited.
func (x *Explanation) Summarize() {
	x.Summary = append([]string{x.answerWords(), x.Rule}, x.restWords()...)
	x.Summary = append(x.Summary, x.evidenceWords()...)
	for _, c := range x.Changes {
		x.Summary = append(x.Summary, c.words())
	}
	if len(x.Changes) == 0 {
		x.Summary = append(x.Summary, "Nothing that is known of would change this.")
	}
	if len(x.Flags) > 0 {
		x.Summary = append(x.Summary, "A person should look at: "+strings.Join(x.Flags, ", ")+".")
	}
}

func (x *Explanation) answerWords() string {
	on := fmt.Sprintf("%s is on the tier %s", x.Account, x.Tier)
	switch {
	case x.Allowed == nil && !x.Known:
		return fmt.Sprintf("Nothing is known of %s at %s: it is on the tier %s.", x.Account, clockWords(x.At), x.Tier)
	case x.Allowed == nil:
		return fmt.Sprintf("At %s, %s.", clockWords(x.At), on)
	case *x.Allowed:
		return fmt.Sprintf("At %s, %s may use %s: %s.", clockWords(x.At), x.Account, x.Feature, on)
	case x.RequiredTier == "":
		return fmt.Sprintf("At %s, %s may not use %s: only an add-on brings it.", clockWords(x.At), x.Account, x.Feature)
	}
	return fmt.Sprintf("At %s, %s may not use %s: it takes the tier %s, and %s.", clockWords(x.At), x.Account, x.Feature, x.RequiredTier, on)
}

// restWords tell of the block, the waiver or the subscription that decides.
func (x *Explanation) restWords() []string {
	var words []string
	if x.Source == FromBlocked {
		words = append(words, fmt.Sprintf("%s blocked it at %s: %s.", x.Block.BlockedBy, clockWords(x.Block.BlockedAt), trimDot(x.Block.Reason)))
	}
	for _, w := range x.Waivers {
		if w.Decides {
			words = append(words, fmt.Sprintf("Waiver %s grants %s, by %s at %s, %s: %s.",
				w.ID, w.Tier, w.GrantedBy, clockWords(w.GrantedAt), untilWords(w.ExpiresAt), trimDot(w.Reason)))
		}
	}
	for i, s := range x.Subscriptions {
		if s.Decides || i == 0 && x.Source == FromWaiver {
			words = append(words, s.words(x.Catalog)...)
		}
	}
	return words
}

func (s *Weighed) words(in CatalogInForce) []string {
	status := string(s.Status)
	if status == "" {
		status = "not known yet"
	}
	words := []string{fmt.Sprintf("Subscription %s of customer %s is %s.", s.ID, orNone(s.Customer), status)}
	for _, l := range s.Lines {
		words = append(words, l.words(in))
	}
	if d := s.Delinquency; d != nil {
		what := "A payment"
		if d.Invoice != "" {
			what = "Invoice " + d.Invoice
		}
		words = append(words, fmt.Sprintf("%s has been owed since %s; grace lasts until %s.", what, clockWords(d.Anchor), clockWords(s.GraceUntil)))
	}
	if s.Kept {
		why := "by the latest earlier price of it that the catalog has"
		if s.Delinquency != nil {
			why = "the last that was held in good standing, while a payment is owed"
		}
		words = append(words, fmt.Sprintf("It counts as the tier %s: %s.", s.Tier, why))
	}
	return words
}

func (l CatalogLine) words(in CatalogInForce) string {
	item := fmt.Sprintf("Price %s (%d of it)", orNone(l.Price), l.Quantity)
	catalog := "the catalog " + shortHash(in.Hash)
	if !in.AdoptedAt.IsZero() {
		catalog += " (adopted at " + clockWords(in.AdoptedAt) + ")"
	}
	what := "the tier " + l.Tier
	if l.Addon != "" {
		what = "the add-on " + l.Addon
	}
	switch l.By {
	case "":
		return fmt.Sprintf("%s is in no line of %s.", item, catalog)
	case "recorded":
		return fmt.Sprintf("%s is %s, as was recorded when it was first seen; %s has that.", item, what, catalog)
	}
	return fmt.Sprintf("%s is %s, by the line %q of %s.", item, what, l.Line, catalog)
}

func (x *Explanation) evidenceWords() []string {
	words := make([]string, len(x.Evidence))
	for i, e := range x.Evidence {
		told := e.Type
		if e.StripeEventID != "" {
			told += " of Stripe's event " + e.StripeEventID
		}
		words[i] = fmt.Sprintf("It rests on %s at %s (%s, position %d), for: %s.",
			told, clockWords(e.OccurredAt), e.Stream, e.Position, strings.Join(e.For, ", "))
	}
	return words
}

func (c Change) words() string {
	var what string
	switch c.What {
	case GraceEnds:
		what = "grace of " + c.Of + " ends"
	case WaiverEnds:
		what = "waiver " + c.Of + " ends"
	case Cancellation:
		what = "subscription " + c.Of + " is scheduled to be canceled"
	case TrialEnds:
		what = "the trial of " + c.Of + " ends"
	case PaymentComes:
		what = "what is owed (" + c.Of + ") is paid"
	case PauseEnds:
		what = "subscription " + c.Of + " is resumed"
	case BlockIsLifted:
		what = "an operator lifts the block of " + c.Of
	}
	then := "what follows, Stripe's status will tell"
	if c.Tier != "" {
		then = fmt.Sprintf("the tier is then %s (%s)", c.Tier, c.Reason)
	}
	if c.Allowed != nil {
		then += map[bool]string{true: ", with the feature", false: ", without the feature"}[*c.Allowed]
	}
	if c.At.IsZero() {
		return fmt.Sprintf("If %s, %s.", what, then)
	}
	return fmt.Sprintf("At %s %s: %s.", clockWords(c.At), what, then)
}

func clockWords(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func untilWords(t time.Time) string {
	if t.IsZero() {
		return "without an end"
	}
	return "until " + clockWords(t)
}

func trimDot(s string) string { return strings.TrimSuffix(s, ".") }

func orNone(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func shortHash(hash string) string { return hash[:min(len(hash), 12)] }
