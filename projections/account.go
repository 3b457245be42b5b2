package projections

import (
	"slices"
	"strings"
	"time"

	"github.com/daybookhq/daybook/aggregate"
)

// AccountRecord is an account and all that belongs to it.
type AccountRecord struct {
	Account string `json:"account"`
	// Customers are those whose subscriptions belong to the account, and those
	// whose metadata names it.
	Customers []string `json:"customers"`
	// DeletedCustomers are those of them that Stripe has deleted.
	DeletedCustomers []string `json:"-"`
	// Links say why a subscription or a customer belongs to the account.
	Links         []LinkRecord         `json:"links"`
	Subscriptions []SubscriptionRecord `json:"subscriptions"`
	// Waivers are all that operators ever granted, oldest first.
	Waivers []aggregate.Waiver `json:"waivers"`
	Block   *aggregate.Block   `json:"block,omitempty"`
	// GraceUntil is the moment before which no grace of the account ends.
	GraceUntil time.Time     `json:"grace_until,omitzero"`
	Payments   PaymentTotals `json:"payments"`
	// Flags name what a person should look at, of anything above; sorted.
	Flags       []string          `json:"flags"`
	Entitlement EntitlementRecord `json:"-"`

	holding *holding
}

// LinkRecord is a claim on an account that is in force.
type LinkRecord struct {
	// Subscription is what belongs to the account by this link; empty where a
	// customer's metadata claims the account.
	Subscription string `json:"subscription,omitempty"`
	Customer     string `json:"customer,omitempty"`
	// By names the rank in words: what named the account.
	By string `json:"by"`
	aggregate.Link
}

// linkWords name the ranks.
var linkWords = map[aggregate.LinkRank]string{
	aggregate.LinkSubscription: "subscription", aggregate.LinkSession: "checkout_session",
	aggregate.LinkInvoice: "invoice", aggregate.LinkCustomer: "customer",
	aggregate.LinkClientReference: "client_reference", aggregate.LinkCustomerID: "customer_id",
}

// PaymentTotals sum an account's payments, each counted once, by currency.
type PaymentTotals struct {
	Received []aggregate.Money `json:"received"`
	Refunded []aggregate.Money `json:"refunded"`
	// Lost is what lost disputes took.
	Lost []aggregate.Money `json:"lost"`
	// Credited is what credit notes that stand took off invoices. What of it was
	// given back as a refund is in Refunded as well.
	Credited []aggregate.Money `json:"credited"`
}

// AccountOf gathers an account's record, but for its stored entitlement, and
// tells whether anything is known of the account.
func AccountOf(l Lookup, account string) (AccountRecord, bool, error) {
	h, err := holdingOf(l, account, nil, false)
	if err != nil {
		return AccountRecord{}, false, err
	}
	claims := map[string]aggregate.Link{}
	var deleted []string
	for _, customer := range h.customers {
		var c aggregate.CustomerTruth
		if err := decodeObject(l, KindCustomer, customer, &c); err != nil {
			return AccountRecord{}, false, err
		}
		claims[customer] = c.Link
		if c.Deleted {
			deleted = append(deleted, customer)
		}
	}
	record := h.record(account, claims)
	record.DeletedCustomers = deleted
	return record, h.known(), nil
}

// record is what a person is shown; claims are those of the customers' metadata.
func (h *holding) record(account string, claims map[string]aggregate.Link) AccountRecord {
	a := AccountRecord{
		Account: account, Customers: orEmpty(h.customers), Links: []LinkRecord{}, Subscriptions: []SubscriptionRecord{},
		Waivers: orEmpty(h.Decisions.Waivers), Block: h.Decisions.Block, GraceUntil: h.Decisions.GraceUntil,
		Payments: totals(h.payments, h.bills), Flags: slices.Clone(h.flags), holding: h,
	}
	for _, s := range h.Subscriptions {
		customer := customerOf(s)
		link := LinkRecord{Subscription: s.ID, Customer: customer, Link: s.Link}
		if claim := claims[customer]; accountByClaim(s.Link, claim.Account) != s.Link.Account {
			link.Link = claim
		}
		a.addLink(link)
		a.Subscriptions = append(a.Subscriptions, SubscriptionRecord{SubscriptionTruth: s, Account: account})
		a.Flags = append(a.Flags, s.Flags...)
	}
	for _, customer := range h.claimed {
		a.addLink(LinkRecord{Customer: customer, Link: claims[customer]})
	}
	slices.Sort(a.Flags)
	a.Flags = orEmpty(slices.Compact(a.Flags))
	return a
}

func (a *AccountRecord) addLink(l LinkRecord) {
	l.By = linkWords[l.Rank]
	a.Links = append(a.Links, l)
}

// held is what the account's entitlement rests on.
func (a AccountRecord) held() *holding {
	if a.holding == nil {
		return &holding{}
	}
	return a.holding
}

// Entitle says what the account may do at now, as Answers does.
func (a AccountRecord) Entitle(c aggregate.Catalogs, now time.Time) aggregate.Entitlement {
	e, _ := a.held().entitle(a.Account, c, now)
	return e
}

// AccessOf says what one of the account's subscriptions grants at now, as far as
// it does by itself: by its status and, beside that, by an extension of grace, by
// a policy of the catalog on the account's payments, and by a test clock.
func (a AccountRecord) AccessOf(t SubscriptionRecord, c *aggregate.Catalog, now time.Time) aggregate.Access {
	return a.held().Access(t.SubscriptionTruth, c, now)
}

// totals sums payments, and the credit notes of bills, by currency.
func totals(payments []aggregate.PaymentTruth, bills []aggregate.BillTruth) PaymentTotals {
	t := PaymentTotals{Received: []aggregate.Money{}, Refunded: []aggregate.Money{}, Lost: []aggregate.Money{}, Credited: []aggregate.Money{}}
	for _, b := range bills {
		for _, note := range b.CreditNotes {
			if note.Status != "void" {
				t.Credited = plus(t.Credited, note.Amount, note.Currency)
			}
		}
	}
	for _, p := range payments {
		t.Received = plus(t.Received, p.Received, p.Currency)
		t.Refunded = plus(t.Refunded, p.Refunded, p.Currency)
		t.Lost = plus(t.Lost, p.Lost, p.Currency)
	}
	return t
}

// plus adds an amount to sums that are ordered by currency.
func plus(sums []aggregate.Money, amount int64, currency string) []aggregate.Money {
	if amount == 0 {
		return sums
	}
	i, found := slices.BinarySearchFunc(sums, currency, func(m aggregate.Money, c string) int { return strings.Compare(m.Currency, c) })
	if !found {
		sums = slices.Insert(sums, i, aggregate.Money{Currency: currency})
	}
	sums[i].Amount += amount
	return sums
}

// orEmpty makes a list that JSON writes as [] rather than null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
