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
	var b strings.Builder
	text := func(values ...string) {
		for _, v := range values {
			b.WriteString(strconv.Quote(v))
		}
	}
	moments := func(times ...time.Time) {
		for _, t := range times {
			unix := int64(0)
			if !t.IsZero() {
				unix = t.Unix()
			}
			b.WriteString(strconv.FormatInt(unix, 10))
			b.WriteByte(' ')
		}
	}
	b.WriteString("1:")
	text(s.Customer, string(s.Status), s.Account, s.CollectionMethod, s.LatestInvoice, s.PauseCollection, s.PausedFor)
	moments(s.TrialEnd, s.CancelAt, s.CanceledAt, s.EndedAt)
	b.WriteString(strconv.FormatBool(s.CancelAtPeriodEnd))
	items := slices.Clone(s.Items)
	slices.SortFunc(items, func(x, y Item) int { return strings.Compare(x.Price, y.Price) })
	for _, item := range items {
		text(item.Price, item.LookupKey, item.Product)
		b.WriteString(strconv.FormatInt(item.Quantity, 10))
		moments(item.PeriodStart, item.PeriodEnd)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:8])
}
