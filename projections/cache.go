package projections

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/daybookhq/daybook/eventstore"
)

// defaultCachedFacts is about 50 MB of facts.
const defaultCachedFacts = 50_000

// foldedCache keeps the streams folded last, so that a busy subscription is not
// read again for each of its events. It is bounded by the events in it.
type foldedCache struct {
	mu     sync.Mutex
	bound  int
	weight int
	lru    *simplelru.LRU[eventstore.Stream, *folded]
}

func newFoldedCache(bound int) *foldedCache {
	if bound <= 0 {
		bound = defaultCachedFacts
	}
	c := &foldedCache{bound: bound}
	lru, err := simplelru.NewLRU(bound, func(_ eventstore.Stream, f *folded) { c.weight -= f.events })
	if err != nil {
		panic("a positive size is a valid size: " + err.Error())
	}
	c.lru = lru
	return c
}

// take removes and returns what is kept of a stream, nil if nothing is.
func (c *foldedCache) take(stream eventstore.Stream) *folded {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, found := c.lru.Peek(stream)
	if !found {
		return nil
	}
	c.lru.Remove(stream)
	return f
}

// peek returns what is kept of a stream, nil if nothing is. It stays the cache's:
// the caller must not change it.
func (c *foldedCache) peek(stream eventstore.Stream) *folded {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, _ := c.lru.Peek(stream)
	return f
}

// put keeps a stream; the caller must not change it any more.
func (c *foldedCache) put(stream eventstore.Stream, f *folded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Add(stream, f)
	c.weight += f.events
	for c.weight > c.bound {
		c.lru.RemoveOldest()
	}
}

// told remembers that the end of a grace was told of, if the stream is kept.
func (c *foldedCache) told(stream eventstore.Stream, end time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, found := c.lru.Peek(stream); found {
		f.tell(end)
	}
}

// moved forgets where the model has a stream's row, if the stream is kept.
func (c *foldedCache) moved(stream eventstore.Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, found := c.lru.Peek(stream); found {
		f.written = nil
	}
}

func (c *foldedCache) purge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Purge()
	c.weight = 0
}
