package process

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/action/actiontest"
	"github.com/homeostat/homeostat/internal/heal"
)

func TestContract(t *testing.T) {
	actiontest.Run(t, func(t *testing.T) actiontest.Subject {
		opts := Options{StateDir: t.TempDir()}
		never := Process{
			Name: "never", Entity: "service/never", ReadyTCP: freePort(t),
			Command: []string{"/bin/sleep", "1000"},
		}
		hears, hups := listener(t)
		opts.Processes = []Process{cart(t), workers(), hears, never}
		d := openAt(t, opts.StateDir, opts.Processes...)
		v, err := NewPreviewer(opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"worker", "listener"} {
			if err := d.Start(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "it listens", func() bool { return hups() != "" })
		return actiontest.Subject{
			Driver: d, Previewer: v,
			Calls: []action.Call{
				call(actStart, "service/cart", "a", nil),
				call(actStop, "service/worker", "b", nil),
				call(actRestart, "service/worker", "c", map[string]any{"grace": "5s"}),
				call(actScale, "service/worker", "d", map[string]any{"instances": 2}),
				call(actScaleBy, "service/worker", "g", map[string]any{"by": -1}),
				call(actSignal, "service/listener", "e", map[string]any{"signal": "HUP"}),
			},
			World: func() any { return list(t, d) },
			Slow:  []action.Call{call(actStart, "service/never", "f", nil)},
		}
	})
}

func TestCrashedProcessIsStartedAgain(t *testing.T) {
	d := open(t, cart(t))
	if err := d.Start(t.Context(), "cart"); err != nil {
		t.Fatal(err)
	}
	first := pids(t, d)
	kill(t, first[0])
	if got := pids(t, d); len(got) != 0 {
		t.Fatalf("after SIGKILL: got %v running, want none", got)
	}
	eventually(t, "the child is reaped", func() bool {
		_, err := os.Stat(procFile(first[0], "stat"))
		return os.IsNotExist(err)
	})
	got := do(t, d, call(actStart, "service/cart", "start", nil))
	want := map[string]any{"instances": int64(1), "pids": []any{int64(pids(t, d)[0])}, "previous": int64(0)}
	if diff := cmp.Diff(got.Output, want); diff != "" {
		t.Errorf("got(-) want(+):\n%s", diff)
	}
}

func TestRestartTwiceWithOneKeyRestartsOnce(t *testing.T) {
	d := open(t, cart(t))
	if err := d.Start(t.Context(), "cart"); err != nil {
		t.Fatal(err)
	}
	before := pids(t, d)
	do(t, d, call(actRestart, "service/cart", "restart", nil))
	once := pids(t, d)
	if cmp.Equal(once, before) {
		t.Error("the first restart left the process as it was")
	}
	do(t, d, call(actRestart, "service/cart", "restart", nil))
	if diff := cmp.Diff(pids(t, d), once); diff != "" {
		t.Errorf("the second restart, got(-) want(+):\n%s", diff)
	}
}

func TestStubbornProcessIsKilledWithItsGroup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "grandchild")
	d := open(t, Process{
		Name: "stubborn", Command: []string{self(t), file}, Grace: 100 * time.Millisecond,
		Env: map[string]string{helperMode: "stubborn"},
	})
	if err := d.Start(t.Context(), "stubborn"); err != nil {
		t.Fatal(err)
	}
	var grandchild int
	eventually(t, "the grandchild runs", func() bool {
		text, _ := os.ReadFile(file)
		grandchild, _ = strconv.Atoi(string(text))
		return grandchild > 0
	})
	began := time.Now()
	do(t, d, call(actStop, "process/stubborn", "stop", nil))
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("it was gone after %v, want it to live through its grace of 100 ms", took)
	}
	if got := pids(t, d); len(got) != 0 {
		t.Errorf("got %v running, want none", got)
	}
	eventually(t, "the grandchild is gone", func() bool {
		s, err := readStat(grandchild)
		return err != nil || s.gone()
	})
}

func TestDeadlineCutsTheGrace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "grandchild")
	d := open(t, Process{
		Name: "stubborn", Command: []string{self(t), file}, Grace: time.Hour,
		Env: map[string]string{helperMode: "stubborn"},
	})
	if err := d.Start(t.Context(), "stubborn"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it ignores SIGTERM", func() bool {
		_, err := os.Stat(file)
		return err == nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := d.Do(ctx, call(actStop, "process/stubborn", "stop", nil)); err != nil {
		t.Errorf("got %v, want the process killed before the deadline", err)
	}
}

