package projections

import (
	"context"

	"github.com/daybookhq/daybook/aggregate"
)

// join evaluates the accounts to which more belongs than one subscription:
// others, what operators decided, clocks, refunds and disputes. What customers
// claim comes first, for it moves subscriptions, and before everything else
// payments are put together.
func (b *rebuild) join(ctx context.Context) error {
	if err := b.joinCharges(ctx); err != nil {
		return err
	}
	if err := b.into.Update(ctx, b.marks.load); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		b.joinClaims, b.joinCrowded,
		b.joining(KindAccount, Every, func(_ Tx, row ObjectRow, to affected) error {
			to.add(row.ID)
			return nil
		}),
		b.joining(KindClock, Every, func(tx Tx, row ObjectRow, to affected) error {
			accounts, err := tx.AccountsOnClock(row.ID)
			to.add(accounts...)
			return err
		}),
		b.joining(KindPayment, Noted, touches),
		b.joining(KindBill, Noted, touches),
		b.joining(KindCustomer, Noted, touches),
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// joinCharges gives payments what the streams of their charges tell.
func (b *rebuild) joinCharges(ctx context.Context) error {
	list, err := b.into.Parked(ctx)
	if err != nil {
		return err
	}
	parked, after := parkedAt(list), ""
	facts := func(payment string) (*aggregate.FactSet, error) {
		return paymentFacts(ctx, b.Store, payment, b.head, parked)
	}
	return b.pages(ctx, func(tx Tx) (int, error) {
		charges, err := tx.Charges(true, after, pageOfJoins)
		if err != nil || len(charges) == 0 {
			return 0, err
		}
		after = charges[len(charges)-1]
		rows, err := assemble(tx, charges, facts)
		for _, row := range rows {
			if err := putAssembled(tx, row); err != nil {
				return 0, err
			}
		}
		return len(charges), err
	})
}

func touches(tx Tx, row ObjectRow, to affected) error { return touchedBy(tx, row, to) }

// joinClaims moves the subscriptions of customers whose metadata claims an
// account. Until all are moved, an account may be evaluated too early; it is
// evaluated again then, since the later move touches it, too.
func (b *rebuild) joinClaims(ctx context.Context) error {
	return b.joining(KindCustomer, Claiming, func(tx Tx, row ObjectRow, to affected) error {
		_, err := moveByClaim(tx, row.ID, row.Account, to)
		return err
	})(ctx)
}

// pageOfJoins bounds the rows of one transaction of a rebuild.
const pageOfJoins = 1000

// joining walks over objects, and evaluates the accounts that they touch.
func (b *rebuild) joining(kind Kind, which Which, touch func(Tx, ObjectRow, affected) error) func(context.Context) error {
	return func(ctx context.Context) error {
		after := ""
		return b.pages(ctx, func(tx Tx) (int, error) {
			rows, err := tx.Objects(kind, which, after, pageOfJoins)
			if err != nil {
				return 0, err
			}
			to := affected{}
			for _, row := range rows {
				if err := touch(tx, row, to); err != nil {
					return 0, err
				}
				after = row.ID
			}
			return len(rows), b.evaluateAll(tx, to.sorted())
		})
	}
}

// joinCrowded evaluates the accounts with more than one subscription.
func (b *rebuild) joinCrowded(ctx context.Context) error {
	after := ""
	return b.pages(ctx, func(tx Tx) (int, error) {
		accounts, err := tx.Crowded(after, pageOfJoins)
		if err != nil || len(accounts) == 0 {
			return 0, err
		}
		after = accounts[len(accounts)-1]
		return len(accounts), b.evaluateAll(tx, accounts)
	})
}

// pages runs transactions until one has less than a page.
func (b *rebuild) pages(ctx context.Context, page func(Tx) (int, error)) error {
	for n := pageOfJoins; n == pageOfJoins; {
		err := b.into.Update(ctx, func(tx Tx) (err error) {
			n, err = page(tx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *rebuild) evaluateAll(tx Tx, accounts []string) error {
	for _, account := range accounts {
		if _, err := b.evaluate(tx, account, nil, b.now); err != nil {
			return err
		}
	}
	return nil
}
