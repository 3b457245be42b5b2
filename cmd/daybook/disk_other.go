//go:build !(linux || darwin || freebsd)

package main

import "errors"

// freeBytes is not known here.
func freeBytes(string) (uint64, error) { return 0, errors.New("not known on this system") }

// writable is not known here; the server says so soon enough.
func writable(string) bool { return true }
