package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a target that runs.
type process struct {
	cmd        *exec.Cmd
	grpc, http string
	log        bytes.Buffer
	over       chan error
}

// start runs a command and waits until both of its ports take connections.
func start(ctx context.Context, grpc, http string, env []string, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, name, args...), grpc: grpc, http: http, over: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.over <- p.cmd.Wait() }()
	deadline := time.Now().Add(20 * time.Second)
	for _, addr := range []string{grpc, http} {
		for {
			c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
			if err == nil {
				c.Close()
				break
			}
			select {
			case err := <-p.over:
				return nil, fmt.Errorf("%s ended at once: %w: %s", name, err, p.log.String())
			case <-time.After(10 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				_ = p.cmd.Process.Kill() // the error of the wait is the one that matters
				return nil, fmt.Errorf("%s does not listen on %s: %w", name, addr, err)
			}
		}
	}
	return p, nil
}

// stop ends the process gracefully, after 30 s by force.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-p.over:
		if err != nil {
			return fmt.Errorf("%s ended with %w: %s", p.cmd.Path, err, last(p.log.String(), 2000))
		}
		return nil
	case <-time.After(30 * time.Second):
		err := p.cmd.Process.Kill()
		return errors.Join(fmt.Errorf("%s did not end within 30 s", p.cmd.Path), err, <-p.over)
	}
}

func last(text string, n int) string { return text[max(0, len(text)-n):] }

// cpu is the processor time the process has used, in seconds, from its stat
// file, whose unit is the hundredth of a second.
func (p *process) cpu() (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	var ticks float64
	for _, i := range []int{11, 12} {
		n, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return ticks / 100, nil
}

// busy is the processor time everything on the machine has used, in seconds; 0
// where the system does not tell. The fields after the name are the user's, the
// nice, the system's, idle, waiting, and three more that count.
func busy() (sum float64) {
	fields := strings.Fields(firstLine("/proc/stat"))
	for i, f := range fields[1:] {
		if i == 3 || i == 4 || i > 7 {
			continue
		}
		n, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return 0
		}
		sum += n / 100
	}
	return sum
}

// own is the processor time of this process, in seconds.
func own() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// resident is the memory the process has at most taken, in MB.
func (p *process) resident() float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

// freePorts finds loopback addresses that nobody listens on.
func freePorts(ctx context.Context, n int) ([]string, error) {
	out := make([]string, n)
	for i := range out {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		out[i] = l.Addr().String()
	}
	return out, nil
}