func TestRecycledPidIsLeftAlone(t *testing.T) {
	d := open(t, cart(t))
	if err := d.Start(t.Context(), "cart"); err != nil {
		t.Fatal(err)
	}
	stranger := pids(t, d)[0]
	for name, change := range map[string]func(*identity){
		"another start time": func(id *identity) { id.Start-- },
		"another boot":       func(id *identity) { id.Boot = "00000000-0000-0000-0000-000000000000" },
	} {
		t.Run(name, func(t *testing.T) {
			other := t.TempDir() // the marks of the running process name the first directory
			e := openAt(t, other, cart(t))
			rec, err := d.read(d.processes[0])
			if err != nil {
				t.Fatal(err)
			}
			change(&rec.Instances[0].identity)
			if err := writeRecord(e.file(e.processes[0], ".json"), rec); err != nil {
				t.Fatal(err)
			}
			if got := pids(t, e); len(got) != 0 {
				t.Errorf("got %v running, want none", got)
			}
			do(t, e, call(actStop, "service/cart", "stop", nil))
			if got := pids(t, d); len(got) != 1 || got[0] != stranger {
				t.Errorf("the stranger: got %v, want [%d]", got, stranger)
			}
		})
	}
}

func TestZombieDoesNotCount(t *testing.T) {
	d := open(t, cart(t))
	if err := d.Start(t.Context(), "cart"); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil { // nobody reaps from here on
		t.Fatal(err)
	}
	pid := pids(t, d)[0]
	kill(t, pid)
	if s, err := readStat(pid); err != nil || s.State != 'Z' {
		t.Fatalf("got %+v, %v, want a zombie", s, err)
	}
	if got := pids(t, d); len(got) != 0 {
		t.Errorf("got %v running, want none", got)
	}
	do(t, d, call(actStart, "service/cart", "start", nil))
	if got := pids(t, d); len(got) != 1 || got[0] == pid {
		t.Errorf("got %v, want one new process", got)
	}
}

func TestScale(t *testing.T) {
	d := open(t, workers())
	if err := d.Start(t.Context(), "worker"); err != nil {
		t.Fatal(err)
	}
	before := pids(t, d)
	out := do(t, d, call(actScale, "service/worker", "out", map[string]any{"instances": 5}))
	if got := out.Output["previous"]; got != int64(3) {
		t.Errorf("previous: got %v, want 3", got)
	}
	if got := pids(t, d); len(got) != 5 || !cmp.Equal(got[:3], before) {
		t.Errorf("scaled out: got %v, want five that begin with %v", got, before)
	}
	do(t, d, call(actScale, "service/worker", "in", map[string]any{"instances": 1}))
	if diff := cmp.Diff(pids(t, d), before[:1]); diff != "" {
		t.Errorf("scaled in, got(-) want(+):\n%s", diff)
	}
	kill(t, before[0])
	do(t, d, call(actStart, "service/worker", "start", nil))
	if got := pids(t, d); len(got) != 1 {
		t.Errorf("started after scaling in: got %v, want one", got)
	}
	_, err := d.Do(t.Context(), call(actScale, "service/worker", "far", map[string]any{"instances": 6}))
	if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), "1 to 5") {
		t.Errorf("too many: got %v, want kind invalid with the bounds", err)
	}
}

func TestScaleByCountsFromWhatWasWanted(t *testing.T) {
	d := open(t, workers())
	if err := d.Start(t.Context(), "worker"); err != nil {
		t.Fatal(err)
	}
	kill(t, pids(t, d)[2])
	scale := func(task string, attempt, by int) (action.Result, error) {
		c := call(actScaleBy, "service/worker", task, map[string]any{"by": by})
		c.Key.Attempt = attempt
		return d.Do(t.Context(), c)
	}
	for _, step := range []struct {
		name, task  string
		attempt, by int
		want        int
	}{
		{"one more than wanted, although one is dead", "out", 1, 1, 4},
		{"the same key again", "out", 1, 1, 4},
		{"a further try of the task", "out", 2, 1, 4},
		{"another task", "more", 1, 1, 5},
		{"back again", "back", 1, -2, 3},
	} {
		if _, err := scale(step.task, step.attempt, step.by); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := len(pids(t, d)); got != step.want {
			t.Errorf("%s: got %d running, want %d", step.name, got, step.want)
		}
	}
	for name, by := range map[string]int{"too many": 3, "too few": -3, "none": 0, "far too many": 1 << 40} {
		if _, err := scale(strings.ReplaceAll(name, " ", "-"), 1, by); !heal.Is(err, heal.Invalid) {
			t.Errorf("%s: got %v, want kind invalid", name, err)
		}
	}
	do(t, d, call(actStop, "service/worker", "stop", nil))
	if _, err := scale("stopped", 1, 1); !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), "start it first") {
		t.Errorf("stopped on purpose: got %v, want kind invalid", err)
	}
}

