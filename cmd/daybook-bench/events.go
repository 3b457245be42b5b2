package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The payloads are in the shape and of the size that Stripe sends.
//
//go:embed payload/*.json.tmpl
var payloads embed.FS

// eventMaker makes distinct Stripe events: of each account first a new
// subscription, then changes and payments in turn.
type eventMaker struct {
	accounts int
	// prefix keeps the accounts and the events of one load apart from another's.
	prefix  string
	began   int64
	created string
	updated string
	paid    string
}

func newEventMaker(prefix string, accounts int, now time.Time) (*eventMaker, error) {
	m := &eventMaker{accounts: accounts, prefix: prefix, began: now.Unix() - 86400}
	for name, into := range map[string]*string{"created": &m.created, "updated": &m.updated, "paid": &m.paid} {
		text, err := payloads.ReadFile("payload/" + name + ".json.tmpl")
		if err != nil {
			return nil, err
		}
		*into = string(text)
	}
	return m, nil
}

// account names the account that the i-th event speaks of.
func (m *eventMaker) account(i int) string { return fmt.Sprintf("%s-%06d", m.prefix, i%m.accounts) }

// first is the time of the first event.
func (m *eventMaker) first() time.Time { return time.Unix(m.began, 0).UTC() }

// at is when an account has its turn: each once a minute, one after the other.
func (m *eventMaker) at(who, turn int) int64 {
	return m.began + 60*int64(turn) + 60*int64(who)/int64(m.accounts)
}

// opens reports whether the i-th event is the first of its account.
func (m *eventMaker) opens(i int) bool { return i < m.accounts }

func (m *eventMaker) eventID(i int) string { return fmt.Sprintf("evt_%s%010d", m.prefix, i) }

// body is the i-th event.
func (m *eventMaker) body(i int) string {
	who, turn := i%m.accounts, i/m.accounts
	text := m.created
	switch {
	case turn > 0 && turn%2 == 1:
		text = m.updated
	case turn > 0:
		text = m.paid
	}
	id := func(kind string, n int) string { return fmt.Sprintf("%s_%s%06d%06d", kind, m.prefix, who, n) }
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return strings.NewReplacer(
		"@event@", m.eventID(i), "@account@", m.account(i),
		"@subscription@", id("sub", 0), "@customer@", id("cus", 0), "@item@", id("si", 0), "@method@", id("pm", 0),
		"@invoice@", id("in", turn), "@previous@", id("in", turn-1),
		"@start@", number(m.began), "@end@", number(m.began+30*86400), "@created@", number(m.at(who, turn)),
	).Replace(text)
}

// requests makes n signed webhooks, ready to be written to a connection. They
// are valid for as long as a signature is: five minutes.
func (m *eventMaker) requests(n int, now time.Time) [][]byte { return m.requestsFrom(0, n, now) }

// requestsFrom makes those of the n events from the i-th on.
func (m *eventMaker) requestsFrom(i, n int, now time.Time) [][]byte {
	all := make([][]byte, n)
	for k := range all {
		all[k] = signedRequest(m.body(i+k), now)
	}
	return all
}

func signedRequest(body string, now time.Time) []byte {
	mac := hmac.New(sha256.New, []byte(devSecret))
	fmt.Fprintf(mac, "%d.%s", now.Unix(), body)
	return fmt.Appendf(nil, "POST /webhooks/stripe HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n"+
		"Accept: */*; q=0.5, application/xml\r\nCache-Control: no-cache\r\nContent-Type: application/json; charset=utf-8\r\n"+
		"Stripe-Signature: t=%d,v1=%s\r\nContent-Length: %d\r\n\r\n%s",
		now.Unix(), hex.EncodeToString(mac.Sum(nil)), len(body), body)
}
