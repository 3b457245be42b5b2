package aggregate

import (
	"cmp"
	"slices"
	"time"
)

// DerivePayment says what is true of the payment of that id, whose stream the
// set was gathered from: a pure function of the facts, the same for every order
// of arrival. Of each object the latest fact in Stripe's order decides. See
// DerivePayments for a payment of which several streams tell.
func (s *FactSet) DerivePayment(id string) PaymentTruth {
	w := paymentWalk{truth: PaymentTruth{ID: id, Charges: s.Charges(id), Position: s.position}}
	for _, f := range inStripesOrder(s.facts) {
		w.step(f)
	}
	return w.finish()
}

// paymentWalk goes through the facts of a payment in Stripe's order, once.
type paymentWalk struct {
	truth PaymentTruth
	// steps numbers the facts.
	steps           int
	intent          *PaymentSnapshot
	charges         []*paidCharge
	invoicePayments []*InvoicePaymentSnapshot
	refunds         []*paidBack
	disputes        []*contested
	// last is the latest that an intent or a charge told.
	last  held
	flags []string
}

// paidCharge is a charge as it was told last, at a step.
type paidCharge struct {
	*PaymentSnapshot
	step   int
	toldAt time.Time
	// failed says that the latest fact told of a failure.
	failed bool
}

// paidBack is a refund as it was told last.
type paidBack struct {
	*RefundSnapshot
	status string
	// failedStep is the step at which it turned out to have failed, 0 if it did
	// not.
	failedStep int
}

// contested is a dispute as it was told last.
type contested struct {
	*DisputeSnapshot
	won, lost bool
	// returned says that its funds came back after it was lost.
	returned bool
}

func (w *paymentWalk) step(f held) {
	w.steps++
	if f.OccurredAt.After(w.truth.LastOccurredAt) {
		w.truth.LastOccurredAt = f.OccurredAt
	}
	switch {
	case f.Payment != nil:
		w.takePayment(f)
	case f.InvoicePayment != nil:
		w.takeInvoicePayment(f.InvoicePayment)
	case f.Refund != nil:
		w.takeRefund(f)
	case f.Dispute != nil:
		w.takeDispute(f)
	}
}

// name remembers what the payment belongs to: whichever object named it last.
func (w *paymentWalk) name(customer, invoice string) {
	w.truth.Customer = cmp.Or(customer, w.truth.Customer)
	w.truth.Invoice = cmp.Or(invoice, w.truth.Invoice)
}

func (w *paymentWalk) flag(flags ...string) { w.flags = addFlags(w.flags, flags...) }

func (w *paymentWalk) flagMoney(currency string, amounts ...int64) {
	w.flags = flagMoney(w.flags, currency, amounts...)
}

func (w *paymentWalk) takePayment(f held) {
	p := f.Payment
	w.flag(p.Flags...)
	w.flagMoney(p.Currency, p.Amount, p.AmountReceived, p.AmountRefunded)
	w.name(p.Customer, p.Invoice)
	w.last = f
	if f.Type == IntentSucceeded || f.Type == IntentFailed {
		if w.intent == nil || w.intent.Status != "succeeded" || p.Status == "succeeded" {
			w.intent = p // an intent that succeeded never leaves that status
		}
		return
	}
	i := slices.IndexFunc(w.charges, func(c *paidCharge) bool { return c.ID == p.ID })
	if i < 0 {
		i = len(w.charges)
		w.charges = append(w.charges, nil)
	}
	w.charges[i] = &paidCharge{PaymentSnapshot: p, step: w.steps, toldAt: f.OccurredAt, failed: f.Type == ChargeFailed}
}

func (w *paymentWalk) takeInvoicePayment(p *InvoicePaymentSnapshot) {
	w.flag(p.Flags...)
	w.flagMoney(p.Currency, p.AmountPaid)
	w.name("", p.Invoice)
	i := slices.IndexFunc(w.invoicePayments, func(q *InvoicePaymentSnapshot) bool { return q.ID == p.ID })
	if i < 0 {
		w.invoicePayments = append(w.invoicePayments, p)
		return
	}
	w.invoicePayments[i] = p
}

