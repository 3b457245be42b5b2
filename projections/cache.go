package projections

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/daybookhq/daybook/eventstore"
)

// defaultCachedStreams is about 25 MB.
const defaultCachedStreams = 32_768

// foldedCache keeps what is known of the streams folded last but their events,
// which are kept elsewhere: so that the model need not be asked for each event of
// a busy subscription what it has of it.
type foldedCache struct {
	mu  sync.Mutex
	lru *simplelru.LRU[eventstore.Stream, *folded]
}

func newFoldedCache(streams int) *foldedCache {
	if streams <= 0 {
		streams = defaultCachedStreams
	}
	lru, err := simplelru.NewLRU[eventstore.Stream, *folded](streams, nil)
	if err != nil {
		panic("a positive size is a valid size: " + err.Error())
	}
	return &foldedCache{lru: lru}
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

// put keeps a stream that rests; the caller must not change it any more.
func (c *foldedCache) put(stream eventstore.Stream, f *folded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Add(stream, f)
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
}
