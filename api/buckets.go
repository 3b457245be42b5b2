package api

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// Rate is how much is let through. The zero Rate lets everything through.
type Rate struct {
	// PerSecond is how much in the long run.
	PerSecond float64
	// Burst is how much at once, after a pause.
	Burst int
}

// limits reports whether there is a limit at all.
func (r Rate) limits() bool { return r.PerSecond > 0 }

// maxBuckets bounds each table of buckets. A full bucket is like none, so one that
// was not asked for in the longest time gives way to a new one. Who has so many
// addresses that this forgives him something has as many bursts anyway.
const maxBuckets = 16384

// buckets are token buckets, one for each client of one kind.
type buckets[K comparable] struct {
	kind string
	rate Rate

	mu   sync.Mutex
	kept *simplelru.LRU[K, *bucket]
	// shared says that other servers are told what is spent, and unshared are the
	// buckets of which they were not told all.
	shared   bool
	unshared []*bucket
}

// bucket is that of one client. Its fields are guarded by the table's mutex.
type bucket struct {
	*rate.Limiter
	// name is the bucket's among servers; it does not tell whose it is.
	name string
	// spent is what was spent here and the other servers were not told yet; total
	// is what all had spent when they were last told, negative if they never were.
	spent, total int64
	// unsure is what they may have been told, though it was not confirmed.
	unsure int64
}

func newBuckets[K comparable](kind string, r Rate) *buckets[K] {
	kept, err := simplelru.NewLRU[K, *bucket](maxBuckets, nil)
	if err != nil {
		panic("the bound of buckets is a constant: " + err.Error())
	}
	return &buckets[K]{kind: kind, rate: r, kept: kept}
}

// take takes one token. If there is none, wait is how long it takes until there
// is one.
func (b *buckets[K]) take(k K, now time.Time) (wait time.Duration, ok bool) {
	if !b.rate.limits() {
		return 0, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	mine := b.of(k)
	if mine.AllowN(now, 1) {
		b.note(k, mine)
		return 0, true
	}
	return b.until(mine, now), false
}

// reserve takes one token even if there is none yet: wait is when there will be.
// It takes none if that is beyond most.
func (b *buckets[K]) reserve(k K, now time.Time, most time.Duration) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.of(k).ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > most {
		r.CancelAt(now)
		return most, false
	}
	return wait, true
}

// owes is how long it takes until there is a token, where that is not now.
func (b *buckets[K]) owes(k K, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	mine, there := b.kept.Peek(k)
	if !there {
		return 0
	}
	return b.until(mine, now)
}

// until is how long it takes until there is a token.
func (b *buckets[K]) until(mine *bucket, now time.Time) time.Duration {
	return max(0, time.Duration((1-mine.TokensAt(now))/b.rate.PerSecond*float64(time.Second)))
}

func (b *buckets[K]) of(k K) *bucket {
	if mine, there := b.kept.Get(k); there {
		return mine
	}
	mine := &bucket{Limiter: rate.NewLimiter(rate.Limit(b.rate.PerSecond), b.rate.Burst), total: -1}
	b.kept.Add(k, mine)
	return mine
}

// note remembers what is to be shared.
func (b *buckets[K]) note(k K, mine *bucket) {
	if !b.shared {
		return
	}
	if mine.name == "" {
		sum := sha256.Sum256(fmt.Append(nil, b.kind, " ", k))
		mine.name = b.kind + ":" + hex.EncodeToString(sum[:12])
	}
	if mine.spent++; mine.spent == 1 {
		b.unshared = append(b.unshared, mine)
	}
}

// portion is what was spent of one bucket and is being shared.
type portion struct {
	*bucket
	spent int64
}

// unsharedPortions takes up to most of what the other servers were not told yet.
func (b *buckets[K]) unsharedPortions(most int) []portion {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shared = true
	n := min(most, len(b.unshared))
	portions := make([]portion, n)
	for i, mine := range b.unshared[:n] {
		portions[i] = portion{mine, mine.spent}
		mine.spent = 0
	}
	b.unshared = append(b.unshared[:0], b.unshared[n:]...)
	return portions
}

// settle takes from each bucket what the other servers spent of it. What was
// spent before this one first heard of it is left aside, as is what exceeds a
// whole bucket.
func (b *buckets[K]) settle(portions []portion, totals map[string]int64, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range portions {
		total, told := totals[p.name]
		if !told {
			continue
		}
		others := total - p.spent - p.total
		ours := min(max(others, 0), p.unsure)
		p.unsure -= ours
		if others -= ours; p.total >= 0 && others > 0 {
			p.ReserveN(now, int(min(others, int64(b.rate.Burst))))
		}
		p.total = total
	}
}

// miss notes that nobody knows whether the others were told: if they were, what
// they hear of it later is not somebody else's.
func (b *buckets[K]) miss(portions []portion) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range portions {
		p.unsure += p.spent
	}
}

func (b *buckets[K]) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept.Len()
}

// retryAfter is a wait in the whole seconds of that header.
func retryAfter(wait time.Duration) int {
	return int(min(max(math.Ceil(wait.Seconds()), 1), math.MaxInt32))
}
