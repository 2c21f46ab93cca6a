package exec_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/action/actiontest"
	"github.com/homeostat/homeostat/internal/action/exec"
	"github.com/homeostat/homeostat/internal/heal"
)

// The test binary plays the commands: its first argument says which.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "play-") {
		os.Exit(play(os.Args[1], os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}

func play(what string, args []string) int {
	switch what {
	case "play-echo":
		fmt.Print(strings.Join(args, "|"))
		fmt.Fprint(os.Stderr, os.Getenv("GREETING"))
	case "play-append":
		f, err := os.OpenFile(args[0], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return 1
		}
		defer f.Close()
		fmt.Fprintln(f, "done")
	case "play-exit":
		fmt.Fprint(os.Stderr, "it did not work")
		code, _ := strconv.Atoi(args[0])
		return code
	case "play-flood":
		for range 1000 {
			fmt.Print(strings.Repeat("x", 1024))
		}
	case "play-cat":
		var word string
		if _, err := fmt.Scan(&word); err != nil {
			return 1
		}
		fmt.Print(word)
	case "play-family": // a child in the same group, both for a long time
		child := osexec.Command("/bin/sleep", "1000")
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			return 1
		}
		if err := os.WriteFile(args[0], fmt.Append(nil, child.Process.Pid), 0o600); err != nil {
			return 1
		}
		<-time.After(time.Hour) // an empty select would be taken for a deadlock
	case "play-abort":
		p, err := os.FindProcess(os.Getpid())
		if err != nil {
			return 1
		}
		_ = p.Kill()
		<-time.After(time.Hour)
	}
	return 0
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func call(act string, extra map[string]any, argv ...any) action.Call {
	params := map[string]any{"argv": argv}
	maps.Copy(params, extra)
	return action.Call{Key: heal.StepKey{Run: "r", Task: "t", Attempt: 1}, Action: act, Params: params}
}

func options(t *testing.T) exec.Options {
	return exec.Options{Allow: []exec.Executable{
		{Path: self(t), ReadOnly: true, Env: []string{"GREETING"}},
		{Path: "/bin/sleep"},
		{Path: "/no/such/program"},
	}}
}

func open(t *testing.T) *exec.Driver {
	t.Helper()
	d, err := exec.New(options(t))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestContract(t *testing.T) {
	actiontest.Run(t, func(t *testing.T) actiontest.Subject {
		file := filepath.Join(t.TempDir(), "effect")
		v, err := exec.NewPreviewer(options(t))
		if err != nil {
			t.Fatal(err)
		}
		return actiontest.Subject{
			Driver: open(t), Previewer: v,
			World: func() any { text, _ := os.ReadFile(file); return string(text) },
			Calls: []action.Call{
				call(exec.Command, nil, self(t), "play-append", file),
				call(exec.Query, nil, self(t), "play-echo"),
			},
			Slow: []action.Call{
				call(exec.Command, nil, "/bin/sleep", "1000"),
				call(exec.Query, nil, self(t), "play-family", filepath.Join(t.TempDir(), "pid")),
			},
		}
	})
}

func TestRuns(t *testing.T) {
	for _, tc := range []struct {
		name string
		call action.Call
		want map[string]any
	}{
		{
			"no shell reads the arguments", call(exec.Command, nil, self(t), "play-echo", "$HOME; rm -rf /", "a b", "*"),
			map[string]any{"exit_code": int64(0), "stdout": "$HOME; rm -rf /|a b|*", "stderr": "", "truncated": false},
		},
		{
			"allowed variable", call(exec.Query, map[string]any{"env": map[string]any{"GREETING": "hello"}}, self(t), "play-echo"),
			map[string]any{"exit_code": int64(0), "stdout": "", "stderr": "hello", "truncated": false},
		},
		{
			"standard input", call(exec.Query, map[string]any{"stdin": "word\n"}, self(t), "play-cat"),
			map[string]any{"exit_code": int64(0), "stdout": "word", "stderr": "", "truncated": false},
		},
		{
			"standard input nobody reads", call(exec.Query, map[string]any{"stdin": strings.Repeat("x", 1<<20)}, self(t), "play-echo", "x"),
			map[string]any{"exit_code": int64(0), "stdout": "x", "stderr": "", "truncated": false},
		},
		{
			"expected exit code", call(exec.Command, map[string]any{"ok_exit_codes": []any{"0", "3"}}, self(t), "play-exit", "3"),
			map[string]any{"exit_code": int64(3), "stdout": "", "stderr": "it did not work", "truncated": false},
		},
		{
			"flood", call(exec.Query, nil, self(t), "play-flood"),
			map[string]any{"exit_code": int64(0), "stdout": strings.Repeat("x", 64<<10), "stderr": "", "truncated": true},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := open(t).Do(t.Context(), tc.call)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got.Output, tc.want); diff != "" {
				t.Errorf("got(-) want(+):\n%s", diff)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	d := open(t)
	long := []any{self(t)}
	for range 1000 {
		long = append(long, strings.Repeat("a", 1000))
	}
	for _, tc := range []struct {
		name string
		call action.Call
		kind heal.Kind
		want string
	}{
		{"exit code", call(exec.Command, nil, self(t), "play-exit", "4"), heal.Transient, "exit code 4, expected one of [0]; stderr: \"it did not work\""},
		{"command killed", call(exec.Command, nil, self(t), "play-abort"), heal.Unknown, "signal: killed"},
		{"query killed", call(exec.Query, nil, self(t), "play-abort"), heal.Transient, "signal: killed"},
		{"not listed", call(exec.Command, nil, "/bin/sh", "-c", "true"), heal.Denied, "does not list it"},
		{"not listed by this name", call(exec.Command, nil, "sleep", "0"), heal.Denied, "does not list it"},
		{"not read-only", call(exec.Query, nil, "/bin/sleep", "0"), heal.Denied, "read_only"},
		{"not there", call(exec.Command, nil, "/no/such/program"), heal.NotFound, "no such file"},
		{"empty", call(exec.Command, nil), heal.Invalid, "is empty"},
		{"zero byte", call(exec.Command, nil, self(t), "a\x00b"), heal.Invalid, "zero byte"},
		{"too long", call(exec.Command, nil, long...), heal.Invalid, "bytes long"},
		{"relative directory", call(exec.Command, map[string]any{"dir": "here"}, self(t)), heal.Invalid, "absolute path"},
		{"variable", call(exec.Command, map[string]any{"env": map[string]any{"LD_PRELOAD": "/tmp/x.so"}}, self(t)), heal.Denied, "LD_PRELOAD"},
		{"no exit code", call(exec.Command, map[string]any{"ok_exit_codes": []any{"256"}}, self(t)), heal.Invalid, "0 to 255"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := d.Do(t.Context(), tc.call)
			if !heal.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v (%v), want kind %v with %q", err, heal.KindOf(err), tc.kind, tc.want)
			}
		})
	}
	nothing, err := exec.New(exec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nothing.Do(t.Context(), call(exec.Command, nil, self(t))); !heal.Is(err, heal.Denied) || !strings.Contains(err.Error(), "allows no program") {
		t.Errorf("nothing allowed: got %v, want kind denied with the reason", err)
	}
	if _, err := exec.New(exec.Options{Allow: []exec.Executable{{Path: "sleep"}}}); !heal.Is(err, heal.Invalid) {
		t.Errorf("relative program: got %v, want kind invalid", err)
	}
}

func TestDeadlineKillsTheWholeGroup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	d := open(t)
	go func() {
		_, err := d.Do(ctx, call(exec.Command, nil, self(t), "play-family", file))
		done <- err
	}()
	var child int
	eventually(t, "the child runs", func() bool {
		text, _ := os.ReadFile(file)
		child, _ = strconv.Atoi(string(text))
		return child > 0
	})
	cancel()
	if err := <-done; !heal.Is(err, heal.Unknown) || !strings.Contains(err.Error(), "killed with its process group") {
		t.Errorf("got %v, want kind unknown and that it was killed", err)
	}
	eventually(t, "the child is gone", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

// eventually asks until the answer is yes; the world is not ours to time.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for !yes() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}
