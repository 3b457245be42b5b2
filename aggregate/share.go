package aggregate

import "slices"

// Most of what a fact says was said by the one before: the same ids, the same
// items. Facts are kept by the ten thousand, so equal parts share their memory.

// share makes f use the memory of an earlier fact of the same object where the
// two say the same. What f says does not change.
func (f *Fact) share(earlier *Fact) {
	if s, e := f.Subscription, earlier.Subscription; s != nil && e != nil {
		for _, text := range [][2]*string{
			{&s.ID, &e.ID}, {&s.Customer, &e.Customer}, {&s.Account, &e.Account},
			{(*string)(&s.Status), (*string)(&e.Status)}, {&s.CollectionMethod, &e.CollectionMethod},
			{&s.LatestInvoice, &e.LatestInvoice}, {&s.TestClock, &e.TestClock},
		} {
			shareText(text[0], text[1])
		}
		if slices.Equal(s.Items, e.Items) {
			s.Items = e.Items
		}
		for i := range min(len(s.Items), len(e.Items)) {
			shareText(&s.Items[i].Price, &e.Items[i].Price)
			shareText(&s.Items[i].LookupKey, &e.Items[i].LookupKey)
			shareText(&s.Items[i].Product, &e.Items[i].Product)
		}
	}
	if in, e := f.Invoice, earlier.Invoice; in != nil && e != nil {
		for _, text := range [][2]*string{
			{&in.ID, &e.ID}, {&in.Subscription, &e.Subscription}, {&in.Customer, &e.Customer}, {&in.Account, &e.Account},
			{&in.Status, &e.Status}, {&in.BillingReason, &e.BillingReason}, {&in.CollectionMethod, &e.CollectionMethod},
			{&in.Currency, &e.Currency},
		} {
			shareText(text[0], text[1])
		}
	}
}

func shareText(s, earlier *string) {
	if *s == *earlier {
		*s = *earlier
	}
}

// shareWithEarlier looks among the latest facts for one of the same kind.
func (s *FactSet) shareWithEarlier(f *Fact) {
	const lookBack = 4
	for i := len(s.facts) - 1; i >= max(0, len(s.facts)-lookBack); i-- {
		if e := s.facts[i].Fact; e != f && (e.Subscription != nil) == (f.Subscription != nil) && (e.Invoice != nil) == (f.Invoice != nil) {
			f.share(e)
			return
		}
	}
}