func TestSignalIsSentOnce(t *testing.T) {
	p, hups := listener(t)
	d := open(t, p)
	if err := d.Start(t.Context(), "listener"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it listens", func() bool { return hups() == "0" })
	do(t, d, call(actSignal, "service/listener", "one", map[string]any{"signal": "HUP"}))
	do(t, d, call(actSignal, "service/listener", "one", map[string]any{"signal": "HUP"}))
	eventually(t, "the first arrived", func() bool { return hups() == "1" }) // pending signals of a kind become one
	do(t, d, call(actSignal, "service/listener", "two", map[string]any{"signal": "HUP"}))
	eventually(t, "two signals arrived", func() bool { return hups() == "2" })
	_, err := d.Do(t.Context(), call(actSignal, "service/listener", "kill", map[string]any{"signal": "KILL"}))
	if !heal.Is(err, heal.Invalid) {
		t.Errorf("a signal that is not allowed: got %v, want kind invalid", err)
	}
}

func TestLowerEpochIsDenied(t *testing.T) {
	d := open(t, cart(t))
	newer := call(actStart, "service/cart", "new", nil)
	newer.Epoch = 7
	do(t, d, newer)
	older := call(actStop, "service/cart", "old", nil)
	older.Epoch = 6
	if _, err := d.Do(t.Context(), older); !heal.Is(err, heal.Denied) {
		t.Errorf("got %v, want kind denied", err)
	}
	if got := pids(t, d); len(got) != 1 {
		t.Errorf("got %v running, want the process left alone", got)
	}
	other := call(actStop, "process/cart", "other", nil)
	other.Epoch = 1
	if _, err := d.Do(t.Context(), other); err != nil {
		t.Errorf("a target with epochs of its own: %v", err)
	}
}

func TestProcessesOutliveTheDriver(t *testing.T) {
	dir, p := t.TempDir(), cart(t)
	d := openAt(t, dir, p)
	if err := d.Start(t.Context(), "cart"); err != nil {
		t.Fatal(err)
	}
	before := pids(t, d)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	e := openAt(t, dir, p)
	if diff := cmp.Diff(pids(t, e), before); diff != "" {
		t.Errorf("the next driver, got(-) want(+):\n%s", diff)
	}
	do(t, e, call(actRestart, "service/cart", "restart", nil))
	if got := pids(t, e); len(got) != 1 || got[0] == before[0] {
		t.Errorf("restarted by the next driver: got %v, want one new process", got)
	}
}

func TestAdopt(t *testing.T) {
	p := cart(t)
	first := open(t, p)
	if err := first.Start(t.Context(), "cart"); err != nil {
		t.Fatal(err)
	}
	pid := pids(t, first)[0]
	d := open(t, p) // another state directory: a stranger to it
	if err := d.Adopt(t.Context(), "cart", pid); err != nil {
		t.Fatal(err)
	}
	if err := d.Adopt(t.Context(), "cart", pid); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := d.Adopt(t.Context(), "cart", os.Getpid()); !heal.Is(err, heal.Conflict) {
		t.Errorf("one too many: got %v, want kind conflict", err)
	}
	do(t, d, call(actStop, "service/cart", "stop", nil))
	if got := pids(t, first); len(got) != 0 {
		t.Errorf("got %v running, want none", got)
	}
}

func TestErrors(t *testing.T) {
	missing := Process{Name: "missing", Command: []string{"/no/such/program"}}
	dies := Process{Name: "dies", Command: []string{self(t)}, Env: map[string]string{helperMode: "die"}, ReadyTCP: freePort(t)}
	slow := Process{Name: "slow", Command: []string{"/bin/sleep", "1000"}, ReadyURL: "http://" + freePort(t) + "/", ReadyTimeout: 100 * time.Millisecond}
	two := []Process{
		{Name: "a", Entity: "service/pair", Command: []string{"/bin/sleep", "1"}},
		{Name: "b", Entity: "service/pair", Command: []string{"/bin/sleep", "1"}},
	}
	d := open(t, append(two, missing, dies, slow)...)
	for _, tc := range []struct {
		name string
		call action.Call
		kind heal.Kind
		want string
	}{
		{"entity nobody configured", call(actStart, "service/other", "1", nil), heal.NotFound, "no process is configured for service/other"},
		{"empty target", call(actStart, "", "2", nil), heal.Invalid, "kind/name"},
		{"everything", call(actStop, "service/*", "3", nil), heal.Invalid, "wildcard"},
		{"no such program", call(actStart, "process/missing", "4", nil), heal.Invalid, "/no/such/program"},
		{"dies at once", call(actStart, "process/dies", "5", nil), heal.Transient, "ended before it was ready"},
		{"never ready", call(actStart, "process/slow", "6", nil), heal.Transient, "not ready within 100ms"},
		{"signal to nobody", call(actSignal, "process/a", "7", map[string]any{"signal": "HUP"}), heal.NotFound, "no instance of it runs"},
		{"scale of several", call(actScale, "service/pair", "8", map[string]any{"instances": 1}), heal.Invalid, "process/a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := d.Do(t.Context(), tc.call)
			if !heal.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v (%v), want kind %v with %q", err, heal.KindOf(err), tc.kind, tc.want)
			}
		})
	}
}

func TestLogIsBounded(t *testing.T) {
	p := cart(t)
	p.LogFile, p.LogLimit = filepath.Join(t.TempDir(), "cart.log"), 10
	if err := os.WriteFile(p.LogFile, []byte("more than ten bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := open(t, p)
	if err := d.Start(t.Context(), "cart"); err != nil {
		t.Fatal(err)
	}
	if old, err := os.ReadFile(p.LogFile + ".1"); err != nil || string(old) != "more than ten bytes" {
		t.Errorf("the old log: got %q, %v", old, err)
	}
	if info, err := os.Stat(p.LogFile); err != nil || info.Size() != 0 {
		t.Errorf("the new log: got %v, %v, want it empty", info, err)
	}
}
