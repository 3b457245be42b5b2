package main

import "testing"

func TestRoomForGarbage(t *testing.T) {
	for _, tt := range []struct {
		live uint64
		want int
	}{
		{0, 500}, {4 << 20, 500}, {20 << 20, 200}, {40 << 20, 100}, {50 << 20, 80}, {96 << 20, 50}, {1 << 40, 50},
	} {
		if got := garbagePercent(40<<20, tt.live); got != tt.want {
			t.Errorf("%d MiB alive: %d percent, want %d", tt.live>>20, got, tt.want)
		}
	}
}

func TestASteadyHeapGrowsToTheSameSize(t *testing.T) {
	for _, tt := range []struct{ live, want uint64 }{
		{0, steadyHeap}, {20 << 20, steadyHeap - 20<<20}, {steadyHeap - garbageRoom, garbageRoom}, {steadyHeap, garbageRoom}, {1 << 40, garbageRoom},
	} {
		if got := steadyRoom(tt.live); got != tt.want {
			t.Errorf("%d MiB alive: room for %d MiB, want %d", tt.live>>20, got>>20, tt.want>>20)
		}
	}
}
