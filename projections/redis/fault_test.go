package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/daybookhq/daybook/projections"
	"github.com/daybookhq/daybook/projections/redis"
	"github.com/daybookhq/daybook/projections/redis/redistest"
)

// publishErr tries to publish one entry.
func publishErr(t *testing.T, o *redis.Outlet, account string) (projections.Outcome, error) {
	t.Helper()
	results, err := o.Publish(t.Context(), []projections.Publication{publication(t, account, "basic", 1)})
	return results[0], err
}

// refused wants an error of a kind, without a secret in it.
func refused(t *testing.T, what string, o *redis.Outlet, kind error) {
	t.Helper()
	result, err := publishErr(t, o, "team")
	if !errors.Is(err, kind) || result != projections.OutcomeFailed {
		t.Errorf("%s: %s, %v: want %v", what, result, err, kind)
	}
	if err != nil && strings.Contains(err.Error(), redistest.Password) {
		t.Errorf("%s: the error tells the password: %v", what, err)
	}
}

func TestPasswords(t *testing.T) {
	s, c := server(t, redistest.WithPassword())
	o := open(t, s.URL())
	beat(t, o, 1)
	publish(t, o, publication(t, "team", "basic", 1))
	if got := tier(t, c, "team"); got != "basic" {
		t.Errorf("readers see %s", got)
	}
	refused(t, "none", open(t, "redis://"+s.Addr()), projections.ErrOutletDenied)
	refused(t, "a wrong one", open(t, "redis://:wrong@"+s.Addr()), projections.ErrOutletDenied)
	s.Do("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+get", "+info", "+hello", "+select")
	refused(t, "no right to write", open(t, "redis://reader:secret@"+s.Addr()), projections.ErrOutletDenied)
}

