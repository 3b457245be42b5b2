package sqlite

import (
	"sync"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/projections"
)

// cachedEntitlements bounds the entitlements kept decoded: about 1.5 KB each.
const cachedEntitlements = 10_000

// cache keeps what requests ask for again and again. Only the process that
// writes the model has one, since only it knows when to forget.
type cache struct {
	// age grows with every forgetting. Who read the file at an older age must
	// not put what it found.
	age          atomic.Uint64
	mu           sync.Mutex // makes "compare the age, then put" one step
	entitlements *lru.Cache[string, projections.EntitlementRecord]
	catalogs     *aggregate.Catalogs
}

func newCache() *cache {
	c, err := lru.New[string, projections.EntitlementRecord](cachedEntitlements)
	if err != nil {
		panic("a positive size is a valid size: " + err.Error())
	}
	return &cache{entitlements: c}
}

func (c *cache) entitlement(account string) (projections.EntitlementRecord, bool, uint64) {
	if c == nil {
		return projections.EntitlementRecord{}, false, 0
	}
	age := c.age.Load()
	r, found := c.entitlements.Get(account)
	return r, found, age
}

func (c *cache) putEntitlement(account string, r projections.EntitlementRecord, age uint64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.age.Load() == age {
		c.entitlements.Add(account, r)
	}
}

func (c *cache) history() (aggregate.Catalogs, bool, uint64) {
	if c == nil {
		return aggregate.Catalogs{}, false, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.catalogs == nil {
		return aggregate.Catalogs{}, false, c.age.Load()
	}
	return *c.catalogs, true, 0
}

func (c *cache) putHistory(h aggregate.Catalogs, age uint64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.age.Load() == age {
		c.catalogs = &h
	}
}

// forget drops what a transaction changed. It is called after the commit: a
// reader that still saw the old rows put them before, or may not any more.
func (c *cache) forget(accounts []string, catalogs bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.age.Add(1)
	for _, a := range accounts {
		c.entitlements.Remove(a)
	}
	if catalogs {
		c.catalogs = nil
	}
}

func (c *cache) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.age.Add(1)
	c.entitlements.Purge()
	c.catalogs = nil
}
