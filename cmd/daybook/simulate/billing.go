package simulate

import "time"

// generation is how an API version renders objects.
type generation struct {
	version string
	// modern is the shape since 2025-03-31.basil: periods on the items,
	// parent.subscription_details on invoices, pricing on their lines.
	modern bool
	// details says that an invoice of the older shape carries
	// subscription_details (since 2023).
	details bool
	// flexible says that new subscriptions have flexible billing.
	flexible bool
	// pauseReasons says that subscriptions tell why they are paused.
	pauseReasons bool
	// inlineRefunds says that charges hold their refunds.
	inlineRefunds bool
}

var (
	olderGenerations = []generation{
		{version: "2022-11-15", inlineRefunds: true},
		{version: "2023-10-16", details: true},
		{version: "2024-06-20", details: true},
	}
	modernGenerations = []generation{
		{version: "2025-03-31.basil", modern: true},
		{version: "2025-07-30.basil", modern: true},
		{version: "2025-11-17.clover", modern: true, flexible: true},
		{version: "2026-09-30.endive", modern: true, flexible: true, pauseReasons: true},
	}
)

// pair is one entry of metadata.
type pair struct{ key, value string }

type metadata []pair

func (m metadata) object() object {
	o := object{}
	for _, p := range m {
		o = append(o, field{p.key, p.value})
	}
	return o
}

// subscription is a Stripe subscription in the state that the script has
// brought it to, and beside it what must be true of it by our own rules.
type subscription struct {
	id, item string
	customer *customer
	plan     plan
	quantity int64
	status   string
	metadata metadata
	flexible bool

	created, anchor          int64
	periodStart, periodEnd   int64
	trialStart, trialEnd     int64
	cancelAt, canceledAt     int64
	endedAt                  int64
	cancelAtPeriodEnd        bool
	cancelReason, feedback   string
	latestInvoice, pauses    string
	setupIntent, missingCard string
	sendInvoice              bool
	// resumesAt ends a pause of collection, schedule is the schedule's id,
	// pending the plan of an upgrade that waits for its payment.
	resumesAt int64
	schedule  string
	pending   *plan
	// pendingExpires is when it is given up.
	pendingExpires int64
	// clock is the test clock that it lives under, nil for none.
	clock *clock
	// pausedFor is why it is paused, where that is told.
	pausedFor string
	// percentOff is a coupon's.
	percentOff int64
	// extras are the items beside the first.
	extras []extra
	// cycles counts the periods since the anchor.
	cycles int

	// owner is the account that it belongs to.
	owner string
	// delinquent is when it began to owe, 0 while it does not.
	delinquent int64
	// goodTier is the tier when it last was in good standing.
	goodTier string
	// mapped is the latest tier that a price of it stood for.
	mapped string
	paid   []Money
}

// Money is an amount in a currency's minor unit, currency in lower case.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// extra is a further item of a subscription, with a period of its own if start
// is set.
type extra struct {
	item       string
	plan       plan
	quantity   int64
	start, end int64
}

// setPlan changes the price of the first item.
func (s *subscription) setPlan(p plan) {
	s.plan = p
	s.remap()
}

// remap finds the tier of the best item; where none has one, the last stays.
func (s *subscription) remap() {
	best := s.plan.tier
	for _, x := range s.extras {
		if tierRank(x.plan.tier) > tierRank(best) {
			best = x.plan.tier
		}
	}
	if best != "" {
		s.mapped = best
	}
	s.settle()
}

// settle notes the tier while the subscription is in good standing.
func (s *subscription) settle() {
	if s.delinquent == 0 && (s.status == "active" || s.status == "trialing") {
		s.goodTier = s.mapped
	}
}

// owe opens a delinquency, unless one is open.
func (s *subscription) owe(at int64) {
	if s.delinquent == 0 {
		s.delinquent = at
	}
}

