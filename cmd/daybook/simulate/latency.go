package simulate

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets that are at most a thirty-second of
// their value wide, so that millions of requests take no more memory than one.
type histogram struct {
	counts [bucketCount]uint32
	total  uint64
	max    time.Duration
}

const (
	// stepBits is how many bits of a duration, in microseconds, are kept behind
	// its first.
	stepBits = 5
	// bucketCount is enough for the microseconds of an hour.
	bucketCount = 32 << stepBits
)

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.total++
	h.max = max(h.max, d)
}

// bucketOf gives small durations a bucket each, larger ones one per step.
func bucketOf(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 0))
	shift := max(bits.Len64(us)-stepBits-1, 0)
	return min(shift<<stepBits+int(us>>shift), bucketCount-1)
}

// bucketTop is the longest duration of a bucket.
func bucketTop(b int) time.Duration {
	shift := max(b>>stepBits-1, 0)
	us := (uint64(b-shift<<stepBits)+1)<<shift - 1
	return time.Duration(us) * time.Microsecond
}

// quantile is a duration that a share q of all does not exceed; 0 for none.
func (h *histogram) quantile(q float64) time.Duration {
	var seen uint64
	for b, n := range h.counts {
		if seen += uint64(n); n > 0 && float64(seen) >= q*float64(h.total) {
			return min(bucketTop(b), h.max)
		}
	}
	return h.max
}
