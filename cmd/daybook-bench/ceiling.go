package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gorilla/mux"
	"github.com/stripe/stripe-go/v76/webhook"
)

// ceilingHandler is what any receiver of webhooks has to do at least: route,
// read, check the signature, decode the envelope, answer. It is frozen: were
// it made faster or slower, the ratios to it would lose their meaning.
func ceilingHandler(secret string) http.Handler {
	router := mux.NewRouter()
	router.HandleFunc("/webhooks/stripe", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "body", http.StatusBadRequest)
			return
		}
		if err := webhook.ValidatePayload(body, r.Header.Get("Stripe-Signature"), secret); err != nil {
			http.Error(w, "signature", http.StatusBadRequest)
			return
		}
		var envelope struct {
			ID         string `json:"id"`
			Type       string `json:"type"`
			Created    int64  `json:"created"`
			Livemode   bool   `json:"livemode"`
			Account    string `json:"account"`
			APIVersion string `json:"api_version"`
		}
		if err := json.Unmarshal(body, &envelope); err != nil || envelope.ID == "" {
			http.Error(w, "envelope", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"received":true}` + "\n"))
	}).Methods(http.MethodPost)
	router.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	return router
}

// bareReader answers every question for an entitlement, or for a feature, with the
// same bytes. It is frozen, too.
func bareReader(answer []byte) http.Handler {
	router := mux.NewRouter()
	same := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}
	router.HandleFunc("/v1/entitlements/{account}", same).Methods(http.MethodGet)
	router.HandleFunc("/v1/entitlements/{account}/features/{feature}", same).Methods(http.MethodGet)
	router.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	return router
}

// serveCeiling is the child process that serves the frozen handler.
func serveCeiling(args []string) error {
	fs := flag.NewFlagSet("ceiling", flag.ContinueOnError)
	addr := fs.String("addr", "127.0.0.1:0", "address")
	answer := fs.String("answer", "", "a file that every question for an entitlement is answered with")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	handler := ceilingHandler(devSecret)
	if *answer != "" {
		content, err := os.ReadFile(*answer)
		if err != nil {
			return err
		}
		handler = bareReader(content)
	}
	return serveUntil(ctx, *addr, handler)
}

func serveUntil(ctx context.Context, addr string, handler http.Handler) error {
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}