// docs/REDIS.md names the rights that the publisher needs, and no more.
func TestTheRightsOfThePublisher(t *testing.T) {
	s, c := server(t)
	s.Do(append([]any{"ACL", "SETUSER", "daybook", "on", ">secret", "~entitlement:*", "~daybook:*"}, rights(t)...)...)
	o := open(t, "redis://daybook:secret@"+s.Addr())
	beat(t, o, 1)
	publish(t, o, publication(t, "team", "basic", 1))
	if got := tier(t, c, "team"); got != "basic" {
		t.Errorf("readers see %s", got)
	}
	if err := o.Walk(t.Context(), func([]projections.PublishedEntry) error { return nil }); err != nil {
		t.Error(err)
	}
	if _, err := o.Withdraw(t.Context(), []projections.Withdrawal{{Account: "team", Position: 1, AsOf: time.Now()}}); err != nil {
		t.Error(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	election := redis.NewElection(o, "a", time.Second, func(err error) { t.Error(err); stop() })
	_ = election.Lead(ctx, func(context.Context, projections.Term) error { stop(); return nil })
	if left := c.Exists(t.Context(), redis.LeaderKey).Val(); left != 0 {
		t.Error("the lease was not given back")
	}
}

// rights are the commands that docs/REDIS.md gives to the publisher.
func rights(t *testing.T) []any {
	t.Helper()
	_, line, found := strings.Cut(guide(t), "ACL SETUSER daybook on >secret ~entitlement:* ~daybook:* ")
	line, _, _ = strings.Cut(line, "\n")
	if !found {
		t.Fatal("docs/REDIS.md does not say which rights the publisher needs")
	}
	var rights []any
	for word := range strings.FieldsSeq(line) {
		rights = append(rights, word)
	}
	return rights
}

func TestTLS(t *testing.T) {
	s, c := server(t, redistest.WithTLS(), redistest.WithPassword())
	trusting := func(o *redis.Options) { o.RootCAs = s.CertPool() }
	o := open(t, s.URL(), trusting)
	beat(t, o, 1)
	publish(t, o, publication(t, "team", "basic", 1))
	if got := tier(t, c, "team"); got != "basic" {
		t.Errorf("readers see %s", got)
	}
	refused(t, "nobody vouches for the certificate", open(t, s.URL()), projections.ErrOutletAway)
	refused(t, "no TLS", open(t, strings.Replace(s.URL(), "rediss", "redis", 1)), projections.ErrOutletAway)
}

func TestAReplicaIsNotWrittenTo(t *testing.T) {
	s, _ := server(t)
	_, port, _ := strings.Cut(s.Addr(), ":")
	replica, _ := server(t, redistest.WithArgs("--replicaof", "127.0.0.1 "+port))
	o := open(t, replica.URL())
	refused(t, "a replica", o, projections.ErrOutletReadOnly)
	replica.Do("REPLICAOF", "NO", "ONE")
	republish(t, "once it is a master", beat(t, o, 1), true)
}

// A server without memory left refuses writes, and takes them again by itself.
func TestAFullServer(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL())
	publish(t, o, publication(t, "team", "basic", 1))
	s.Do("CONFIG", "SET", "maxmemory", "1")
	refused(t, "full", o, projections.ErrOutletFull)
	if got := tier(t, c, "team"); got != "basic" {
		t.Errorf("readers see %s", got)
	}
	s.Do("CONFIG", "SET", "maxmemory", "0")
	until(t, "it takes writes", func() bool {
		_, err := publishErr(t, o, "team")
		return err == nil
	})
	if h := o.Health(); h.Breaker != "closed" || h.LastError != "" {
		t.Errorf("health: %+v", h)
	}
}

// TestNetworkFaults: whatever the network does, a call ends in time, an error
// tells so, and once it works again nothing has to be done about it.
func TestNetworkFaults(t *testing.T) {
	s, c := server(t)
	for name, toxic := range map[string]redistest.Toxic{"half-open": redistest.Silent, "late": redistest.Late, "reset": redistest.Reset} {
		t.Run(name, func(t *testing.T) {
			p := redistest.NewProxy(t, s)
			o := open(t, p.URL(), impatient)
			beat(t, o, 1)
			p.Break(toxic)
			for i := range 8 {
				if _, err := publishErr(t, o, name); !errors.Is(err, projections.ErrOutletAway) && !errors.Is(err, projections.ErrOutletResting) {
					t.Errorf("attempt %d: %v", i, err)
				}
			}
			if h := o.Health(); h.Breaker == "closed" || h.LastError == "" || h.Since.IsZero() {
				t.Errorf("health: %+v", h)
			}
			if _, err := publishErr(t, o, name); !errors.Is(err, projections.ErrOutletResting) {
				t.Errorf("after repeated failures: %v", err)
			}
			p.Mend()
			until(t, "it publishes again", func() bool {
				_, err := publishErr(t, o, name)
				return err == nil
			})
			if got := tier(t, c, name); got != "basic" {
				t.Errorf("readers see %s", got)
			}
			republish(t, "the server is the same", beat(t, o, 1), false)
		})
	}
}

// A slow network makes batches smaller rather than all of them fail.
func TestASlowNetworkIsServedSlowly(t *testing.T) {
	s, _ := server(t)
	for name, toxic := range map[string]redistest.Toxic{"trickling": redistest.Trickling, "narrow": redistest.Narrow} {
		t.Run(name, func(t *testing.T) {
			p := redistest.NewProxy(t, s)
			o := open(t, p.URL(), func(o *redis.Options) { o.CommandTimeout = time.Second })
			p.Break(toxic)
			var entries []projections.Publication
			for i := range 150 {
				entries = append(entries, publication(t, fmt.Sprint(name, i), "basic", 1))
			}
			until(t, "everything is published", func() bool {
				results, _ := o.Publish(t.Context(), entries)
				var rest []projections.Publication
				for i, r := range results {
					if r == projections.OutcomeFailed {
						rest = append(rest, entries[i])
					}
				}
				entries = rest
				return len(entries) == 0
			})
		})
	}
}

// TestFault17AnAbsentRedisIsTriedForEver: waits grow, and there is no last one.
func TestFault17AnAbsentRedisIsTriedForEver(t *testing.T) {
	s, c := server(t)
	o := open(t, s.URL(), impatient)
	beat(t, o, 1)
	s.Kill()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	failed := make(chan struct{})
	done := make(chan error)
	go func() {
		failures := 0
		done <- projections.Persist(ctx, func(error, time.Duration) {
			if failures++; failures == 4 {
				close(failed)
			}
		}, func(ctx context.Context) error {
			if _, err := o.Publish(ctx, []projections.Publication{publication(t, "team", "basic", 1)}); err != nil {
				return err
			}
			stop()
			return nil
		})
	}()
	<-failed
	s.Start()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := tier(t, c, "team"); got != "basic" {
		t.Errorf("readers see %s", got)
	}
	republish(t, "it came back empty", beat(t, o, 1), true)
}

// A caller who gives up is told so, and that says nothing about the server.
func TestGivingUp(t *testing.T) {
	s, _ := server(t)
	p := redistest.NewProxy(t, s)
	o := open(t, p.URL())
	beat(t, o, 1)
	p.Break(redistest.Silent)
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, err := o.Publish(ctx, []projections.Publication{publication(t, "team", "basic", 1)}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("gave up: %v", err)
		}
		cancel()
	}
	if h := o.Health(); h.Breaker != "closed" {
		t.Errorf("health: %+v", h)
	}
}

func TestClose(t *testing.T) {
	s, _ := server(t)
	o := open(t, s.URL())
	beat(t, o, 1)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := publishErr(t, o, "team"); err == nil {
		t.Error("it publishes after its end")
	}
}