func (w *paymentWalk) takeRefund(f held) {
	r := f.Refund
	w.flag(r.Flags...)
	w.flagMoney(r.Currency, r.Amount)
	i := slices.IndexFunc(w.refunds, func(known *paidBack) bool { return known.ID == r.ID })
	if i < 0 {
		i = len(w.refunds)
		w.refunds = append(w.refunds, &paidBack{})
	}
	w.refunds[i].take(f, w.steps)
}

func (r *paidBack) take(f held, step int) {
	r.RefundSnapshot, r.status = f.Refund, f.Refund.Status
	if f.Type == RefundFailed {
		r.status = "failed"
	}
	switch failed := r.status == "failed" || r.status == "canceled"; {
	case !failed:
		r.failedStep = 0
	case r.failedStep == 0:
		r.failedStep = step
	}
}

func (w *paymentWalk) takeDispute(f held) {
	d := f.Dispute
	w.flag(d.Flags...)
	w.flagMoney(d.Currency, d.Amount)
	i := slices.IndexFunc(w.disputes, func(known *contested) bool { return known.ID == d.ID })
	if i < 0 {
		i = len(w.disputes)
		w.disputes = append(w.disputes, &contested{DisputeSnapshot: &DisputeSnapshot{}})
	}
	w.disputes[i].take(f)
	if w.disputes[i].won && w.disputes[i].lost {
		w.flag(FlagDisputeWonAndLost)
	}
}

func (d *contested) take(f held) {
	switch {
	case f.Type == DisputeFundsReturned:
		d.returned = true
	case f.Type == DisputeFundsWithdrawn, f.Dispute.Status == "lost" && d.Status != "lost":
		d.returned = false
	}
	d.DisputeSnapshot = f.Dispute
	d.won = d.won || d.Status == "won"
	d.lost = d.lost || d.Status == "lost"
}

func (w *paymentWalk) finish() PaymentTruth {
	t := &w.truth
	made := w.madeBy()
	t.Charge, t.Currency = w.charge(made), w.currency(made)
	t.Status, t.CreatedAt = w.status(made), w.createdAt()
	w.finishAmounts(made)
	w.finishRefunds()
	w.finishDisputes()
	if t.Refunded > max(t.Amount, t.Received) && (w.intent != nil || len(w.charges) > 0) {
		w.flag(FlagRefundExceedsCharge)
	}
	slices.Sort(w.flags)
	t.Flags = w.flags
	return *t
}

// madeBy is the charge that made the payment: of those that did not fail the
// latest, else the latest of all; nil if no charge is known.
func (w *paymentWalk) madeBy() *paidCharge {
	var made *paidCharge
	for _, c := range w.charges {
		if made == nil || made.failed && !c.failed || made.failed == c.failed && c.step > made.step {
			made = c
		}
	}
	return made
}

// charge is the id of the charge that made the payment, as far as told.
func (w *paymentWalk) charge(made *paidCharge) string {
	id := ""
	switch {
	case made != nil:
		id = made.ID
	case w.intent != nil:
		id = w.intent.Charge
	}
	for _, p := range w.invoicePayments {
		id = cmp.Or(id, p.Charge)
	}
	for _, r := range w.refunds {
		id = cmp.Or(id, r.Charge)
	}
	for _, d := range w.disputes {
		id = cmp.Or(id, d.Charge)
	}
	return id
}

// currency is the payment's: the objects that made it know it best.
func (w *paymentWalk) currency(made *paidCharge) string {
	currency := ""
	if w.intent != nil {
		currency = w.intent.Currency
	}
	if made != nil {
		currency = cmp.Or(currency, made.Currency)
	}
	for _, p := range w.invoicePayments {
		currency = cmp.Or(currency, p.Currency)
	}
	for _, r := range w.refunds {
		currency = cmp.Or(currency, r.Currency)
	}
	for _, d := range w.disputes {
		currency = cmp.Or(currency, d.Currency)
	}
	return currency
}

// sameCurrency reports whether an amount can be summed with the others.
func (w *paymentWalk) sameCurrency(currency string) bool {
	if currency != w.truth.Currency {
		w.flag(FlagCurrencyMismatch)
	}
	return currency == w.truth.Currency
}

