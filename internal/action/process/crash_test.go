package process

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/action"
)

// crash is what a driver of the crash tests panics with.
type crash struct{}

// TestCrashAtEveryWrite stops the driver right before and right after each of
// its durable writes and lets the next one finish the work: in the end every
// instance was started by the key exactly once.
func TestCrashAtEveryWrite(t *testing.T) {
	c := call(actRestart, "service/worker", "restart", nil)
	for _, before := range []bool{true, false} {
		crashed := true
		for at := 1; crashed; at++ {
			if at > 20 {
				t.Fatal("no end of durable writes")
			}
			dir, p := t.TempDir(), workers()
			starter := openAt(t, dir, p)
			if err := starter.Start(t.Context(), "worker"); err != nil {
				t.Fatal(err)
			}
			old := pids(t, starter)

			crashed = crashAt(t, openAt(t, dir, p), at, before, c)
			started := without(world(t, dir), old)

			next := openAt(t, dir, p)
			seen, err := next.Observe(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if want := action.Happened; len(started) == len(old) && seen.State != want {
				t.Errorf("write %d: Observe got %s (%s), want %s", at, seen.State, seen.Detail, want)
			}
			if want := action.NotHappened; len(started) < len(old) && seen.State != want {
				t.Errorf("write %d: Observe got %s, want %s", at, seen.State, want)
			}
			result := do(t, next, c)
			for _, pid := range started {
				if !slices.Contains(world(t, dir), pid) {
					t.Errorf("write %d: instance with pid %d was restarted twice", at, pid)
				}
			}
			if got := world(t, dir); len(got) != 3 || len(without(got, old)) != 3 {
				t.Errorf("write %d: got %v, want three new ones instead of %v", at, got, old)
			}
			if seen, err = next.Observe(t.Context(), c); err != nil || !cmp.Equal(seen.Result, result) {
				t.Errorf("write %d: Observe got %v, %v, want the result of Do %v", at, seen.Result, err, result)
			}
		}
	}
}

// crashAt performs the call on a driver that dies at its n-th durable write,
// and reports whether there was one.
func crashAt(t *testing.T, d *Driver, n int, before bool, c action.Call) (crashed bool) {
	t.Helper()
	defer func() {
		if what := recover(); what != nil {
			if _, ok := what.(crash); !ok {
				panic(what)
			}
			crashed = true
		}
	}()
	d.save = func(name string, rec *record) error {
		n--
		if n == 0 && before {
			panic(crash{})
		}
		if err := writeRecord(name, rec); err != nil {
			return err
		}
		if n == 0 {
			panic(crash{})
		}
		return nil
	}
	do(t, d, c)
	return false
}

func TestStateFileLost(t *testing.T) {
	p := cart(t)
	d := open(t, p)
	c := call(actStart, "service/cart", "start", nil)
	do(t, d, c)
	want := pids(t, d)
	if err := writeRecord(d.file(d.processes[0], ".json"), &record{Version: recordVersion, Process: "cart"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pids(t, d), want); diff != "" {
		t.Errorf("got(-) want(+):\n%s", diff)
	}
	if seen, err := d.Observe(t.Context(), c); err != nil || seen.State != action.Happened {
		t.Errorf("Observe: got %v, %v, want happened", seen, err)
	}
}

// world gives every process that runs with the state directory in its
// environment, whatever the driver knows of it.
func world(t *testing.T, dir string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		environ, _ := os.ReadFile(procFile(pid, "environ")) // empty for zombies, unreadable for strangers
		if bytes.Contains(environ, []byte(markDir+"="+dir+"\x00")) {
			out = append(out, pid)
		}
	}
	return out
}

func without(pids, others []int) []int {
	return slices.DeleteFunc(slices.Clone(pids), func(pid int) bool { return slices.Contains(others, pid) })
}
