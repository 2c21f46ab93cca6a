//go:build e2e

package e2e_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// traced starts the server of the house under strace, which shows the system
// calls named, and gives its trace. The trace ends at the latest with the test.
func (h *house) traced(calls string, more ...string) *trace {
	h.t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		h.t.Fatal("strace is needed: apt-get install strace")
	}
	r, w, err := os.Pipe()
	must(h.t, err)
	h.t.Cleanup(func() { r.Close() })
	words := []string{strace, "-f", "-qq", "-yy", "-s", "8192", "-o", "/proc/self/fd/3", "-e", "signal=none", "-e", "trace=" + calls}
	h.launch([]*os.File{w}, append(words, more...)...)
	w.Close()
	eventually(h.t, 10*time.Second, "strace starts the server", func() bool {
		h.pid = onlyChild(h.server.cmd.Process.Pid)
		return h.pid != 0 && isRunning(h.pid, binary)
	})
	pid := h.pid
	h.t.Cleanup(func() { // strace would let it live
		if isRunning(pid, binary) {
			p, err := os.FindProcess(pid)
			must(h.t, err)
			_ = p.Kill() // gone already is as good
		}
	})
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	return &trace{lines: lines, open: map[string]*syscallEvent{}}
}

// gone waits until a traced server is dead and lets go of what it has started,
// which strace would follow for ever.
func (h *house) gone() {
	h.t.Helper()
	eventually(h.t, 10*time.Second, "the traced server is gone", func() bool { return !isRunning(h.pid, binary) })
	h.server.kill()
}

// onlyChild gives the process a process has started, 0 if none yet.
func onlyChild(pid int) int {
	id := strconv.Itoa(pid)
	text, err := os.ReadFile(filepath.Join("/proc", id, "task", id, "children"))
	if err != nil {
		return 0
	}
	child, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	n, err := strconv.Atoi(child)
	if err != nil {
		return 0
	}
	return n
}

// isRunning reports whether the process with that id runs the program.
func isRunning(pid int, program string) bool {
	exe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	return err == nil && exe == program
}

// syscallEvent is one finished system call. Times are places in the trace:
// strace stops a thread at the beginning and at the end of each call, so what
// one thread does because of another's call comes after that call's end.
type syscallEvent struct {
	name       string
	fd         string // number of the first argument, where it is a file
	file       string // what the file is: a path, or TCP:[from->to]
	args       string // everything between the brackets, as strace writes it
	result     string
	begin, end int
}

func (e *syscallEvent) ok() bool {
	return e.result == "0" || e.result != "" && e.result[0] != '-' && e.result != "?"
}

// isSync reports whether the call made a write to the database durable.
func (e *syscallEvent) isSync() bool {
	return (e.name == "fsync" || e.name == "fdatasync") && e.onLog() && e.result == "0"
}

// isWrite reports whether the call wrote to the database.
func (e *syscallEvent) isWrite() bool {
	return strings.HasPrefix(e.name, "pwrite") && e.onLog() && e.ok()
}

// onLog reports whether the call is about the write-ahead log of the store.
func (e *syscallEvent) onLog() bool { return strings.HasSuffix(e.file, "/homeostat.db-wal") }

// trace reads the output of strace -f.
type trace struct {
	lines *bufio.Scanner
	open  map[string]*syscallEvent // by thread: begun, not finished
	at    int
}

var (
	traceLine  = regexp.MustCompile(`^(\d+) +(.*)$`)
	traceBegin = regexp.MustCompile(`^(\w+)\((?:(\d+)<(.*?)>(?:, |\)| <|$))?`)
	traceEnd   = regexp.MustCompile(`\) += (-?\d+|\?|0x[0-9a-f]+)[^=]*$`)
)

// next gives the next finished system call, nil at the end.
func (tr *trace) next() *syscallEvent {
	for tr.lines.Scan() {
		tr.at++
		m := traceLine.FindStringSubmatch(tr.lines.Text())
		if m == nil {
			continue
		}
		if e := tr.take(m[1], m[2]); e != nil {
			return e
		}
	}
	return nil
}

// take reads one line of a thread; nil if it finishes no call.
func (tr *trace) take(thread, text string) *syscallEvent {
	if rest, resumed := strings.CutPrefix(text, "<... "); resumed {
		e := tr.open[thread]
		delete(tr.open, thread)
		_, rest, ok := strings.Cut(rest, " resumed>")
		if e == nil || !ok {
			return nil
		}
		return tr.finish(e, rest)
	}
	m := traceBegin.FindStringSubmatch(text)
	if m == nil {
		return nil // the end of a thread
	}
	e := &syscallEvent{name: m[1], fd: m[2], file: m[3], begin: tr.at}
	body := text[len(m[1])+1:]
	if before, unfinished := strings.CutSuffix(body, "<unfinished ...>"); unfinished {
		e.args = before
		tr.open[thread] = e
		return nil
	}
	return tr.finish(e, body)
}

func (tr *trace) finish(e *syscallEvent, rest string) *syscallEvent {
	at := traceEnd.FindStringSubmatchIndex(rest)
	if at == nil {
		return nil
	}
	e.args += rest[:at[0]]
	e.result, e.end = rest[at[2]:at[3]], tr.at
	return e
}

// rest reads the trace to its end.
func (tr *trace) rest() []*syscallEvent {
	var all []*syscallEvent
	for e := tr.next(); e != nil; e = tr.next() {
		all = append(all, e)
	}
	return all
}

func TestE2ETraceReader(t *testing.T) {
	const text = `10 fsync(11</d/homeostat.db-wal>) = 0 (DELAYED)
11 pwrite64(11</d/homeostat.db-wal>, "a \"quoted\") = 7", 16, 0) = 16
10 fsync(11</d/homeostat.db-wal> <unfinished ...>
11 write(7<TCP:[127.0.0.1:80->127.0.0.1:90]>, "HTTP/1.1 200", 12) = 12
10 <... fsync resumed>)              = 0
12 connect(9<TCP:[1]>, {sa_family=AF_INET, sin_port=htons(81), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EINPROGRESS (Operation now in progress)
12 execve("/bin/x", ["x"], 0x7 /* 3 vars */) = 0
12 +++ exited with 0 +++
`
	tr := &trace{lines: bufio.NewScanner(strings.NewReader(text)), open: map[string]*syscallEvent{}}
	var got []string
	for _, e := range tr.rest() {
		got = append(got, strings.Join([]string{e.name, e.fd, e.file, e.result, strconv.Itoa(e.begin), strconv.Itoa(e.end)}, " "))
	}
	want := []string{
		"fsync 11 /d/homeostat.db-wal 0 1 1", "pwrite64 11 /d/homeostat.db-wal 16 2 2", "write 7 TCP:[127.0.0.1:80->127.0.0.1:90] 12 4 4",
		"fsync 11 /d/homeostat.db-wal 0 3 5", "connect 9 TCP:[1] -1 6 6", "execve   0 7 7",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
