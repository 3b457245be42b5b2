package simulate

import (
	"slices"
	"testing"
)

// ledger adds up what the payloads of one run tell of money, object by object,
// as a bookkeeper would who reads every event once.
type ledger struct {
	received, refunds, failedRefunds map[string]int64
	lost                             map[string]int64
}

func readLedger(t *testing.T, run *Run) ledger {
	t.Helper()
	l := ledger{map[string]int64{}, map[string]int64{}, map[string]int64{}, map[string]int64{}}
	for _, d := range run.Deliveries {
		e := decodeEvent(t, d.Body)
		if e.strange() {
			continue
		}
		amount, _ := e.at("data.object.amount")
		n, _ := amount.(float64)
		switch d.Type {
		case "charge.succeeded":
			l.received[e.text("data.object.payment_intent")] = int64(n)
		case "payment_intent.succeeded":
			l.received[e.id()] = int64(n)
		case "refund.created":
			l.refunds[e.id()] = int64(n)
		case "refund.failed", "charge.refund.updated":
			l.failedRefunds[e.id()] = int64(n)
		case "charge.dispute.closed":
			if e.text("data.object.status") == "lost" {
				l.lost[e.id()] = int64(n)
			}
		}
	}
	return l
}

func sum(m map[string]int64) int64 {
	var n int64
	for _, v := range m {
		n += v
	}
	return n
}

func TestEventsTellAllMoney(t *testing.T) {
	for seed := range uint64(3) {
		o := Options{Seed: seed, Accounts: 150, End: testEnd}
		l := readLedger(t, Generate(o))
		var received, refunded, lost int64
		for i := range o.Accounts {
			s := newStory(o.withDefaults(), i)
			s.play(lifecycleFor(s.rng, i))
			for _, p := range s.payments {
				received, refunded, lost = received+p.received(), refunded+p.refunded, lost+p.lost
			}
		}
		if got := sum(l.received); got != received {
			t.Errorf("seed %d: payloads tell of %d received, the payments of %d", seed, got, received)
		}
		if got := sum(l.refunds) - sum(l.failedRefunds); got != refunded {
			t.Errorf("seed %d: payloads tell of %d refunded, the payments of %d", seed, got, refunded)
		}
		if got := sum(l.lost); got != lost || lost == 0 {
			t.Errorf("seed %d: payloads tell of %d lost, the payments of %d", seed, got, lost)
		}
	}
}

// The events that make the same money countable twice, or from two ends, must
// all occur.
func TestMoneyIsToldByEveryEvent(t *testing.T) {
	types := map[string]bool{}
	for seed := range uint64(4) {
		for _, d := range testRun(seed, len(lifecycles)).Deliveries {
			types[d.Type] = true
		}
	}
	for _, want := range []string{
		"charge.succeeded", "charge.failed", "charge.refunded", "charge.refund.updated",
		"payment_intent.succeeded", "payment_intent.payment_failed", "invoice_payment.paid",
		"refund.created", "refund.failed",
		"charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed",
		"charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated",
		"credit_note.created", "credit_note.voided", "invoice.finalized", "invoice.paid", "invoice.payment_succeeded",
	} {
		if !types[want] {
			t.Errorf("no %s", want)
		}
	}
}

// A charge tells of the refunds that it had, and previous_attributes of what it
// told before.
func TestChargesTellOfTheirRefunds(t *testing.T) {
	run := testRun(2, 2*len(lifecycles))
	var seen []string
	for _, d := range run.Deliveries {
		if d.Type != "charge.refunded" {
			continue
		}
		e := decodeEvent(t, d.Body)
		now, _ := e.at("data.object.amount_refunded")
		before, told := e.at("data.previous_attributes.amount_refunded")
		if !told || now.(float64) <= before.(float64) {
			t.Fatalf("%s: refunded %v after %v:\n%s", d.EventID, now, before, d.Body)
		}
		seen = append(seen, e.text("api_version"))
	}
	slices.Sort(seen)
	if len(slices.Compact(seen)) < 2 {
		t.Errorf("refunded charges of %v only", seen)
	}
}
