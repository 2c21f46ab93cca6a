package probe_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/homeostat/homeostat/internal/probe"
)

// child starts a real process; kill ends it, and wait gathers it.
func child(t *testing.T, args ...string) (pid int, kill, wait func()) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "sleep", args...)
	if err := cmd.Start(); err != nil {
		t.Skipf("sleep does not start here: %v", err)
	}
	kill = func() { _ = cmd.Process.Kill() } // it may have ended
	wait = func() { _ = cmd.Wait() }         // killed, so always an error
	t.Cleanup(func() { kill(); wait() })
	return cmd.Process.Pid, kill, wait
}

func TestProcess(t *testing.T) {
	unique := "7205" + strconv.Itoa(os.Getpid())
	pid, kill, wait := child(t, unique)
	file := filepath.Join(t.TempDir(), "sleep.pid")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	start := startOf(t, pid)
	byFile := probe.Config{Process: &probe.Process{PIDFile: file}}
	byName := probe.Config{Process: &probe.Process{Exe: "sleep", Args: []string{unique}}}

	check(t, once(t, byFile), "no such file")
	write(strconv.Itoa(pid) + "\n")
	check(t, once(t, byFile), "")
	write(fmt.Sprintf("%d %d\n", pid, start))
	check(t, once(t, byFile), "")
	write(fmt.Sprintf("%d %d\n", pid, start+1))
	check(t, once(t, byFile), "is another one: it began at tick")
	write(strconv.Itoa(pid))
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}
	check(t, once(t, byFile), "is another one: it began after the pid file was written")
	write("none")
	check(t, once(t, byFile), `holds "none", expected a process id`)
	write(strconv.Itoa(pid))
	check(t, once(t, probe.Config{Process: &probe.Process{PIDFile: file, Exe: "sleep", Args: []string{unique}}}), "")
	check(t, once(t, probe.Config{Process: &probe.Process{PIDFile: file, Exe: "nginx"}}), "does not run nginx")

	check(t, once(t, byName), "")
	check(t, once(t, probe.Config{Process: &probe.Process{Exe: "sleep", Args: []string{unique, "x"}}}), "no process runs sleep "+unique+" x")
	check(t, once(t, probe.Config{Process: &probe.Process{Exe: "/nowhere/sleep", Args: []string{unique}}}), "no process runs /nowhere/sleep")

	kill()
	waitForZombie(t, pid)
	check(t, once(t, byFile), "has ended")
	check(t, once(t, byName), "no process runs")
	wait()
	check(t, once(t, byFile), "does not run")
}

func startOf(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	start, err := strconv.Atoi(strings.Fields(string(text[strings.LastIndex(string(text), ")")+1:]))[19])
	if err != nil {
		t.Fatal(err)
	}
	return start
}

// waitForZombie waits until a killed process has ended, without gathering it.
func waitForZombie(t *testing.T, pid int) {
	t.Helper()
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatalf("wait for process %d: %v", pid, err)
	}
}
