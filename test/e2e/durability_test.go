//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
)

// durableCalls are the system calls by which a trace shows what was received,
// made durable, answered and done to the world.
const durableCalls = "read,write,pwrite64,fsync,fdatasync,connect,execve,pidfd_send_signal"

// TestE2EDurability shows by the system calls of the server that what it
// answers with 2xx is on disk before, and that what it does to the world is
// intended on disk before.
func TestE2EDurability(t *testing.T) {
	s := newScene(t, embedded)
	tr := s.traced(durableCalls)
	var events []*syscallEvent
	read := make(chan struct{})
	go func() {
		defer close(read)
		events = tr.rest()
	}()
	s.ready()
	marks := s.sendMarked(t, 4, 10)
	end, _ := s.finish(s.give())
	s.check(end)
	// Nothing the server has started may keep the trace open.
	must(t, syscall.Kill(s.pid, syscall.SIGTERM))
	eventually(t, 15*time.Second, "the server ends", func() bool { return !isRunning(s.pid, binary) })
	for _, pid := range holding(t, s.dir) {
		must(t, syscall.Kill(pid, syscall.SIGKILL))
	}
	s.server.exit(15 * time.Second)
	<-read

	answers(t, events, marks)
	effects(t, events, s, end)
}

// sendMarked sends alerts from several senders at once, each alert with a name
// of its own, and gives the names.
func (s *scene) sendMarked(t *testing.T, senders, each int) []string {
	t.Helper()
	var marks []string
	var sending sync.WaitGroup
	for i := range senders {
		names := numbered(fmt.Sprintf("Mark-%d", i), each)
		marks = append(marks, names...)
		sending.Go(func() {
			for _, name := range names {
				data, err := json.Marshal(firing(name+"-", "host/"+name))
				if err != nil {
					t.Error(err)
					return
				}
				if r := s.do(http.MethodPost, webhook, data); r.status != http.StatusOK {
					t.Errorf("send %s: %s", name, r)
				}
			}
		})
	}
	sending.Wait()
	return marks
}

// answers checks each alert: read from a connection, written to the log of the
// database, synced, and only then answered on the same connection.
func answers(t *testing.T, events []*syscallEvent, marks []string) {
	t.Helper()
	for _, mark := range marks {
		word := mark + "-"
		received := first(events, 0, func(e *syscallEvent) bool {
			return e.name == "read" && strings.HasPrefix(e.file, "TCP:") && strings.Contains(e.args, word)
		})
		if received == nil {
			t.Errorf("%s: the trace does not show that it was received", mark)
			continue
		}
		answered := first(events, received.end, func(e *syscallEvent) bool {
			return e.name == "write" && e.file == received.file && strings.Contains(e.args, `"HTTP/1.1 2`)
		})
		if answered == nil {
			t.Errorf("%s: the trace does not show its answer", mark)
			continue
		}
		if why := durable(events, received.end, answered.begin, func(args string) bool { return strings.Contains(args, word) }); why != "" {
			t.Errorf("%s was answered with 2xx, but before that %s", mark, why)
		}
	}
	t.Logf("%d alerts: each synced between receipt and answer", len(marks))
}

// effects checks each thing done to the world: that it starts is written to the
// journal and synced before.
func effects(t *testing.T, events []*syscallEvent, s *scene, end form.Run) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	target, err := url.Parse(s.world.URL)
	must(t, err)
	seen := map[string]*syscallEvent{}
	for _, task := range []string{"announce", "charge", "finish"} {
		key := end.ID + "/" + task + "/1"
		sent := first(events, 0, func(e *syscallEvent) bool {
			return e.name == "write" && strings.Contains(e.args, key) && strings.HasPrefix(e.file, "TCP:")
		})
		if sent == nil {
			continue
		}
		seen[task] = last(events, sent.begin, func(e *syscallEvent) bool {
			return e.name == "connect" && e.fd == sent.fd && strings.Contains(e.args, "htons("+target.Port()+")")
		})
	}
	seen["start"] = first(events, 0, func(e *syscallEvent) bool { return e.name == "execve" && strings.Contains(e.args, self) })
	seen["restart"] = first(events, 0, func(e *syscallEvent) bool {
		return e.name == "pidfd_send_signal" && strings.Contains(e.args, "SIGTERM")
	})
	for _, task := range []string{"start", "announce", "charge", "restart", "finish"} {
		done := seen[task]
		if done == nil {
			t.Errorf("%s: the trace does not show its effect", task)
			continue
		}
		line := `\"phase\":\"started\",\"step\":\"` + end.ID + "/" + task + `/1\"`
		if why := durable(events, 0, done.begin, func(args string) bool { return strings.Contains(args, line) }); why != "" {
			t.Errorf("%s was done by %s, but before that %s", task, done.name, why)
		}
	}
	t.Logf("5 calls of drivers: each after its intent was synced")
}

// durable says why something was not on disk between two places of the trace,
// "" if it was: written to the log of the database, then synced.
func durable(events []*syscallEvent, from, to int, is func(args string) bool) string {
	written := first(events, from, func(e *syscallEvent) bool { return e.isWrite() && is(e.args) })
	if written == nil || written.end >= to {
		return "it was not written to the database"
	}
	synced := first(events, written.end, (*syscallEvent).isSync)
	if synced == nil || synced.end >= to {
		return "the write was not synced"
	}
	return ""
}

// first gives the first call that begins after a place, in the order they
// ended.
func first(events []*syscallEvent, after int, is func(*syscallEvent) bool) *syscallEvent {
	for _, e := range events {
		if e.begin > after && is(e) {
			return e
		}
	}
	return nil
}

// last gives the last call that ended before a place.
func last(events []*syscallEvent, before int, is func(*syscallEvent) bool) *syscallEvent {
	var found *syscallEvent
	for _, e := range events {
		if e.end < before && is(e) {
			found = e
		}
	}
	return found
}

// TestE2EDurabilityReader shows that the check can fail.
func TestE2EDurabilityReader(t *testing.T) {
	const log = "/d/homeostat.db-wal"
	call := func(name, file, args string, begin, end int) *syscallEvent {
		return &syscallEvent{name: name, file: file, args: args, result: "0", begin: begin, end: end}
	}
	mark := func(args string) bool { return args == "mark" }
	tests := []struct {
		name   string
		events []*syscallEvent
		want   string
	}{
		{"written and synced", []*syscallEvent{call("pwrite64", log, "mark", 2, 2), call("fsync", log, "", 3, 4)}, ""},
		{"never written", []*syscallEvent{call("pwrite64", log, "else", 2, 2), call("fsync", log, "", 3, 4)}, "it was not written to the database"},
		{"written elsewhere", []*syscallEvent{call("pwrite64", "/d/metrics", "mark", 2, 2), call("fsync", log, "", 3, 4)}, "it was not written to the database"},
		{"synced before it was written", []*syscallEvent{call("fsync", log, "", 1, 2), call("pwrite64", log, "mark", 3, 3)}, "the write was not synced"},
		{"synced while it was written", []*syscallEvent{call("pwrite64", log, "mark", 2, 4), call("fsync", log, "", 3, 5)}, "the write was not synced"},
		{"another file synced", []*syscallEvent{call("pwrite64", log, "mark", 2, 2), call("fsync", "/d/metrics", "", 3, 4)}, "the write was not synced"},
		{"synced too late", []*syscallEvent{call("pwrite64", log, "mark", 2, 2), call("fsync", log, "", 3, 11)}, "the write was not synced"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := durable(tt.events, 1, 10, mark); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
