package process

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/homeostat/homeostat/internal/heal"
)

// passedOn are the variables a process gets from the one who starts it. The
// rest of that environment, tokens among it, is not its business.
var passedOn = []string{"PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"}

// spawn starts one instance in a session of its own. What it returns is not
// yet recorded.
func (d *Driver) spawn(p *Process, n int, key string) (instance, error) {
	op := "start process " + p.Name
	log, err := openLog(p.at(p.LogFile, n), p.LogLimit)
	if err != nil {
		return instance{}, heal.Errorf(heal.Invalid, op, "open its log: %w", err)
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return instance{}, heal.Errorf(heal.Internal, op, "%w", err)
	}
	defer null.Close()
	argv := make([]string, len(p.Command))
	for i, arg := range p.Command {
		argv[i] = p.at(arg, n)
	}
	child, err := os.StartProcess(argv[0], argv, &os.ProcAttr{
		Dir:   p.at(p.Dir, n),
		Env:   environ(p, n, key, d.dir),
		Files: []*os.File{null, log, log},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return instance{}, heal.Errorf(startKind(err), op, "%w", err)
	}
	pid := child.Pid
	_ = child.Release() // we reap it ourselves; until then its pid is its own
	s, err := readStat(pid)
	if err != nil {
		return instance{}, heal.Errorf(heal.Unknown, op, "pid %d was started, its start time is not readable: %w", pid, err)
	}
	in := instance{
		identity:  identity{PID: pid, Start: s.Start, Boot: d.boot},
		N:         n,
		Key:       key,
		StartedAt: time.Now().UTC(),
	}
	if err := d.children.watch(p, in, d.log); err != nil {
		return instance{}, heal.Errorf(heal.Unknown, op, "pid %d was started and cannot be watched: %w", pid, err)
	}
	return in, nil
}

// startKind tells a wrong configuration from a machine short of something.
func startKind(err error) heal.Kind {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOEXEC), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.E2BIG):
		return heal.Invalid
	case errors.Is(err, fs.ErrPermission):
		return heal.Denied
	}
	return heal.Transient
}

func environ(p *Process, n int, key, dir string) []string {
	values := map[string]string{}
	for _, name := range passedOn {
		if value, ok := os.LookupEnv(name); ok {
			values[name] = value
		}
	}
	for name, value := range p.Env {
		values[name] = p.at(value, n)
	}
	values[markKey], values[markProcess], values[markDir] = key, p.Name, dir
	values[markInstance] = p.at("{instance}", n)
	out := make([]string, 0, len(values))
	for name, value := range values {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return out
}

// openLog opens the log to append; one that has grown over the limit becomes
// <name>.1, in place of the one that was.
func openLog(name string, limit int64) (*os.File, error) {
	info, err := os.Stat(name)
	if err == nil && info.Mode().IsRegular() && info.Size() > limit {
		if err := os.Rename(name, name+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
}

// children are the processes that are ours to reap: those this driver started.
type children struct {
	mu     sync.Mutex
	closed bool
	held   map[int]*handle
	wait   sync.WaitGroup
}

// watch reaps the child when it ends.
func (c *children) watch(p *Process, in instance, log *slog.Logger) error {
	h, err := holdPID(in.PID)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return h.Close()
	}
	c.held[in.PID] = h
	c.wait.Go(func() {
		status, err := h.reap(in.PID)
		c.mu.Lock()
		if c.held[in.PID] == h {
			delete(c.held, in.PID)
		}
		c.mu.Unlock()
		_ = h.Close() // second close of a released child, or nothing left to hold
		if err == nil {
			log.Info("process ended", in.attrs(p), slog.Int("exit_code", status.ExitStatus()), slog.String("signal", signalName(status)))
		}
	})
	return nil
}

// release lets all children go; they run on, and init reaps them.
func (c *children) release() {
	c.mu.Lock()
	c.closed = true
	for _, h := range c.held {
		_ = h.Close() // wakes its goroutine, which is all that is wanted
	}
	c.mu.Unlock()
	c.wait.Wait()
}

func signalName(status unix.WaitStatus) string {
	if !status.Signaled() {
		return ""
	}
	return unix.SignalName(status.Signal())
}
