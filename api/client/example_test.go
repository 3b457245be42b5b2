package client_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/daybookhq/daybook/api/client"
	"github.com/daybookhq/daybook/projections/published"
)

// exampleServer is a server of Daybook's that knows the account acme, which is on
// the tier Basic.
func exampleServer() (url, key string, stop func()) {
	d, err := startDaybook()
	if err != nil {
		log.Fatal(err)
	}
	return d.url, readKey, d.close
}

func Example() {
	url, key, stop := exampleServer()
	defer stop()

	daybook, err := client.New(url, key, client.FailClosed)
	if err != nil {
		log.Fatal(err)
	}
	defer daybook.Close()
	for _, name := range []string{"custom_nym", "white_label"} {
		may, err := daybook.Feature(context.Background(), "acme", name)
		switch {
		case err != nil:
			log.Fatal(err) // a mistake: a wrong key, a feature that does not exist
		case may.Unknown != nil:
			fmt.Println("nothing is known; closed, as declared:", may.Unknown)
		case may.Allowed:
			fmt.Println(name, "is allowed on the tier", may.CurrentTier)
		default:
			fmt.Println(name, "comes with the tier", may.RequiredTier, "from", may.UpgradeURL)
		}
	}
	// Output:
	// custom_nym is allowed on the tier basic
	// white_label comes with the tier enterprise from https://example.com/billing
}

// Many at once, as for a page that shows what there is.
func ExampleClient_Check() {
	url, key, stop := exampleServer()
	defer stop()
	daybook, err := client.New(url, key, client.FailClosed)
	if err != nil {
		log.Fatal(err)
	}
	defer daybook.Close()

	check, err := daybook.Check(context.Background(), "acme",
		[]string{"custom_nym", "white_label"}, map[string]client.Limit{"members": 412})
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range check.Features {
		fmt.Println(f.Feature, f.Allowed)
	}
	for _, l := range check.Limits {
		fmt.Println(l.Limit, l.Allowed, l.Wanted, "of", l.Maximum)
	}
	// Output:
	// custom_nym true
	// white_label false
	// members true 412 of 500
}

// Routes that only those reach who may.
func ExampleClient_Require() {
	url, key, stop := exampleServer()
	defer stop()
	daybook, err := client.New(url, key, client.FailClosed)
	if err != nil {
		log.Fatal(err)
	}
	defer daybook.Close()

	team := func(r *http.Request) string { return r.PathValue("team") } // of a team that the session may act for
	export := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "everything") })
	mux := http.NewServeMux()
	mux.Handle("GET /{team}/export", daybook.Require("white_label", team)(export))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/acme/export", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	fmt.Println(w.Body)
	// Output:
	// 402 application/problem+json
	// {"type":"about:blank","title":"Payment Required","status":402,"detail":"This account does not have the feature; the tier enterprise does.","feature":"white_label","reason":"waiver","current_tier":"basic","required_tier":"enterprise","upgrade_url":"https://example.com/billing"}
}

// goRedis lets a client read by go-redis.
type goRedis struct{ redis.Cmdable }

func (r goRedis) Get(ctx context.Context, key string) ([]byte, error) {
	return r.Cmdable.Get(ctx, key).Bytes()
}

// Redis first, and the API for what is not there: with go-redis, wrapped in a type
// of three lines.
//
//	type goRedis struct{ redis.Cmdable }
//
//	func (r goRedis) Get(ctx context.Context, key string) ([]byte, error) {
//		return r.Cmdable.Get(ctx, key).Bytes()
//	}
func ExampleRedis() {
	options, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	options.ContextTimeoutEnabled = true // else a read takes longer than it may
	connection := redis.NewClient(options)
	defer connection.Close()

	var keys [][]byte
	for text := range strings.SplitSeq(os.Getenv("DAYBOOK_ENTITLEMENT_KEY"), ",") {
		key, err := published.ParseKey(text)
		if err != nil {
			log.Fatal(err)
		}
		keys = append(keys, key)
	}
	daybook, err := client.New("http://127.0.0.1:8080", os.Getenv("DAYBOOK_KEY"), client.FailOpen,
		client.Redis(goRedis{connection}, keys...))
	if err != nil {
		log.Fatal(err)
	}
	defer daybook.Close()
}
