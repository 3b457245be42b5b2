package main

import (
	"os"
	"runtime"
)

// flushers is how many goroutines of a server wait for the disk most of their
// time, and may do so at once: the store's writer and its checkpointer.
const flushers = 2

// spareProcessors gives Go more processors than there are, one for each that may
// be waiting for the disk, unless the environment says how many. A goroutine in a
// system call keeps its processor until Go's monitor takes it away, which may be
// ten milliseconds later; what became ready there waits meanwhile, and so does
// what arrives on the network once all the others are busy. (Go keeps no
// count of the processors that a container is granted later once it was told.)
func spareProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + flushers)
	}
}
