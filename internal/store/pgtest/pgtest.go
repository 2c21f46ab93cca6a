//go:build linux

// Package pgtest runs real PostgreSQL servers for tests: each in a temporary
// folder, on a Unix socket in it and on loopback, as a user that is not root.
//
// Its one invariant: a server ends with the test that started it, also when
// the test is killed. It is not for servers that anybody else runs.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// User is the name of the superuser that servers are made with; over the
// socket it needs no password.
const User = "homeostat"

// Server is one PostgreSQL server with a data directory of its own.
type Server struct {
	Dir  string // holds the data, the socket and the log
	Port int    // on 127.0.0.1

	bin     string
	as      *syscall.Credential // nil: the user of the test
	running *os.Process
	ended   chan struct{} // closed when the process is gone
	made    atomic.Int64  // databases
}

type started struct {
	process *os.Process
	err     error
}

// bounds of what one step may take.
const (
	makeLimit  = time.Minute
	startLimit = 30 * time.Second
)

// New makes a data directory, starts a server on it and waits until it answers.
// Settings are lines for postgresql.conf. Call Remove in the end.
func New(settings ...string) (_ *Server, err error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pg") // a socket's path may have 107 bytes
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: dir, bin: bin}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Remove())
		}
	}()
	if err := s.chooseUser(); err != nil {
		return nil, err
	}
	if s.Port, err = freePort(); err != nil {
		return nil, err
	}
	if err := s.run(filepath.Join(bin, "initdb"), "--pgdata="+s.data(), "--username="+User, "--auth-local=trust", "--auth-host=scram-sha-256",
		"--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums", "--no-sync", "--no-instructions"); err != nil {
		return nil, err
	}
	settings = append([]string{
		"listen_addresses = '127.0.0.1'", "port = " + strconv.Itoa(s.Port), "unix_socket_directories = '" + dir + "'",
		"shared_buffers = 64MB", "max_connections = 100", "log_checkpoints = off",
	}, settings...)
	if err := s.Configure(settings...); err != nil {
		return nil, err
	}
	return s, s.Start()
}

// binaries finds the folder of the server's programs. Debian keeps it out of
// PATH.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	for version := 30; version >= 15; version-- {
		dir := fmt.Sprintf("/usr/lib/postgresql/%d/bin", version)
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("PostgreSQL 15 or newer is needed and was not found: no initdb in PATH nor in /usr/lib/postgresql/*/bin; on Debian install the package postgresql")
}

// Tool gives the path of one of PostgreSQL's programs.
func (s *Server) Tool(name string) string { return filepath.Join(s.bin, name) }

// chooseUser gives the folder to a user that PostgreSQL runs as: it refuses
// root.
func (s *Server) chooseUser() error {
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, first := strconv.ParseUint(u.Uid, 10, 32)
		gid, second := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(first, second, os.Chown(s.Dir, int(uid), int(gid))); err != nil {
			return err
		}
		s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return nil
	}
	return errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

// run carries out one program of PostgreSQL as its user.
func (s *Server) run(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), makeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = s.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(text))
	}
	return nil
}

// Configure appends lines to postgresql.conf; they hold from the next start.
func (s *Server) Configure(lines ...string) error {
	return s.append("postgresql.conf", lines)
}

// Admit puts lines before all others in pg_hba.conf; they hold from the next
// start.
func (s *Server) Admit(lines ...string) error {
	name := filepath.Join(s.data(), "pg_hba.conf")
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, append([]byte(strings.Join(lines, "\n")+"\n"), text...), 0o600)
}

func (s *Server) append(name string, lines []string) error {
	f, err := os.OpenFile(filepath.Join(s.data(), name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
	return errors.Join(err, f.Close())
}

// Write puts a file into the data directory that only the server can read.
func (s *Server) Write(name string, text []byte) error {
	path := filepath.Join(s.data(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil || s.as == nil {
		return err
	}
	return os.Chown(path, int(s.as.Uid), int(s.as.Gid))
}

// Start starts the server and waits until it answers.
func (s *Server) Start() error {
	log, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	process, ended := make(chan started), make(chan struct{})
	go func() {
		// The kernel ends the server when the thread that started it ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd := exec.Command(s.Tool("postgres"), "-D", s.data()) //nolint:noctx // it is ended by Stop
		cmd.Dir, cmd.Stdout, cmd.Stderr = s.Dir, log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Pdeathsig: syscall.SIGQUIT, Setpgid: true}
		if err := cmd.Start(); err != nil {
			process <- started{err: err}
			return
		}
		process <- started{process: cmd.Process}
		_ = cmd.Wait() // how it ended is in its log
		close(ended)
	}()
	got := <-process
	if got.err != nil {
		return got.err
	}
	s.running, s.ended = got.process, ended
	return s.answer()
}

// answer waits until the server takes a connection.
func (s *Server) answer() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.Exec(ctx, "postgres", "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
			continue
		case <-s.ended:
		case <-ctx.Done():
		}
		return fmt.Errorf("the server did not start: %w: %s", err, s.tail())
	}
}

// tail gives the end of the server's log.
func (s *Server) tail() []byte {
	text, err := os.ReadFile(filepath.Join(s.Dir, "log"))
	if err != nil {
		return []byte(err.Error())
	}
	return text[max(0, len(text)-2000):]
}

// Mode says how a server is stopped.
type Mode syscall.Signal

// The modes of pg_ctl stop.
const (
	Fast      = Mode(syscall.SIGINT)  // transactions are rolled back, the state is written out
	Immediate = Mode(syscall.SIGQUIT) // as in a crash: the next start recovers
)

// Stop stops the server and waits until it is gone.
func (s *Server) Stop(mode Mode) error {
	if s.running == nil {
		return nil
	}
	process := s.running
	s.running = nil
	if err := process.Signal(syscall.Signal(mode)); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(startLimit):
		return errors.Join(fmt.Errorf("the server is still there after %v: %s", startLimit, s.tail()), process.Kill())
	}
}

// Remove stops the server and removes its folder.
func (s *Server) Remove() error {
	return errors.Join(s.Stop(Immediate), os.RemoveAll(s.Dir))
}

// Exec runs SQL as the superuser.
func (s *Server) Exec(ctx context.Context, database, text string) error {
	conn, err := pgconn.Connect(ctx, s.DSN(database))
	if err != nil {
		return err
	}
	return errors.Join(conn.Exec(ctx, text).Close(), conn.Close(ctx))
}

// Database makes an empty database and gives its name.
func (s *Server) Database(ctx context.Context) (string, error) {
	name := fmt.Sprintf("test%d", s.made.Add(1))
	return name, s.Exec(ctx, "postgres", "CREATE DATABASE "+name+" TEMPLATE template0")
}

// DSN names a database over the socket, as the superuser.
func (s *Server) DSN(database string) string {
	query := url.Values{"host": {s.Dir}, "port": {strconv.Itoa(s.Port)}}
	return "postgres://" + User + "@/" + database + "?" + query.Encode()
}

// freePort finds a port below the range of outgoing connections (32768 and up
// on Linux): one of those could take it before the server listens.
func freePort() (int, error) {
	const first, last = 20000, 32000
	for range last - first {
		port := first + rand.IntN(last-first)
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return 0, err
		}
		return port, l.Close()
	}
	return 0, fmt.Errorf("no port from %d to %d is free", first, last)
}
