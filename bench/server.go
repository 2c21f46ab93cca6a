package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/homeostat/homeostat/examples/shop"
)

// server is a running homeostat.
type server struct {
	dir   string // its data
	base  string // of its URLs
	token string
	cmd   *exec.Cmd
	log   bytes.Buffer
	took  time.Duration // from exec to the first 200 of /readyz
	http  *http.Client
}

// up starts the server on the data directory and waits until it is ready; more
// is configuration, as variables of the environment.
func up(ctx context.Context, o *options, dir string, more ...string) (*server, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, base: "http://" + ports[0], http: client(o.conns)}
	s.cmd = exec.CommandContext(ctx, o.binary, "up")
	s.cmd.Dir = o.dir // no homeostat.yaml there
	s.cmd.Env = append(os.Environ(),
		"HOMEOSTAT_DATA_DIR="+dir, "HOMEOSTAT_SERVER_LISTEN="+ports[0], "HOMEOSTAT_OTLP_GRPC_LISTEN="+ports[1], "HOMEOSTAT_OTLP_HTTP_LISTEN="+ports[2],
		"HOMEOSTAT_LOG_LEVEL=warn",
	)
	s.cmd.Env = append(s.cmd.Env, more...)
	s.cmd.Stderr = &s.log
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for !s.ready(ctx) {
		if time.Since(began) > 60*time.Second || ctx.Err() != nil {
			return nil, errors.Join(errors.New("the server did not become ready within a minute"), s.stop())
		}
		time.Sleep(2 * time.Millisecond)
	}
	s.took = time.Since(began)
	data, err := os.ReadFile(filepath.Join(dir, "operator.token"))
	s.token = strings.TrimSpace(string(data))
	return s, err
}

// client keeps one connection for each sender.
func client(conns int) *http.Client {
	return &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{MaxIdleConns: conns, MaxIdleConnsPerHost: conns}}
}

// freePorts finds loopback addresses that nobody listens on.
func freePorts(n int) ([]string, error) {
	ports, err := shop.FreePorts(n)
	if err != nil {
		return nil, err
	}
	out := make([]string, n)
	for i, p := range ports {
		out[i] = fmt.Sprintf("127.0.0.1:%d", p)
	}
	return out, nil
}

func (s *server) ready(ctx context.Context) bool {
	status, _, err := s.do(ctx, http.MethodGet, "/readyz", nil)
	return err == nil && status == http.StatusOK
}

// stop ends the server; what it logged is part of the error if it failed.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("the server ended with %w: %s", err, tail(s.log.String()))
	}
	return nil
}

func tail(text string) string {
	const most = 2000
	return text[max(0, len(text)-most):]
}

// do sends one request and reads the answer whole.
func (s *server) do(ctx context.Context, method, path string, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// get reads an answer of 200 into a value.
func (s *server) get(ctx context.Context, path string, into any) error {
	status, answer, err := s.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("GET %s: %d %s", path, status, tail(string(answer)))
	}
	return json.Unmarshal(answer, into)
}

// cpu is the processor time the server has used so far, on all cores together.
func (s *server) cpu() time.Duration { return processorTime(s.cmd.Process.Pid) }

// clockTick is the unit of times in /proc/<pid>/stat; Linux shows 1/100 s on
// every architecture Go runs on.
const clockTick = 10 * time.Millisecond

// processorTime reads the processor time of a process, 0 where the system does
// not tell. In the file a name in parentheses comes second; the user's and the
// system's time are the 12th and 13th field after it.
func processorTime(pid int) time.Duration {
	text := firstLine(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	var sum time.Duration
	for _, f := range fields[11:13] {
		ticks, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0
		}
		sum += time.Duration(ticks) * clockTick
	}
	return sum
}

// memoryMB gives the resident memory now and at its highest.
func (s *server) memoryMB() (now, peak float64) {
	path := fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid)
	return megabytes(procField(path, "VmRSS")), megabytes(procField(path, "VmHWM"))
}

// megabytes reads "1234 kB"; 0 where the system does not tell.
func megabytes(field string) float64 {
	kb, _, _ := strings.Cut(field, " ")
	n, err := strconv.ParseFloat(kb, 64)
	if err != nil {
		return 0
	}
	return n / 1024
}
