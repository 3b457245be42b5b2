package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rolling is a server whose secrets, keys and catalog stand in files.
type rolling struct {
	*server
	secrets, keys, catalog string
	env                    []string
}

const rollingCatalog = "free_tier: free\nupgrade_url: https://example.com/UPGRADE\ntiers: [{id: free, features: [basics]}, {id: pro, features: [extras], prices: [price_pro]}]\n"

func startRolling(t *testing.T, secret, key string) *rolling {
	t.Helper()
	dir := t.TempDir()
	r := &rolling{secrets: filepath.Join(dir, "secrets"), keys: filepath.Join(dir, "keys"), catalog: filepath.Join(dir, "catalog.yaml")}
	r.write(t, secret, keyLine("old", key), rollingCatalog)
	r.env = []string{"DAYBOOK_LIVEMODE=test", "STRIPE_WEBHOOK_SECRETS_FILE=" + r.secrets, "DAYBOOK_API_KEYS_FILE=" + r.keys, "DAYBOOK_CATALOG=" + r.catalog}
	r.server = start(t, launch{env: r.env, key: key})
	r.settle()
	return r
}

func (r *rolling) write(t *testing.T, secrets, keys, catalog string) {
	t.Helper()
	for file, content := range map[string]string{r.secrets: secrets, r.keys: keys, r.catalog: catalog} {
		writeFile(t, file, content)
	}
}

func keyLine(name, key string) string { return name + ":read:" + sha256Hex(key) }

// wantKeys asks with each key, and wants it valid or not.
func (r *rolling) wantKeys(valid map[string]bool) {
	r.t.Helper()
	for key, want := range valid {
		status := http.StatusUnauthorized
		if want {
			status = http.StatusOK
		}
		if a := r.ask("/v1/entitlements/acme", key); a.status != status {
			r.t.Errorf("key %.3s…: %d %s: want %d", key, a.status, a.body, status)
		}
	}
}

func (r *rolling) wantSigned(id, secret string, want int) {
	r.t.Helper()
	body := customerEvent(id)
	if a, err := r.post(client, body, sign(body, secret, time.Now())); err != nil || a.status != want {
		r.t.Fatalf("%s: %d %s %v: want %d", id, a.status, a.body, err, want)
	}
}

func (r *rolling) wantUpgradeURL(part, key string) {
	r.t.Helper()
	if a := r.ask("/v1/entitlements/acme/features/extras", key); !strings.Contains(string(a.body), part) {
		r.t.Errorf("%d %s: want the catalog of %s", a.status, a.body, part)
	}
}

// TestRotationWithoutDowntime rolls everything that can be rolled: first the old
// and the new are both valid, then the new alone. In between nothing of a
// configuration with faults comes into force, and every fault is told.
func TestRotationWithoutDowntime(t *testing.T) {
	t.Parallel()
	const oldSecret, newSecret, oldKey, newKey = "whsec_oldsecretoldsecret", "whsec_newsecretnewsecret", "old-key-old-key", "new-key-new-key"
	r := startRolling(t, oldSecret, oldKey)
	r.wantKeys(map[string]bool{oldKey: true, newKey: false})
	r.wantSigned("evt_1", oldSecret, http.StatusOK)
	r.wantSigned("evt_2", newSecret, http.StatusBadRequest)

	later := strings.Replace(rollingCatalog, "UPGRADE", "LATER", 1)
	r.write(t, newSecret+","+oldSecret, keyLine("old", oldKey)+"\n"+keyLine("new", newKey), later)
	r.hangup("configuration reloaded")
	r.wantKeys(map[string]bool{oldKey: true, newKey: true})
	r.wantSigned("evt_2", newSecret, http.StatusOK)
	r.wantSigned("evt_3", oldSecret, http.StatusOK)
	r.wantUpgradeURL("LATER", newKey)
	r.wantSigners(2, 1)

	r.write(t, "nosecretatall", "odd:write:123", "tiers: [{id: a, colour: red}]")
	r.hangup("reload refused")
	line, _ := r.log.find("reload refused")
	for _, fault := range []string{"STRIPE_WEBHOOK_SECRETS: entry 1", `DAYBOOK_API_KEYS: key 1: \"write\" is no scope`, "DAYBOOK_API_KEYS: key 1: the hash",
		"DAYBOOK_CATALOG", "colour", "free_tier"} {
		if !strings.Contains(line, fault) {
			t.Errorf("no %q in %s", fault, line)
		}
	}
	r.wantKeys(map[string]bool{oldKey: true, newKey: true})
	r.wantSigned("evt_4", oldSecret, http.StatusOK)
	r.wantUpgradeURL("LATER", oldKey)

	r.write(t, newSecret, keyLine("new", newKey), later)
	r.hangupTimes("configuration reloaded", 2)
	r.wantKeys(map[string]bool{oldKey: false, newKey: true})
	r.wantSigned("evt_5", oldSecret, http.StatusBadRequest)
	r.wantSigned("evt_6", newSecret, http.StatusOK)
	r.wantSigners(3, 2)
	wantUnsaid(t, r.log.String(), []string{oldSecret, newSecret, oldKey, newKey, "old-key", "new-key", sha256Hex(oldKey), sha256Hex(newKey), "nosecretatall"})
	r.stop()
}

// wantSigners asks the command how many of the last day's webhooks the old secret
// has signed, and the new one.
func (r *rolling) wantSigners(byOld, byNew int) {
	r.t.Helper()
	args := []string{"config", "--data-dir", r.dir}
	o := command(r.t, r.env, append(args, "-o", "json")...)
	var said struct {
		Settings []map[string]any
		Signers  struct {
			Secrets []struct {
				Fingerprint string
				Configured  bool
				Webhooks    int
				LastAt      time.Time `json:"last_at"`
			}
		}
	}
	if err := json.Unmarshal([]byte(o.stdout), &said); err != nil || o.code != 0 || len(said.Settings) == 0 {
		r.t.Fatalf("%v %+v", err, o)
	}
	counts := map[string]int{}
	for _, s := range said.Signers.Secrets {
		counts[s.Fingerprint] = s.Webhooks
		if s.Webhooks > 0 && time.Since(s.LastAt) > time.Hour {
			r.t.Errorf("signed last at %v", s.LastAt)
		}
	}
	oldPrint, newPrint := sha256Hex("whsec_oldsecretoldsecret")[:8], sha256Hex("whsec_newsecretnewsecret")[:8]
	if len(counts) != 2 || counts[oldPrint] != byOld || counts[newPrint] != byNew {
		r.t.Errorf("signed %v: want %d by %s, %d by %s", counts, byOld, oldPrint, byNew, newPrint)
	}
	secrets, err := os.ReadFile(r.secrets)
	if err != nil {
		r.t.Fatal(err)
	}
	stillOld := strings.Contains(string(secrets), "old")
	o = command(r.t, r.env, args...)
	if !strings.Contains(o.stdout, "sha256:"+oldPrint) || strings.Contains(o.stdout, "not configured any more") == stillOld {
		r.t.Errorf("config says\n%s", o.stdout)
	}
	metrics := string(r.ask("/metrics", r.key).body)
	if !strings.Contains(metrics, `daybook_webhooks_signed_total{signer="`+newPrint+`"} `) {
		r.t.Errorf("the metrics do not tell of %s", newPrint)
	}
}
