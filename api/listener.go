package api

import (
	"net/http"
	"time"
)

// HTTPServer returns an http.Server for h with every limit set: a slow or greedy
// client must not hold a connection for ever, nor all of them.
func HTTPServer(h http.Handler, connections *Connections) *http.Server {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		// Longer than reading plus the longest answer.
		WriteTimeout:   30 * time.Second,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 32 << 10,
	}
	connections.guard(server)
	return server
}
