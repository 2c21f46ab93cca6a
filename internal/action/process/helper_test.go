package process

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// helperMode makes the test binary play a process of the shop.
const helperMode = "PROCESS_TEST_HELPER"

func TestMain(m *testing.M) {
	if mode := os.Getenv(helperMode); mode != "" {
		os.Exit(help(mode, os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

func help(mode string, args []string) int {
	stop := make(chan os.Signal, 1)
	switch mode {
	case "serve": // accepts on args[0] until told to stop
		signal.Notify(stop, unix.SIGTERM)
		l, err := net.Listen("tcp", args[0])
		if err != nil {
			fmt.Println(err)
			return 1
		}
		defer l.Close()
		<-stop
	case "stubborn": // hears SIGTERM and stays; a grandchild in its group too
		signal.Ignore(unix.SIGTERM)
		child := exec.Command("/bin/sleep", "1000")
		if err := child.Start(); err != nil {
			return 1
		}
		if err := os.WriteFile(args[0], fmt.Appendf(nil, "%d", child.Process.Pid), 0o600); err != nil {
			return 1
		}
		<-time.After(time.Hour) // an empty select would be taken for a deadlock
	case "hup": // counts SIGHUP in the file args[0]
		hups := make(chan os.Signal, 8)
		signal.Notify(hups, unix.SIGHUP)
		signal.Notify(stop, unix.SIGTERM)
		for n := 0; ; n++ {
			if err := os.WriteFile(args[0], fmt.Appendf(nil, "%d", n), 0o600); err != nil {
				return 1
			}
			select {
			case <-hups:
			case <-stop:
				return 0
			}
		}
	case "die":
		return 3
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

// freePort gives an address nothing listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// cart is a process that serves.
func cart(t *testing.T) Process {
	addr := freePort(t)
	return Process{
		Name: "cart", Entity: "service/cart",
		Command:  []string{self(t), addr},
		Env:      map[string]string{helperMode: "serve"},
		ReadyTCP: addr,
	}
}

// workers are processes of three instances that need no port.
func workers() Process {
	return Process{
		Name: "worker", Entity: "service/worker", Instances: 3, MaxInstances: 5,
		Command: []string{"/bin/sleep", "1000"},
	}
}

// listener is a process that counts SIGHUP in a file.
func listener(t *testing.T) (p Process, hups func() string) {
	file := filepath.Join(t.TempDir(), "hups")
	p = Process{Name: "listener", Entity: "service/listener", Command: []string{self(t), file}, Env: map[string]string{helperMode: "hup"}}
	return p, func() string {
		text, _ := os.ReadFile(file) // not there before it listens
		return string(text)
	}
}

// open makes a driver whose processes end with the test.
func open(t *testing.T, processes ...Process) *Driver {
	t.Helper()
	return openAt(t, t.TempDir(), processes...)
}

func openAt(t *testing.T, dir string, processes ...Process) *Driver {
	t.Helper()
	d, err := New(Options{Processes: processes, StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, pid := range world(t, dir) {
			kill(t, pid)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func list(t *testing.T, d *Driver) []Running {
	t.Helper()
	all, err := d.List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// pids gives the running instances.
func pids(t *testing.T, d *Driver) []int {
	t.Helper()
	out := []int{}
	for _, r := range list(t, d) {
		if r.Alive {
			out = append(out, r.PID)
		}
	}
	return out
}

// kill is what an accident does to a process.
func kill(t *testing.T, pid int) {
	t.Helper()
	h, err := holdPID(pid)
	if err != nil {
		return
	}
	defer h.Close()
	if err := h.signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := h.await(ctx); err != nil {
		t.Fatal(err)
	}
}

func call(act string, target heal.EntityID, task string, params map[string]any) action.Call {
	return action.Call{
		Key:    heal.StepKey{Run: "0190-run", Task: task, Attempt: 1},
		Action: act, Target: target, Params: params,
	}
}

func do(t *testing.T, d *Driver, c action.Call) action.Result {
	t.Helper()
	got, err := d.Do(t.Context(), c)
	if err != nil {
		t.Fatalf("%s: %v", c.Action, err)
	}
	return got
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
