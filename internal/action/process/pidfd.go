package process

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/homeostat/homeostat/internal/heal"
)

// handle holds on to one process: as long as it is open, signals sent through
// it reach that process or nobody.
type handle struct{ file *os.File }

// hold opens a handle on exactly the process of the identity; nil if it is gone.
func hold(id identity, boot string) (*handle, error) {
	if id.PID <= 0 || id.Boot != boot {
		return nil, nil
	}
	h, err := holdPID(id.PID)
	if errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, heal.Errorf(heal.Internal, "hold process", "pid %d: %w", id.PID, err)
	}
	// Reading after opening matters: if the start time is right now, the pid
	// has had one owner all along, and the handle is on it.
	if !id.alive(boot) {
		return nil, h.Close()
	}
	return h, nil
}

func holdPID(pid int) (*handle, error) {
	fd, err := unix.PidfdOpen(pid, unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &handle{file: os.NewFile(uintptr(fd), "pidfd")}, nil
}

// Close lets the process go; it runs on.
func (h *handle) Close() error { return h.file.Close() }

// signal sends to the process. That it is gone is no error.
func (h *handle) signal(s unix.Signal) error { return h.send(s, 0) }

// killGroup kills what is left of the process group of the process. Kernels
// before 6.9 cannot do so without the risk of a recycled id, and are not asked
// to: there it kills the process alone.
func (h *handle) killGroup() error {
	const processGroup = 1 << 2 // PIDFD_SIGNAL_PROCESS_GROUP, linux/pidfd.h
	err := h.send(unix.SIGKILL, processGroup)
	if errors.Is(err, unix.EINVAL) {
		return h.send(unix.SIGKILL, 0)
	}
	return err
}

func (h *handle) send(s unix.Signal, flags int) error {
	conn, err := h.file.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	if err := conn.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), s, nil, flags) }); err != nil {
		return err
	}
	switch {
	case sent == nil, errors.Is(sent, unix.ESRCH):
		return nil
	case errors.Is(sent, unix.EPERM):
		return heal.Errorf(heal.Denied, "signal process", "%s: %w", unix.SignalName(s), sent)
	}
	return sent
}

// await returns nil when the process has ended, reaped or not, and ctx's error
// if that comes first.
func (h *handle) await(ctx context.Context) error {
	return h.until(ctx, func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		return err == nil && n > 0
	})
}

// reap waits for a child and takes its exit status off the kernel, or returns
// os.ErrClosed when the handle is closed.
func (h *handle) reap(pid int) (unix.WaitStatus, error) {
	var status unix.WaitStatus
	var failed error
	err := h.until(context.Background(), func(uintptr) bool {
		got, err := unix.Wait4(pid, &status, unix.WNOHANG, nil)
		failed = err
		return err != nil || got == pid
	})
	return status, errors.Join(err, failed)
}

// until parks the goroutine on the network poller, which a pidfd wakes when
// the process ends; no thread waits.
func (h *handle) until(ctx context.Context, done func(fd uintptr) bool) error {
	conn, err := h.file.SyscallConn()
	if err != nil {
		return err
	}
	if err := h.file.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		_ = h.file.SetReadDeadline(time.Unix(1, 0)) // fails only if closed, which wakes the reader too
	})
	defer func() {
		if !stop() {
			<-fired
		}
	}()
	err = conn.Read(done)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return context.Cause(ctx)
	}
	return err
}
