package main

import "testing"

func TestRoomForGarbage(t *testing.T) {
	for _, tt := range []struct {
		live uint64
		want int
	}{
		{0, 250}, {4 << 20, 250}, {20 << 20, 200}, {40 << 20, 100}, {50 << 20, 80}, {96 << 20, 50}, {1 << 40, 50},
	} {
		if got := garbagePercent(40<<20, tt.live); got != tt.want {
			t.Errorf("%d MiB alive: %d percent, want %d", tt.live>>20, got, tt.want)
		}
	}
}
