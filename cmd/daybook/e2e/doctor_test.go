package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daybookhq/daybook/eventstore/esdb"
	"github.com/daybookhq/daybook/eventstore/esdb/esdbtest"
)

// diagnosis is what doctor says: the findings of each check.
type diagnosis map[string][]struct{ Grade, Found, Do string }

// examined runs doctor, and wants its exit code to be that of its findings.
func examined(t *testing.T, env []string, args ...string) diagnosis {
	t.Helper()
	o := command(t, env, append([]string{"doctor", "-o", "json"}, args...)...)
	var said struct {
		Findings []struct{ Check, Grade, Found, Do string }
		Faults   int
	}
	if err := json.Unmarshal([]byte(o.stdout), &said); err != nil || o.stderr != "" {
		t.Fatalf("doctor %q: %v: %+v", args, err, o)
	}
	faults, d := 0, diagnosis{}
	for _, f := range said.Findings {
		d[f.Check] = append(d[f.Check], struct{ Grade, Found, Do string }{f.Grade, f.Found, f.Do})
		if f.Grade == "fault" {
			faults++
			if f.Do == "" {
				t.Errorf("%s: %q says nothing of what to do", f.Check, f.Found)
			}
		}
	}
	if said.Faults != faults || o.code != min(faults, 1) {
		t.Errorf("%d faults, %d said, exit %d", faults, said.Faults, o.code)
	}
	return d
}

// want wants the worst finding of each check to be of a grade, and all checks
// that are not named to be fine.
func (d diagnosis) want(t *testing.T, grades map[string]string) {
	t.Helper()
	order := []string{"ok", "note", "fault"}
	for check, findings := range d {
		worst := "ok"
		for _, f := range findings {
			if slices.Index(order, f.Grade) > slices.Index(order, worst) {
				worst = f.Grade
			}
		}
		if want := or(grades[check], "ok"); worst != want {
			t.Errorf("%s is %s, want %s: %+v", check, worst, want, findings)
		}
	}
	for check := range grades {
		if d[check] == nil {
			t.Errorf("nothing was said of %s", check)
		}
	}
}

func (d diagnosis) says(t *testing.T, check, text string) {
	t.Helper()
	for _, f := range d[check] {
		if strings.Contains(f.Found+" "+f.Do, text) {
			return
		}
	}
	t.Errorf("%s does not say %q: %+v", check, text, d[check])
}

// TestDoctor looks at nothing yet, at a healthy store, at one with troubles of
// every kind, beside a server and without one.
func TestDoctor(t *testing.T) {
	t.Parallel()
	onEachStore(t, doctor)
}

func doctor(t *testing.T, dir string) {
	t.Helper()
	at, cluster := clusterOf(dir)
	with := func(grades map[string]string) map[string]string {
		if strings.Contains(at.url, "tls=false") {
			grades["rights"], grades["default ACL"] = "note", "note"
		}
		return grades
	}
	none := with(map[string]string{"store": "note", "read model": "note", "failures": "note", "catalog": "note"})
	if !cluster {
		none["integrity"] = "note"
	}
	examined(t, nil, "--dev", "--data-dir", dir).want(t, none)

	s := start(t, development(dir))
	then := quietTime()
	const created = "customer.subscription.created"
	s.mustDeliver(pricedEvent("evt_h1", created, "sub_h1", "active", then, "price_basic", "", "prod_x"), "recorded")
	s.settle()
	healthy := examined(t, nil, "--dev", "--data-dir", dir)
	healthy.want(t, with(map[string]string{}))
	healthy.says(t, "store", "of test mode")
	s.mustDeliver(pricedEvent("evt_h2", created, "sub_h2", "active", then, "price_strange", "", "prod_x"), "recorded")
	s.mustDeliver([]byte(`{"id":"evt_h3","object":"event","type":"customer.subscription.created","created":1700000000,"livemode":false,"api_version":"2024-06-20","data":{"object":{"id":"sub_h3","object":"subscription"}}}`), "recorded")
	s.settle()
	ill := examined(t, nil, "--dev", "--data-dir", dir)
	ill.want(t, with(map[string]string{"failures": "fault", "catalog": "fault"}))
	ill.says(t, "catalog", "price_strange")
	ill.says(t, "failures", "1 recorded events could not be posted")
	examined(t, nil, "--dev", "--data-dir", dir, "--livemode", "test", "--quick").says(t, "catalog", "--quick")
	s.stop()
	other := examined(t, nil, "--data-dir", dir)
	other.says(t, "configuration", "STRIPE_WEBHOOK_SECRETS")
	other.says(t, "store", "belongs to test mode")
}

