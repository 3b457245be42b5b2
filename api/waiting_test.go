package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/daybookhq/daybook/api"
)

func TestWaitingSaysSoUntilThereIsAServer(t *testing.T) {
	t.Parallel()
	w := api.NewWaiting()
	ask := func(method, path string) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		w.ServeHTTP(answer, httptest.NewRequest(method, path, nil))
		return answer
	}
	if a := ask(http.MethodGet, "/livez"); a.Code != http.StatusOK {
		t.Errorf("livez: %d", a.Code)
	}
	a := ask(http.MethodPost, "/webhooks/stripe")
	if a.Code != http.StatusServiceUnavailable || a.Header().Get("Retry-After") == "" || a.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("a webhook: %d %v", a.Code, a.Header())
	}
	for _, path := range []string{"/livez", "/webhooks/stripe"} {
		if h := ask(http.MethodGet, path).Header(); h.Get("X-Request-Id") == "" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s lacks what every answer has: %v", path, h)
		}
	}
	// One that waits is handed over, and so is whatever comes then.
	waiting := make(chan int)
	go func() { waiting <- ask(http.MethodGet, "/readyz").Code }()
	w.Serve(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusTeapot) }))
	if code := <-waiting; code != http.StatusTeapot {
		t.Errorf("handed over while waiting: %d", code)
	}
	if a := ask(http.MethodGet, "/livez"); a.Code != http.StatusTeapot {
		t.Errorf("after that: %d", a.Code)
	}
}
