package projections

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/eventstore"
)

// This file puts payments together of which several streams tell: that of the
// intent, and those of its charges, with the events that name no intent. Such a
// payment is one row; a charge that gives its facts to it has none. Few payments
// are of this kind; all others cost a row for their charge, and no look at the
// model.

// assemble derives the payments that have one of the charges anew, with those
// that share a charge with them. A row without a document is that of a charge
// which gives its facts to a payment.
func assemble(tx Tx, charges []string, facts func(payment string) (*aggregate.FactSet, error)) ([]ObjectRow, error) {
	streams, asked := map[string]*aggregate.FactSet{}, map[string]bool{}
	for len(charges) > 0 {
		charge := charges[0]
		charges = charges[1:]
		if asked[charge] {
			continue
		}
		asked[charge] = true
		payments, err := tx.PaymentsOf(charge)
		if err != nil {
			return nil, err
		}
		for _, id := range payments {
			if streams[id] != nil {
				continue
			}
			if streams[id], err = facts(id); err != nil {
				return nil, err
			}
			charges = append(charges, streams[id].Charges(id)...)
		}
	}
	return paymentRows(streams)
}

func paymentRows(streams map[string]*aggregate.FactSet) (rows []ObjectRow, err error) {
	defer recovered(&err)
	truths := aggregate.DerivePayments(streams)
	for _, id := range slices.Sorted(maps.Keys(streams)) {
		row := ObjectRow{Kind: KindPayment, ID: id}
		if truth, whole := truths[id]; whole {
			if row, err = newPaymentRow(truth); err != nil {
				return nil, err
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// putAssembled writes a row, or removes that of a charge which gives its facts to
// a payment.
func putAssembled(tx Tx, row ObjectRow) error {
	if row.Doc == nil {
		return tx.DropObject(row.Kind, row.ID)
	}
	return tx.PutObject(row)
}

// rewritten is an object as the model has it, and as it is written.
type rewritten struct{ before, row ObjectRow }

// together completes the payments of a batch: with what the streams of their
// charges tell, and by the payments that lose or gain it.
func (j *rejoin) together(all []rewritten) ([]rewritten, error) {
	places := map[string]int{}
	for i, r := range all {
		if r.row.Kind == KindPayment {
			places[r.row.ID] = i
		}
	}
	shared, err := j.sharedCharges(all, places)
	if err != nil || len(shared) == 0 {
		return all, err
	}
	rows, err := assemble(j.tx, shared, j.facts)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if i, inBatch := places[row.ID]; inBatch {
			all[i].row = row
			continue
		}
		before, _, err := j.tx.Object(row.Kind, row.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, rewritten{before, row})
	}
	return all, nil
}

// sharedCharges lists those charges of a batch's payments by which streams are
// named, and of which any other stream tells, or had told. Places are those of the
// batch's payments.
func (j *rejoin) sharedCharges(all []rewritten, places map[string]int) ([]string, error) {
	charges, err := j.recordCharges(all)
	if err != nil {
		return nil, err
	}
	var shared []string
	for _, charge := range charges {
		if !j.charges.has(markCharge, charge) {
			continue
		}
		payments, err := j.tx.PaymentsOf(charge)
		if err != nil {
			return nil, err
		}
		outside := func(payment string) bool { _, inBatch := places[payment]; return !inBatch }
		if len(payments) > 1 || slices.ContainsFunc(payments, outside) {
			shared = append(shared, charge)
		}
	}
	return shared, nil
}

// recordCharges records which charges the payments of a batch have gained and
// lost, and lists all that they have or had.
func (j *rejoin) recordCharges(all []rewritten) ([]string, error) {
	var charges []string
	var gained []ChargeRow
	for _, r := range all {
		if r.row.Kind != KindPayment {
			continue
		}
		had, err := j.hadCharges(r)
		if err != nil {
			return nil, err
		}
		charges = append(charges, r.row.Charges...)
		for _, charge := range r.row.Charges {
			if charge == r.row.ID {
				j.charges.put(markCharge, charge)
			}
			if !slices.Contains(had, charge) {
				gained = append(gained, ChargeRow{charge, r.row.ID})
			}
		}
		for _, charge := range had {
			if slices.Contains(r.row.Charges, charge) {
				continue
			}
			charges = append(charges, charge)
			if err := j.tx.DropCharge(ChargeRow{charge, r.row.ID}); err != nil {
				return nil, err
			}
		}
	}
	return charges, j.tx.PutCharges(gained)
}

// hadCharges are those that the model has under a payment. Of a charge that
// gives its facts to a payment it has no row, and only its mark tells.
func (j *rejoin) hadCharges(r rewritten) ([]string, error) {
	var before aggregate.PaymentTruth
	switch {
	case r.before.Doc != nil:
		err := r.before.decode(&before)
		return before.Charges, err
	case j.charges.has(markCharge, r.row.ID) && !slices.Contains(r.row.Charges, r.row.ID):
		return []string{r.row.ID}, nil
	}
	return nil, nil
}

// loadCharges marks the charges by which streams are named.
func (m *marks) loadCharges(tx Tx) error {
	const page = 1000
	after := ""
	for {
		charges, err := tx.Charges(false, after, page)
		if err != nil {
			return err
		}
		for _, charge := range charges {
			m.put(markCharge, charge)
			after = charge
		}
		if len(charges) < page || m.all {
			return nil
		}
	}
}

// paymentFacts reads the facts of a payment's stream as far as a model rests on
// them: up to a position in the log, and before the event at which the stream
// was parked, if it was.
func paymentFacts(ctx context.Context, store eventstore.Reader, payment string, upTo eventstore.Position, parked map[eventstore.Stream]eventstore.Revision) (*aggregate.FactSet, error) {
	stream := eventstore.NewStream(string(KindPayment), payment)
	end, isParked := parked[stream]
	f := newFolded(stream)
	for e, err := range store.ReadStream(ctx, stream, 0, eventstore.Forwards, 0) {
		if errors.Is(err, eventstore.ErrStreamNotFound) || errors.Is(err, eventstore.ErrStreamDeleted) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read stream %s: %w", stream, err)
		}
		if e.Position > upTo || isParked && e.Revision >= end {
			break
		}
		if fault := f.take([]eventstore.RecordedEvent{e}); fault != nil {
			break // what came before it stands
		}
	}
	return f.facts, nil
}