// TestDoctorFindsWhatIsOpenAndDamaged looks at files that others may read, and
// at one whose pages are lost.
func TestDoctorFindsWhatIsOpenAndDamaged(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	file, run := simulated(t, 40)
	wantIngested(t, dir, file, run)
	if err := os.Chmod(filepath.Join(dir, "model.db"), 0o644); err != nil {
		t.Fatal(err)
	}
	store := filepath.Join(dir, "daybook.db")
	content, err := os.ReadFile(store)
	if err != nil {
		t.Fatal(err)
	}
	clear(content[len(content)/2 : len(content)/2+len(content)/8])
	if err := os.WriteFile(store, content, 0o600); err != nil {
		t.Fatal(err)
	}
	d := examined(t, nil, "--dev", "--data-dir", dir)
	d.says(t, "data dir", "chmod 0600")
	d.says(t, "integrity", "restore")
}

// TestInitStore takes the right to alter history from the user of a secure
// cluster, and has daybook live with what is left.
func TestInitStore(t *testing.T) {
	t.Parallel()
	server := esdbtest.StartSecure(t, esdbtest.User{Name: "daybook", Password: "s3cret"})
	as := func(user string) []string { return []string{"EVENTSTORE_URL=" + server.URLOf(user)} }
	live := append(as("daybook"), "STRIPE_WEBHOOK_SECRETS=whsec_5f3c9a0b7d2e4816", "DAYBOOK_LIVEMODE=live")
	dir := clusterDir(t, server.URLOf("daybook"), "daybook.")

	before := examined(t, live, "--data-dir", dir)
	before.want(t, map[string]string{"store": "fault", "rights": "fault", "default ACL": "fault",
		"data dir": "ok", "read model": "note", "failures": "note", "catalog": "note"})
	before.says(t, "store", "init-store --user daybook")
	wrong := examined(t, append(live, "EVENTSTORE_URL="+strings.Replace(server.URLOf("daybook"), "s3cret", "guess", 1)), "--data-dir", dir)
	wrong.says(t, "store", "does not accept the user daybook")
	wrong.says(t, "rights", "not looked at")
	before.says(t, "rights", "may delete streams and cut streams off")

	if o := command(t, as("daybook"), "init-store", "--user", "daybook"); o.code != 1 || !strings.Contains(o.stderr, "one of $admins, not of daybook") {
		t.Errorf("as its own user: %+v", o)
	}
	if o := command(t, as("admin"), "init-store", "--user", "daybook", "--dry-run"); o.code != 0 || !strings.Contains(o.stdout, "Nothing was written") || len(server.Streams()) > 0 {
		t.Errorf("only asked: %+v", o)
	}
	if o := command(t, as("admin"), "init-store", "--user", "daybook"); o.code != 0 || !strings.Contains(o.stdout, "in force at once") {
		t.Errorf("as admin: %+v", o)
	}
	if o := command(t, as("admin"), "init-store", "--user", "daybook"); o.code != 0 || !strings.Contains(o.stdout, "nothing was written") {
		t.Errorf("again: %+v", o)
	}
	wantForce(t, server, as("admin"))

	s := start(t, launch{dir: dir, env: live, secret: "whsec_5f3c9a0b7d2e4816"})
	s.mustDeliver(customerEvent("evt_limited"), "recorded")
	eventually(t, "the event is posted", func() bool {
		return len(server.Streams()["daybook.customer-cus_1"])+len(server.Streams()["daybook.checkpoint-posting"]) > 0
	})
	after := examined(t, live, "--data-dir", dir)
	after.want(t, map[string]string{})
	after.says(t, "rights", "daybook can neither delete nor cut off streams")
	s.stop()

	admin := append(as("admin"), live[1:]...)
	asAdmin := examined(t, admin, "--data-dir", dir)
	asAdmin.want(t, map[string]string{"rights": "fault"})
	asAdmin.says(t, "rights", "admin passes every ACL")
	if err := server.RunProjections("$by_category"); err != nil {
		t.Fatal(err)
	}
	examined(t, live, "--data-dir", dir).says(t, "server projections", "$by_category run")
}

