package main

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The bounds of garbage collection.
const (
	// garbageRoom is how much garbage may gather between two collections. Go's
	// own rule lets as much gather as there is alive: that is little while a
	// server has just started, which then collects all the time, and makes
	// memory swing most when there is much of it.
	garbageRoom = 36 << 20
	// steadyHeap is what the heap may grow to in any case. Requests that come
	// during a collection wait longer: where little is alive, and few collect much,
	// fewer than one in a hundred do.
	steadyHeap = 84 << 20
	// clusterRoom is the room of a node of a cluster, whose protocol makes twice
	// the garbage, and which has no store of its own to keep in memory.
	clusterRoom = 80 << 20
	// rebuildRoom is the room while history is folded anew, which is soon over,
	// has much alive and makes garbage faster than anything else.
	rebuildRoom = 200 << 20
	// leastPercent and mostPercent bound the room in proportion to what is alive:
	// a large heap is not marked again and again, and one that grows quickly does
	// not run away before it is measured anew.
	leastPercent = 50
	mostPercent  = 500
	// measureEvery is how often the room is measured anew.
	measureEvery = 100 * time.Millisecond
)

// keepGarbageRoom keeps the room for garbage steady until ctx ends, unless the
// environment says how to collect. It asks how much that is beside what is alive.
func keepGarbageRoom(ctx context.Context, room func(live uint64) uint64) {
	if os.Getenv("GOGC") != "" {
		return
	}
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for set := 0; ; {
		metrics.Read(live)
		// Setting it stops the world for a moment: not for every little change.
		alive := live[0].Value.Uint64()
		if percent := garbagePercent(room(alive), alive); math.Abs(float64(percent-set)) > 0.1*float64(set) {
			debug.SetGCPercent(percent)
			set = percent
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// garbageRoom is how much garbage the node may have now, beside what is alive.
func (n *node) garbageRoom(live uint64) uint64 {
	switch {
	case n.runner.Rebuilding():
		return rebuildRoom
	case n.cfg.EventStoreURL != "":
		return clusterRoom
	}
	return steadyRoom(live)
}

// steadyRoom is the room beside what is alive while webhooks are taken and
// requests answered.
func steadyRoom(live uint64) uint64 { return max(garbageRoom, steadyHeap-min(live, steadyHeap)) }

// garbagePercent is the room in percent of what is alive.
func garbagePercent(room, live uint64) int {
	return int(min(max(leastPercent, room*100/max(live, 1)), mostPercent))
}
