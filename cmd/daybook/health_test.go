package main

import "testing"

func TestAServerIsAskedNearby(t *testing.T) {
	for addr, want := range map[string]string{
		":8080": "127.0.0.1:8080", "0.0.0.0:8080": "127.0.0.1:8080", "[::]:8080": "[::1]:8080",
		"127.0.0.2:80": "127.0.0.2:80", "billing.internal:80": "billing.internal:80",
	} {
		if got := nearby(addr); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}