// wantForce puts a stranger's ACL in the place of ours, and wants it left alone
// unless told otherwise.
func wantForce(t *testing.T, server *esdbtest.Server, admin []string) {
	t.Helper()
	store, err := esdb.Open(server.URLOf(esdb.Admin), esdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // nothing waits to be written
	was, err := store.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	theirs := esdb.ServerDefault()
	theirs.User.Read = esdb.Roles{"others"}
	theirs.System.Read = esdb.Roles{"daybook"}
	if err := store.SetDefaultACL(t.Context(), was, theirs); err != nil {
		t.Fatal(err)
	}
	if o := command(t, admin, "init-store", "--user", "daybook"); o.code != 1 || !strings.Contains(o.stdout, "others") || !strings.Contains(o.stderr, "--force") {
		t.Errorf("over a stranger's: %+v", o)
	}
	if now, err := store.Settings(t.Context()); err != nil || !now.ACL.Same(theirs) {
		t.Errorf("a stranger's ACL was touched: %+v %v", now.ACL, err)
	}
	examined(t, []string{"EVENTSTORE_URL=" + server.URLOf("daybook")}, "--dev", "--data-dir", dataDir(t)).says(t, "default ACL", "lets $all alter history")
	o := command(t, admin, "init-store", "--user", "daybook", "--force", "-o", "json")
	var said struct {
		Before, Wanted    esdb.DefaultACL
		Written, Enforced bool
	}
	if err := json.Unmarshal([]byte(o.stdout), &said); err != nil || o.code != 0 || !said.Written || !said.Enforced ||
		!said.Before.Same(theirs) || !said.Wanted.Same(esdb.LedgerACL("daybook")) {
		t.Errorf("by force: %v %+v", err, o)
	}
}

// TestInitStoreWithoutTLS says that nothing is enforced; the embedded store
// needs none of it.
func TestInitStoreWithoutTLS(t *testing.T) {
	t.Parallel()
	server := esdbtest.Start(t)
	if o := command(t, []string{"EVENTSTORE_URL=" + server.URL()}, "init-store", "--user", "daybook"); o.code != 0 || !strings.Contains(o.stdout, "such a server enforces nothing") {
		t.Errorf("without TLS: %+v", o)
	}
	if o := command(t, nil, "init-store", "--user", "daybook"); o.code != 2 || !strings.Contains(o.stderr, "EVENTSTORE_URL") {
		t.Errorf("without a cluster: %+v", o)
	}
	if o := command(t, nil, "init-store"); o.code != 2 || !strings.Contains(o.stderr, "--user") {
		t.Errorf("without a user: %+v", o)
	}
	for mode, grade := range map[string]string{"test": "note", "live": "fault"} {
		d := examined(t, []string{"EVENTSTORE_URL=" + server.URL(), "STRIPE_WEBHOOK_SECRETS=whsec_5f3c9a0b7d2e4816"},
			"--livemode", mode, "--data-dir", filepath.Join(dataDir(t), "none"))
		d.want(t, map[string]string{"rights": grade, "default ACL": "note", "store": "note", "data dir": "note",
			"read model": "note", "failures": "note", "catalog": "note"})
		d.says(t, "rights", "the server enforces nothing")
	}
	server.Stop()
	if o := command(t, []string{"EVENTSTORE_URL=" + server.URL()}, "doctor", "--dev", "--data-dir", dataDir(t)); o.code != 1 || !strings.Contains(o.stdout, "no connection") {
		t.Errorf("doctor without a server: %+v", o)
	}
}
