package aggregate_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/daybookhq/daybook/aggregate"
)

func (s *story) creditNote(t aggregate.FactType, id string, status string) *aggregate.CreditNoteSnapshot {
	note := &aggregate.CreditNoteSnapshot{ID: id, Invoice: "in_1", Customer: "cus_1", Status: status, Currency: "usd", Amount: 700,
		Refunds: []string{"re_1"}, CreatedAt: day0}
	s.add(aggregate.Fact{Type: t, CreditNote: note}, at(day))
	return note
}

// wantBill checks the truth of every order of arrival.
func wantBill(t *testing.T, s *story, check func(aggregate.BillTruth) bool) {
	t.Helper()
	for _, order := range permutations(s.facts) {
		if b := gather(order).DeriveBill("in_1"); !check(b) {
			t.Fatalf("%+v, invoice %+v", b, b.Invoice)
		}
	}
}

func TestABillIsItsInvoiceAndItsCreditNotes(t *testing.T) {
	var s story
	s.invoice(aggregate.InvoiceFinalized, day0, "in_1", day0)
	s.failed(at(day), "in_1", day0)
	s.paid(at(day), "in_1", day0)
	s.creditNote(aggregate.CreditNoteIssued, "cn_1", "issued")
	s.creditNote(aggregate.CreditNoteUpdated, "cn_1", "issued")
	want := aggregate.BillTruth{ID: "in_1", Customer: "cus_1",
		Invoice:        &aggregate.InvoiceTruth{ID: "in_1", Status: "paid", Paid: 2900, Due: 2900, Currency: "usd", CreatedAt: day0, FirstFailedAt: at(day)},
		CreditNotes:    []aggregate.CreditNoteTruth{{ID: "cn_1", Status: "issued", Currency: "usd", Amount: 700, Refunds: []string{"re_1"}}},
		LastOccurredAt: at(day), Position: 7}
	wantBill(t, &s, func(b aggregate.BillTruth) bool { return reflect.DeepEqual(b, want) })
}

func TestCreditNotesOfASubscriptionsInvoiceStandAlone(t *testing.T) {
	var s story
	s.creditNote(aggregate.CreditNoteVoided, "cn_2", "")
	s.creditNote(aggregate.CreditNoteUpdated, "cn_2", "issued")
	s.creditNote(aggregate.CreditNoteIssued, "cn_1", "issued")
	s.creditNote(aggregate.CreditNoteIssued, "cn_2", "issued")
	wantBill(t, &s, func(b aggregate.BillTruth) bool {
		return b.Invoice == nil && len(b.CreditNotes) == 2 && b.CreditNotes[0].ID == "cn_1" && b.CreditNotes[0].Status == "issued" &&
			b.CreditNotes[1].Status == "void" && b.Flags == nil
	})
}

func TestAVoidedNoteStaysVoid(t *testing.T) {
	var s story
	s.creditNote(aggregate.CreditNoteVoided, "cn_1", "void")
	s.creditNote(aggregate.CreditNoteUpdated, "cn_1", "issued")
	s.facts[1].OccurredAt = at(2 * day)
	wantBill(t, &s, func(b aggregate.BillTruth) bool { return b.CreditNotes[0].Status == "void" })
}

func TestADeletedDraftIsNoInvoice(t *testing.T) {
	var s story
	s.invoice(aggregate.InvoiceDeleted, at(day), "in_1", day0)
	wantBill(t, &s, func(b aggregate.BillTruth) bool { return b.Invoice == nil && b.Customer == "cus_1" && b.Flags == nil })
}

func TestContradictionsOfABillAreFlags(t *testing.T) {
	for flag, tell := range map[string]func(s *story){
		aggregate.FlagPaidAfterVoid: func(s *story) {
			s.invoice(aggregate.InvoiceVoided, at(day), "in_1", day0)
			s.paid(at(2*day), "in_1", day0)
		},
		aggregate.FlagNegativeAmount: func(s *story) { s.paid(at(day), "in_1", day0).AmountPaid = -1 },
		aggregate.FlagUnknownCurrency: func(s *story) {
			s.creditNote(aggregate.CreditNoteIssued, "cn_1", "issued").Currency = "dollars"
		},
		aggregate.FlagDeletedBeforeCreated: func(s *story) {
			s.invoice(aggregate.InvoiceDeleted, day0, "in_1", day0)
			s.paid(at(2*day), "in_1", day0)
		},
		"told_by_intake": func(s *story) { s.paid(at(day), "in_1", day0).Flags = []string{"told_by_intake"} },
	} {
		var s story
		tell(&s)
		wantBill(t, &s, func(b aggregate.BillTruth) bool { return slices.Equal(b.Flags, []string{flag}) })
	}
}

func TestWhatWasPaidIsNotForgottenThoughTheInvoiceWasDeleted(t *testing.T) {
	var s story
	s.paid(day0, "in_1", day0)
	s.invoice(aggregate.InvoiceDeleted, at(day), "in_1", day0)
	wantBill(t, &s, func(b aggregate.BillTruth) bool { return b.Invoice != nil && b.Invoice.Paid == 2900 })
}
