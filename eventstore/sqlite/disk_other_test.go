//go:build !linux

package sqlite

import "testing"

// smallDisk would mount a small file system.
func smallDisk(t *testing.T) (dir string, ok bool) {
	t.Helper()
	t.Log("no file system to fill on this system")
	return "", false
}
