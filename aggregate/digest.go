package aggregate

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Digest identifies what a snapshot says, for telling which snapshot of one
// second came before which. It covers a fixed list of fields in a fixed order:
// digests are stored (see Before), so the list changes only together with its
// leading version.
func (s *SubscriptionSnapshot) Digest() string {
	b := make(digested, 0, 512)
	b = append(b, "1:"...)
	b.text(s.Customer, string(s.Status), s.Account, s.CollectionMethod, s.LatestInvoice, s.PauseCollection, s.PausedFor)
	b.moments(s.TrialEnd, s.CancelAt, s.CanceledAt, s.EndedAt)
	b = strconv.AppendBool(b, s.CancelAtPeriodEnd)
	items := s.Items
	if len(items) > 1 {
		items = slices.Clone(items)
		slices.SortFunc(items, func(x, y Item) int { return strings.Compare(x.Price, y.Price) })
	}
	for _, item := range items {
		b.text(item.Price, item.LookupKey, item.Product)
		b = strconv.AppendInt(b, item.Quantity, 10)
		b.moments(item.PeriodStart, item.PeriodEnd)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// digested is what a digest covers, written so that no two snapshots that say
// different things are written the same.
type digested []byte

func (b *digested) text(values ...string) {
	for _, v := range values {
		*b = strconv.AppendQuote(*b, v)
	}
}

// moments writes times in seconds since 1970, and 0 for none.
func (b *digested) moments(times ...time.Time) {
	for _, t := range times {
		unix := int64(0)
		if !t.IsZero() {
			unix = t.Unix()
		}
		*b = append(strconv.AppendInt(*b, unix, 10), ' ')
	}
}
