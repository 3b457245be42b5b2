package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybookhq/daybook/aggregate"
	"github.com/daybookhq/daybook/cmd/daybook/config"
	"github.com/daybookhq/daybook/cmd/daybook/simulate"
	"github.com/daybookhq/daybook/eventstore"
)

// demoAccounts is the size of the demonstration.
const demoAccounts = 300

// baseOf is the service behind a webhook route.
func baseOf(webhook string) string { return strings.TrimSuffix(webhook, webhookRoute) }

// demonstrate sends the traffic of simulated accounts through the real webhook
// route, waits until it is posted, and shows a newcomer what there is to see.
// The service goes on serving afterwards.
func (n *node) demonstrate(ctx context.Context, base string, out *cobra.Command) error {
	now := systemClock().UTC().Truncate(time.Second)
	run := simulate.Generate(simulate.Options{Seed: uint64(now.Unix()), Accounts: demoAccounts, End: now,
		AccountKey: n.cfg.AccountKeys[0], Shuffle: 0.1, Duplicates: 0.1})
	out.Printf("\nSending %d signed webhooks of %d simulated accounts to %s%s,\nsome twice, some out of order …\n",
		len(run.Deliveries), demoAccounts, base, webhookRoute)
	stats, err := simulate.Send(ctx, simulate.SendOptions{URL: base + webhookRoute, Secret: config.DevSecret,
		Concurrency: 16, Retry: true}, run.Deliveries)
	if err != nil {
		return ignoreEnd(ctx, fmt.Errorf("send the simulated traffic: %w", err))
	}
	out.Println(stats)
	report, err := simulate.Check(ctx, simulate.CheckOptions{URL: base, APIKey: config.DevAPIKey, Timeout: time.Minute}, run, now)
	if err != nil {
		return ignoreEnd(ctx, fmt.Errorf("check what became of the traffic: %w", err))
	}
	out.Println(report)
	tour := tour{node: n, base: base, out: out}
	return ignoreEnd(ctx, tour.show(ctx, run, now))
}

// tour shows a few accounts as the API answers them.
type tour struct {
	*node
	base string
	out  *cobra.Command
}

func (t tour) show(ctx context.Context, run *simulate.Run, now time.Time) error {
	healthy, inGrace, cancelled := run.Showcase(now)
	for _, sight := range []struct{ title, account string }{
		{"A healthy account", healthy}, {"One in grace: its payment failed, and access lasts until grace_until", inGrace},
		{"One cancelled", cancelled},
	} {
		if err := t.account(ctx, sight.title, sight.account); err != nil {
			return err
		}
	}
	if err := t.stream(ctx, inGrace); err != nil {
		return err
	}
	if err := t.features(ctx, healthy); err != nil {
		return err
	}
	t.further(inGrace)
	return nil
}

// account prints the part of an entitlement that a newcomer asks for first.
func (t tour) account(ctx context.Context, title, account string) error {
	var e map[string]any
	if err := t.get(ctx, "/v1/entitlements/"+url.PathEscape(account), &e); err != nil {
		return err
	}
	t.out.Printf("\n%s:\n", title)
	rows := newTable(t.out.OutOrStdout(), "  account", account)
	for _, field := range []string{"tier", "status", "reason", "in_grace", "grace_until", "subscription_id", "limits"} {
		if value, present := e[field]; present {
			text, err := json.Marshal(value)
			if err != nil {
				return err
			}
			rows.row("  "+field, strings.Trim(string(text), `"`))
		}
	}
	return rows.flush()
}

// stream prints what is recorded of the subscription behind an account.
func (t tour) stream(ctx context.Context, account string) error {
	e, err := t.answers.Entitlement(ctx, account, systemClock())
	if err != nil {
		return err
	}
	stream := eventstore.NewStream("subscription", e.SubscriptionID)
	t.out.Printf("\nThe stream behind the one in grace, %s (facts from Stripe, and our notes):\n", stream)
	rows := newTable(t.out.OutOrStdout(), "  REV", "TYPE", "STRIPE EVENT", "OCCURRED")
	for ev, err := range t.store.ReadStream(ctx, stream, 0, eventstore.Forwards, 0) {
		if err != nil {
			return err
		}
		var told struct {
			StripeEventID string    `json:"stripe_event_id"`
			OccurredAt    time.Time `json:"occurred_at"`
			Note          bool      `json:"note"`
		}
		if err := json.Unmarshal(ev.Data, &told); err != nil {
			return err
		}
		when := moment(told.OccurredAt)
		if told.Note {
			when = "(note)"
		}
		rows.row(fmt.Sprintf("  %d", ev.Revision), ev.Type, orDash(told.StripeEventID), when)
	}
	return rows.flush()
}

// features asks what product code asks: may the account use the best feature that
// it has, and the best there is, which it has not.
func (t tour) features(ctx context.Context, account string) error {
	e, err := t.answers.Entitlement(ctx, account, systemClock())
	if err != nil {
		return err
	}
	catalog := t.catalogs.Current()
	all := catalog.FeaturesOf(catalog.Tiers[len(catalog.Tiers)-1].ID)
	if len(e.Features) == 0 || len(all) == 0 {
		return nil // a catalog of another kind
	}
	t.out.Println("\nWhat product code asks: may the healthy account use this feature?")
	rows := newTable(t.out.OutOrStdout(), "  FEATURE", "ALLOWED", "REASON", "TIER", "WANTS TIER", "UPGRADE AT")
	path := ""
	for _, feature := range []string{e.Features[len(e.Features)-1], all[len(all)-1]} {
		var f aggregate.Feature
		path = "/v1/entitlements/" + url.PathEscape(account) + "/features/" + url.PathEscape(feature)
		if err := t.get(ctx, path, &f); err != nil {
			return err
		}
		upgrade := "-"
		if !f.Allowed {
			upgrade = orDash(f.UpgradeURL)
		}
		rows.row("  "+f.Feature, f.Allowed, f.Reason, f.CurrentTier, orDash(f.RequiredTier), upgrade)
	}
	if err := rows.flush(); err != nil {
		return err
	}
	t.out.Printf("  curl -H 'Authorization: Bearer %s' %s%s\n", config.DevAPIKey, t.base, path)
	return nil
}

func (t tour) further(account string) {
	dir, exe := t.cfg.DataDir, "bin/daybook"
	t.out.Printf(`
Look further, in another terminal:
  curl -H 'Authorization: Bearer %[1]s' %[2]s/v1/entitlements/%[3]s
  curl -H 'Authorization: Bearer %[1]s' %[2]s/v1/status
  %[4]s show account %[6]q --data-dir %[5]s
  %[4]s events --data-dir %[5]s --stream subscription- --limit 20
  %[4]s rebuild --data-dir %[5]s --dry-run
%[7]s
Serving on %[2]s until Ctrl-C.
`, config.DevAPIKey, t.base, url.PathEscape(account), exe, dir, account, t.lookInside())
}

// lookInside is how to look at the embedded store without us.
func (t tour) lookInside() string {
	if storeKind(t.cfg) != embeddedKind {
		return ""
	}
	return fmt.Sprintf("  sqlite3 -readonly %s 'select position, stream, type from events limit 10'\n", storePath(t.cfg.DataDir))
}

func (t tour) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.base+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+config.DevAPIKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