// status is "succeeded" once one of the objects says so, whichever of them the
// payment failed by before, else what was told last.
func (w *paymentWalk) status(made *paidCharge) string {
	switch {
	case w.intent != nil && w.intent.Status == "succeeded", made != nil && !made.failed && made.Status == "succeeded":
		return "succeeded"
	case w.last.Fact != nil && (w.last.Type == ChargeFailed || w.last.Type == IntentFailed):
		return "failed"
	case w.last.Fact != nil:
		return w.last.Payment.Status
	case w.paidToInvoices() > 0:
		return "succeeded"
	}
	return ""
}

// createdAt is when the intent was, or the first of the charges.
func (w *paymentWalk) createdAt() time.Time {
	if w.intent != nil && !w.intent.CreatedAt.IsZero() {
		return w.intent.CreatedAt
	}
	var first time.Time
	for _, c := range w.charges {
		if !c.CreatedAt.IsZero() && (first.IsZero() || c.CreatedAt.Before(first)) {
			first = c.CreatedAt
		}
	}
	return first
}

// paidToInvoices is what the payment brought to invoices.
func (w *paymentWalk) paidToInvoices() int64 {
	sum := int64(0)
	for _, p := range w.invoicePayments {
		if p.Currency == w.truth.Currency && (p.Status == "" || p.Status == "paid") {
			sum += p.AmountPaid
		}
	}
	return sum
}

// finishAmounts says what was asked for and what was received. An intent and
// its charges tell the same money, so it counts once, by whichever says more:
// the other may not have been told lately. Where neither is known, as for what
// was paid elsewhere, the invoice payment tells.
func (w *paymentWalk) finishAmounts(made *paidCharge) {
	t := &w.truth
	charged := int64(0)
	for _, c := range w.charges {
		if w.sameCurrency(c.Currency) && !c.failed {
			charged += c.AmountReceived
		}
	}
	t.Received = charged
	switch {
	case w.intent != nil:
		t.Amount = w.intent.Amount
		t.Received = max(charged, w.intent.AmountReceived)
	case made != nil:
		t.Amount = made.Amount
	default:
		t.Received = w.paidToInvoices()
		t.Amount = t.Received
	}
}

// finishRefunds sums what was given back: by the refunds that did not fail, or
// by what the charges tell, whichever is more, for not every refund need have
// been told.
func (w *paymentWalk) finishRefunds() {
	byRefunds, byCharges := int64(0), int64(0)
	for _, r := range w.refunds {
		w.truth.Refunds = append(w.truth.Refunds,
			RefundTruth{ID: r.ID, Status: r.status, Reason: r.Reason, Currency: r.Currency, Amount: r.Amount})
		if w.sameCurrency(r.Currency) && r.failedStep == 0 {
			byRefunds += r.Amount
		}
	}
	for _, c := range w.charges {
		if c.Currency == w.truth.Currency {
			byCharges += max(0, c.AmountRefunded-w.failedSince(c))
		}
	}
	w.truth.Refunded = max(byRefunds, byCharges)
	slices.SortFunc(w.truth.Refunds, func(a, b RefundTruth) int { return cmp.Compare(a.ID, b.ID) })
}

// failedSince sums the refunds that a charge counted when it was told last, and
// that have failed since.
func (w *paymentWalk) failedSince(c *paidCharge) int64 {
	sum := int64(0)
	for _, r := range w.refunds {
		ofCharge := r.Charge == c.ID || r.Charge == "" && len(w.charges) == 1
		if ofCharge && r.Currency == c.Currency && r.failedStep > c.step && !r.CreatedAt.After(c.toldAt) {
			sum += r.Amount
		}
	}
	return sum
}

// finishDisputes sums what lost disputes took. The funds of a lost dispute that
// came back later are not lost.
func (w *paymentWalk) finishDisputes() {
	for _, d := range w.disputes {
		w.truth.Disputes = append(w.truth.Disputes,
			DisputeTruth{ID: d.ID, Status: d.Status, Reason: d.Reason, Currency: d.Currency, Amount: d.Amount})
		if w.sameCurrency(d.Currency) && d.Status == "lost" && !d.returned {
			w.truth.Lost += d.Amount
		}
	}
	slices.SortFunc(w.truth.Disputes, func(a, b DisputeTruth) int { return cmp.Compare(a.ID, b.ID) })
}
