//go:build e2e

package e2e_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// child is a process of a test. It is killed, by its id, when the test ends.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   output
	ended chan struct{} // closed once it is gone and reaped
}

// output is what a process has written so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// spawn starts a program; its output goes to separate when given, else to out.
func spawn(t *testing.T, cmd *exec.Cmd) *child {
	t.Helper()
	c := &child{t: t, cmd: cmd, ended: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &c.out
	}
	cmd.Stderr = &c.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // the exit code is read from ProcessState
		close(c.ended)
	}()
	t.Cleanup(c.kill)
	return c
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.ended
}

// exit waits for the end and gives the exit code, -1 after a signal.
func (c *child) exit(within time.Duration) int {
	c.t.Helper()
	select {
	case <-c.ended:
		return c.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		c.t.Fatalf("%s still runs after %s\n%s", filepath.Base(c.cmd.Path), within, tail(c.out.String()))
		return -1
	}
}

// run runs the program under test to its end.
func run(t *testing.T, within time.Duration, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return runIn(t, t.TempDir(), within, args...)
}

func runIn(t *testing.T, dir string, within time.Duration, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out output
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Stdout = dir, &out
	cmd.Env = environ(dir)
	killWhatHolds(t, dir)
	c := spawn(t, cmd)
	code = c.exit(within)
	return code, out.String(), c.out.String()
}

// environ is the environment of the program under test: nothing configures it
// but its file, and its temporary files are in dir.
func environ(dir string) []string {
	env := []string{"TMPDIR=" + dir}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "HOMEOSTAT_") && !strings.HasPrefix(entry, "TMPDIR=") {
			env = append(env, entry)
		}
	}
	return env
}

// holding gives the processes that Homeostat's process driver started with a
// state folder below dir. They are told by their environment, so that none is
// missed and no stranger is hit.
func holding(t *testing.T, dir string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		environ, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err != nil {
			continue // it is gone, or not ours
		}
		for entry := range strings.SplitSeq(string(environ), "\x00") {
			if state, ok := strings.CutPrefix(entry, "HOMEOSTAT_STATE_DIR="); ok && strings.HasPrefix(state, dir+"/") {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// killWhatHolds ends at the end of the test what holding finds.
func killWhatHolds(t *testing.T, dir string) {
	t.Cleanup(func() {
		for _, pid := range holding(t, dir) {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is as good
		}
	})
}

// tail is the end of a long text.
func tail(text string) string {
	const most = 4000
	if len(text) > most {
		return "..." + text[len(text)-most:]
	}
	return text
}

// eventually asks until ok says yes; it fails the test after within.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}
