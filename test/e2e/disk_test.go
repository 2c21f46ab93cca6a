//go:build e2e

package e2e_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/homeostat/homeostat/internal/store/pgtest"
)

// mountSmall makes a folder of its own small file system, in memory, until the
// test ends. That takes root, or sudo without a password.
func mountSmall(t *testing.T, dir, size string) {
	t.Helper()
	as := func(args ...string) error {
		if os.Getuid() != 0 {
			args = append([]string{"sudo", "-n"}, args...)
		}
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return errors.New(string(out) + err.Error())
		}
		return nil
	}
	must(t, as("mount", "-t", "tmpfs", "-o", "mode=0777,size="+size, "none", dir))
	t.Cleanup(func() {
		if err := as("umount", "--lazy", dir); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}

// ballast takes all room that is left in a folder until it is dropped.
type ballast struct {
	t    *testing.T
	path string
}

func (b ballast) fill() {
	b.t.Helper()
	f, err := os.OpenFile(b.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(b.t, err)
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err = f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		b.t.Fatalf("fill the disk: got %v, want no space left", err)
	}
}

func (b ballast) drop() {
	b.t.Helper()
	must(b.t, os.Remove(b.path))
}

// TestE2EDiskFull fills the disk of the store while a run is in flight.
func TestE2EDiskFull(t *testing.T) {
	p := newPatientHouse(t, nil)
	data := filepath.Join(p.dir, "data")
	must(t, os.Mkdir(data, 0o700))
	mountSmall(t, data, "64m")
	p.start()
	b := ballast{t, filepath.Join(data, "ballast")}
	p.goThrough(trouble{begin: b.fill, end: b.drop, says: []string{"is full"}})
}

// TestE2EDatabaseDiskFull fills the disk of the database while a run is in
// flight. PostgreSQL may give up there: it is started again once there is room.
func TestE2EDatabaseDiskFull(t *testing.T) {
	small := t.TempDir()
	must(t, os.Chmod(filepath.Dir(small), 0o755)) // the database server runs as another user
	mountSmall(t, small, "256m")
	t.Setenv("TMPDIR", small) // where the database server lies
	server := newServer(t)
	p := newPatientHouse(t, settings{"store": settings{"dsn": databaseOf(t, server)}})
	p.start()
	b := ballast{t, filepath.Join(small, "ballast")}
	p.goThrough(trouble{
		begin: b.fill,
		end: func() {
			b.drop()
			must(t, server.Stop(pgtest.Immediate))
			must(t, server.Start())
		},
		says: []string{"No space left", "is full", "cannot be reached", "store"},
	})
}