// become changes the status; leaving past_due ends what was owed.
func (s *subscription) become(status string) {
	s.status, s.pausedFor = status, ""
	if status != "past_due" {
		s.delinquent = 0
	}
	s.settle()
}

// clear ends what was owed, ahead of the status.
func (s *subscription) clear() {
	s.delinquent = 0
	s.settle()
}

// owing reports a status that grace keeps alive: past_due, or a pause for a
// first failed payment.
func (s *subscription) owing() bool {
	return s.status == "past_due" || s.status == "paused" && s.pausedFor != ""
}

// tier is what the subscription pays for; while it owes, never more than in
// good standing. Empty if no price of it was ever known.
func (s *subscription) tier() string {
	if s.delinquent != 0 {
		return lowerTier(s.mapped, s.goodTier)
	}
	return s.mapped
}

// addPaid counts a paid invoice.
func (s *subscription) addPaid(amount int64, currency string) {
	s.paid = plus(s.paid, amount, currency)
}

// periodOf is the period of a further item.
func (s *subscription) periodOf(x extra) (start, end int64) {
	if x.start == 0 {
		return s.periodStart, s.periodEnd
	}
	return x.start, x.end
}

// startPeriods begins the billing periods at a moment.
func (s *subscription) startPeriods(at int64) {
	s.anchor, s.cycles = at, 0
	s.periodStart, s.periodEnd = at, addMonths(at, s.plan.months)
}

// nextPeriod moves on by one period.
func (s *subscription) nextPeriod() {
	s.cycles++
	s.periodStart = s.periodEnd
	s.periodEnd = addMonths(s.anchor, (s.cycles+1)*s.plan.months)
}

// addMonths moves a Unix time by calendar months and keeps to the last day of
// a shorter month, as Stripe's billing anchor does.
func addMonths(at int64, months int) int64 {
	t := time.Unix(at, 0).UTC()
	first := time.Date(t.Year(), t.Month()+time.Month(months), 1, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1).Unix()
}

// monthsBefore returns a time from which a whole number of months, at least n,
// leads to at, and that number.
func monthsBefore(at int64, n int) (int64, int) {
	for ; ; n++ {
		if start := addMonths(at, -n); addMonths(start, n) == at {
			return start, n
		}
	}
}

// invoice is a Stripe invoice.
type invoice struct {
	id, number        string
	subscription      *subscription
	reason, status    string
	currency          string
	lines             []line
	created           int64
	finalized, paidAt int64
	dueDate           int64
	voided, givenUp   int64
	attempts          int
	nextAttempt       int64
	// percentOff is the coupon's.
	percentOff int64
	// oneOff says that it bills no subscription; then subscription only tells
	// who pays. outOfBand says that the money did not come through Stripe.
	oneOff, outOfBand bool
	// payment is nil before the first attempt.
	payment *payment
	// metadata is the subscription's when the invoice was made.
	metadata metadata
}

// line is one line of an invoice.
type line struct {
	id, item, description string
	plan                  plan
	quantity, amount      int64
	start, end            int64
	proration             bool
	// subscriptionItem is empty for the first item.
	subscriptionItem string
}

func (i *invoice) subtotal() int64 {
	var sum int64
	for _, l := range i.lines {
		sum += l.amount
	}
	return sum
}

func (i *invoice) discount() int64 { return i.subtotal() * i.percentOff / 100 }

func (i *invoice) total() int64 { return i.subtotal() - i.discount() }

// amountPaid is all of it or nothing: partial payments do not occur here. What
// was paid out of band is told since 2025-03-31.basil.
func (i *invoice) amountPaid(g generation) int64 {
	if i.status == "paid" && (g.modern || !i.outOfBand) {
		return i.total()
	}
	return 0
}

func (i *invoice) intentID() string {
	if i.payment == nil {
		return ""
	}
	return i.payment.intent
}

func (i *invoice) chargeID() string {
	if i.payment == nil {
		return ""
	}
	return i.payment.charge
}
