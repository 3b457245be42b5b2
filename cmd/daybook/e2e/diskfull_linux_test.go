package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// onTmpfs is a server whose data dir is a file system of its own, which only it
// sees and which goes when it goes. Without root, a user namespace gives the
// right to mount.
func onTmpfs(t *testing.T, options string) *server {
	t.Helper()
	l := development(dataDir(t))
	const script = `mount --make-rslave / && mount -t tmpfs -o "$1" tmpfs "$2" || { echo "no mount"; exit 77; }
shift 2; exec "$@"`
	cmd := exec.Command("/bin/sh", "-c", script, "sh", options, l.dir,
		binary, "serve", "--dev", "--addr", "127.0.0.1:0", "--data-dir", l.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return spawnCommand(t, l, cmd)
}

// wantMounted ends the test where nothing can be mounted, and says how to go
// without it.
func wantMounted(t *testing.T, s *server) {
	t.Helper()
	if _, ended := s.log.wait(t, "daybook serves", s.exited); !ended {
		return
	}
	if s.wait() == 77 {
		t.Fatalf("this test mounts a small tmpfs, and may not: run it as root or with user namespaces, or leave it out with go test -skip '%s'\n%s", t.Name(), s.log)
	}
	t.Fatalf("the server ended at its start:\n%s", s.log)
}

// inside is a path as the server sees it, for those who do not.
func (s *server) inside(path string) string {
	return filepath.Join("/proc", strconv.Itoa(s.process.Pid), "root", path)
}

// TestDiskFullAcknowledgesNothing fills the disk under a running server. What
// cannot be kept is answered 503 with Retry-After, and what was answered 200 is
// there; with room again, the same server goes on.
func TestDiskFullAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	s := onTmpfs(t, "size=12m")
	wantMounted(t, s)
	s.connect()
	for i := range 20 {
		s.mustDeliver(bulkyEvent(fmt.Sprintf("evt_before_%d", i)), "recorded")
	}
	s.settle()
	filler := s.inside(filepath.Join(s.dir, "filler"))
	acked, refused := s.deliverUntilFull(filler)
	t.Logf("%d acknowledged and %d refused while the disk filled", len(acked), len(refused))
	if len(acked) == 0 {
		t.Error("nothing was acknowledged on the way to a full disk: nothing is proven of it")
	}
	for id := range acked {
		if a := s.ask("/v1/events/"+id, s.key); a.status != http.StatusOK {
			t.Errorf("%s was acknowledged: %d %s", id, a.status, a.body)
		}
	}
	if a := s.ask("/v1/entitlements/anybody", s.key); a.status != http.StatusOK {
		t.Errorf("the API answers %d %s on a full disk", a.status, a.body)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	for id, body := range refused {
		a, err := s.deliver(body)
		if err != nil || a.status != http.StatusOK {
			t.Fatalf("%s, with room again: %d %s %v", id, a.status, a.body, err)
		}
		if a := s.ask("/v1/events/"+id, s.key); a.status != http.StatusOK {
			t.Errorf("%s was acknowledged: %d %s", id, a.status, a.body)
		}
	}
	eventually(t, "what was refused is posted", func() bool {
		for id := range refused {
			if s.ask("/v1/subscriptions/sub_"+id, s.key).status != http.StatusOK {
				return false
			}
		}
		return true
	})
	if out := mustRun(t, "rebuild", "--dev", "--data-dir", s.inside(s.dir)); !bytes.Contains([]byte(out), []byte("the same as the live model")) {
		t.Error(out)
	}
	wantUnsaid(t, s.log.String(), []string{devSecret, "xxxxxxxx"})
	s.stop()
}

// bulkyEvent is an event that needs room: 60 KB.
func bulkyEvent(id string) []byte {
	at := quietTime()
	return bytes.Replace(subscriptionEvent(id, "customer.subscription.created", "sub_"+id, "acme", "active", at, ""),
		[]byte(`"metadata":{`), append([]byte(`"metadata":{"bulk":"`), append(bytes.Repeat([]byte("x"), 60_000), `",`...)...), 1)
}

// deliverUntilFull takes the room away, at first all but a little, and delivers
// until some is refused.
func (s *server) deliverUntilFull(filler string) (acked map[string]bool, refused map[string][]byte) {
	s.t.Helper()
	acked, refused = map[string]bool{}, map[string][]byte{}
	// The store has some room of its own in files that it uses again.
	for round := 0; len(refused) == 0; round++ {
		if round == 20 {
			s.t.Fatal("a full disk, and still nothing is refused")
		}
		fill(s.t, filler)
		if round == 0 {
			giveBack(s.t, filler, 2<<20)
		}
		var mu sync.Mutex
		var senders sync.WaitGroup
		for i := range 12 {
			senders.Go(func() {
				id := fmt.Sprintf("evt_full_%d_%d", round, i)
				body := bulkyEvent(id)
				a, err := s.deliver(body)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil && a.status == http.StatusOK:
					acked[id] = true
				case err == nil && a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "":
					refused[id] = body
				default:
					s.t.Errorf("%s: %d %v %s %v: want 200, or 503 with Retry-After", id, a.status, a.header, a.body, err)
				}
			})
		}
		senders.Wait()
	}
	return acked, refused
}

// fill writes until there is no room for another byte.
func fill(t testing.TB, path string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for chunk := make([]byte, 64<<10); len(chunk) > 0; {
		if _, err := file.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			chunk = chunk[:len(chunk)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// giveBack makes the filler smaller.
func giveBack(t testing.TB, path string, room int64) {
	t.Helper()
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, info.Size()-room)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestUnwritableDataDirIsRefused starts a server on a file system that is
// mounted for reading only.
func TestUnwritableDataDirIsRefused(t *testing.T) {
	t.Parallel()
	s := onTmpfs(t, "ro")
	if s.wait() == 77 {
		wantMounted(t, s)
	}
	refused(t, s, 1, "read-only file system", s.dir)
}
