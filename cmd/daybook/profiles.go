package main

import (
	"context"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// longestProfile bounds how long a profile may be gathered.
const longestProfile = 5 * time.Minute

// profileServer serves Go's profiles under /debug/pprof/, as `go tool pprof` asks
// for them. The command line is not among them: it may hold secrets. When ctx
// ends, whatever is being gathered ends too, so that it does not hold up the
// server's end.
func profileServer(ctx context.Context) *http.Server {
	routes := http.NewServeMux()
	routes.HandleFunc("GET /debug/pprof/", pprof.Index)
	routes.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	routes.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return &http.Server{
		Handler:           routes,
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      longestProfile,
		IdleTimeout:       time.Minute,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
}
