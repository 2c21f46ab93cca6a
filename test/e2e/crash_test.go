//go:build e2e

package e2e_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/api/form"
)

// scene is one run of the six steps in a world that remembers.
type scene struct {
	*house
	world *target
	tap   *wiretap // on PostgreSQL
	log   string   // of the starts of the process
	order string   // the Idempotency-Key of the order, so that it may be given twice
}

func newScene(t *testing.T, on engine) *scene {
	t.Helper()
	world := newTarget(t)
	log := filepath.Join(t.TempDir(), "starts.log")
	more := settings{"drivers": settings{"processes": []settings{patient(t, "cart", "service/cart", log)}}}
	s := &scene{world: world, log: log, order: "the-order"}
	if on.name == database.name {
		var dsn string
		s.tap, dsn = tap(t)
		more["store"] = settings{"dsn": dsn}
	}
	s.house = newHouse(t, more, book(t, "six-steps", map[string]string{"target": world.URL}))
	world.whenCalled(s.greet)
	return s
}

// greet lets the world answer the first call only once the first process has
// written its log: it may be restarted from then on without a trace being lost.
func (s *scene) greet(c call, gone <-chan struct{}) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for c.task == "announce" && len(starts(s.t, s.log)) == 0 {
		select {
		case <-tick.C:
		case <-gone: // it will be asked again
			return
		}
	}
}

// give orders the run, once however often it is said. It gives the id of the
// run, "" if the server died before it answered.
func (s *scene) give() string {
	s.t.Helper()
	const body = `{"target":"service/cart"}`
	r := s.do(http.MethodPost, "/api/v1/playbooks/six-steps/runs", []byte(body), "Idempotency-Key", s.order)
	if r.err != nil {
		return ""
	}
	if r.status == http.StatusConflict { // cut short: nobody knows, so look
		if all := all[form.RunSummary](s.house, runs); len(all) > 0 {
			return all[0].ID
		}
		s.order += "-again"
		return s.give()
	}
	if !r.ok() {
		s.t.Fatalf("order the run: %s", r)
	}
	return read[form.Run](s.t, r).ID
}

// finish brings the run to its end on a server that runs undisturbed: it orders
// it again if the order was not acknowledged, and answers as a person would
// what nobody can tell.
func (s *scene) finish(id string) (end form.Run, asked int) {
	s.t.Helper()
	acknowledged := id != ""
	if !acknowledged {
		id = s.give()
	} else if got := all[form.RunSummary](s.house, runs); len(got) != 1 || got[0].ID != id {
		s.t.Fatalf("the acknowledged run %s is lost: %+v", id, got)
	}
	eventually(s.t, 30*time.Second, "the run ends", func() bool {
		end = s.run(id)
		if end.State != "unknown" && len(end.Waits) == 0 {
			return !end.EndedAt.IsZero()
		}
		for _, w := range end.Waits {
			asked++
			s.settle(id, w)
		}
		return false
	})
	return end, asked
}

// settle answers a question from what the world has seen.
func (s *scene) settle(id string, w form.Waiting) {
	s.t.Helper()
	if w.Kind != form.WaitSettle || w.Task != "charge" {
		s.t.Fatalf("a person is asked %q of task %s; only charge may be in doubt", w.Question, w.Task)
	}
	as := "retry"
	if len(s.world.keys("charge")) > 0 {
		as = "happened"
	}
	s.post(runs+"/"+id+"/settle", form.Settlement{Task: w.Task, As: as})
}

// check compares what the world has seen with what is promised.
func (s *scene) check(end form.Run) {
	s.t.Helper()
	var states []string
	for _, task := range end.Tasks {
		states = append(states, task.ID+" "+task.State)
	}
	want := []string{"start succeeded", "announce succeeded", "pause succeeded", "charge succeeded", "restart succeeded", "finish succeeded"}
	if diff := cmp.Diff(states, want); diff != "" || end.State != "succeeded" {
		s.t.Errorf("end of the run: %s (%s), tasks, got (-) and want (+):\n%s", end.State, end.Reason, diff)
	}
	// A process that was just started needs a moment to say so.
	eventually(s.t, 10*time.Second, "the restarted process writes its log", func() bool { return len(starts(s.t, s.log)) >= 2 })
	effects := map[string][]string{
		"announce": distinct(s.world.keys("announce")), // idempotent: once by key
		"charge":   s.world.keys("charge"),             // once: never twice
		"finish":   distinct(s.world.keys("finish")),
		"process":  starts(s.t, s.log), // observable: never twice
	}
	for name, count := range map[string]int{"announce": 1, "charge": 1, "finish": 1, "process": 2} {
		if len(effects[name]) != count {
			s.t.Errorf("effects of %s: got %q, want %d", name, effects[name], count)
		}
	}
	if living := holding(s.t, s.dir); len(living) != 1 {
		s.t.Errorf("processes alive: got %v, want 1", living)
	}
}

// TestE2ECrashAfterEveryWrite kills the server with SIGKILL right after each
// durable write of a run of six steps, starts it again and lets it finish.
func TestE2ECrashAfterEveryWrite(t *testing.T) {
	for _, on := range engines {
		t.Run(on.name, func(t *testing.T) { crashAfterEveryWrite(t, on) })
	}
}

func crashAfterEveryWrite(t *testing.T, on engine) {
	t.Helper()
	const most = 100 // far more than six steps can need
	writes, asked := 0, 0
	for n := 1; ; n++ {
		if n > most {
			t.Fatalf("the run was not over after %d durable writes", most)
		}
		killed := false
		ok := t.Run(fmt.Sprintf("write %d", n), func(t *testing.T) {
			var questions int
			killed, questions = on.strike(newScene(t, on), n)
			asked += questions
		})
		if !ok || !killed {
			writes = n - 1
			break
		}
	}
	t.Logf("a run of six steps made %d durable writes; the server was killed after each, and a person was asked %d times", writes, asked)
	if writes < 8 { // the order, the claim of the first step, and the end of each of the six
		t.Errorf("durable writes: got %d, want at least 8", writes)
	}
}

// TestE2ECrashAtEveryStep kills the server right after the start and after the
// end of each step is on disk: before the driver is called, and before anybody
// acts on its result. On PostgreSQL these moments are among those after every
// write.
func TestE2ECrashAtEveryStep(t *testing.T) {
	for _, task := range []string{"start", "announce", "pause", "charge", "restart", "finish"} {
		for _, phase := range []string{"started", "finished"} {
			if task == "pause" && phase == "finished" {
				continue // the end of a timer is no driver's result: it has no line of its own
			}
			t.Run(task+" "+phase, func(t *testing.T) {
				s := newScene(t, embedded)
				line := regexp.MustCompile(`\\"phase\\":\\"` + phase + `\\",\\"step\\":\\"[^"]*/` + task + `/1\\"`)
				written := false
				killed, asked := s.crashWhen(func(e *syscallEvent) bool {
					written = written || e.isWrite() && line.MatchString(e.args)
					return written && e.isSync()
				})
				if !killed {
					t.Fatalf("the trace shows no durable line %q of %s in the journal", phase, task)
				}
				want := 0
				if task == "charge" && phase == "started" {
					want = 1 // nobody can tell whether it was sent: only this step may ask
				}
				if asked != want {
					t.Errorf("questions to a person: got %d, want %d", asked, want)
				}
			})
		}
	}
}

// strikeAtSync kills the server once its log is synced, by a trace of its system
// calls; the thread that did it goes on 30 ms later.
func (s *scene) strikeAtSync(n int) (killed bool, asked int) {
	s.t.Helper()
	seen := 0
	return s.crashWhen(func(e *syscallEvent) bool {
		if strings.HasSuffix(e.name, "sync") && e.result == "0" {
			seen++
		}
		return seen == n
	})
}

// strikeAtCommit kills the server once the database has committed, before the
// server hears of it.
func (s *scene) strikeAtCommit(n int) (killed bool, asked int) {
	s.t.Helper()
	s.start()
	server, seen := s.server, 0
	struck := make(chan struct{})
	s.tap.whenCommitted(func() {
		if seen++; seen == n {
			_ = server.cmd.Process.Kill() // gone already is as good
			<-server.ended
			close(struck)
		}
	})
	return s.endure(func() bool {
		s.tap.whenCommitted(nil)
		select {
		case <-struck:
			return true
		default:
			return false
		}
	})
}

// crashWhen runs the scene, kills the server at the system call that is the
// moment, the order's arrival or a later one, and lets another server finish.
// killed is false if the moment never came. asked counts what people were asked.
func (s *scene) crashWhen(moment func(*syscallEvent) bool) (killed bool, asked int) {
	s.t.Helper()
	tr := s.traced("read,pwrite64,fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_exit=30000")
	var struck atomic.Pointer[syscallEvent]
	pid := s.pid
	go func() { // until the trace ends, at the latest with the test
		ordered := false
		for e := tr.next(); e != nil; e = tr.next() {
			ordered = ordered || e.name == "read" && strings.Contains(e.args, "POST /api/v1/playbooks/six-steps/runs")
			if ordered && struck.Load() == nil && moment(e) && struck.CompareAndSwap(nil, e) {
				_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is as good
			}
		}
	}()
	s.ready()
	return s.endure(func() bool {
		if struck.CompareAndSwap(nil, &syscallEvent{}) { // from here on nothing kills it
			return false
		}
		s.gone()
		s.t.Logf("killed once %s was on disk", strings.TrimPrefix(struck.Load().file, s.dir))
		return true
	})
}

// endure orders the run on a server that may be killed, and lets another one
// finish. over ends the danger and says whether the server was killed.
func (s *scene) endure(over func() bool) (killed bool, asked int) {
	s.t.Helper()
	id := s.give()
	if id != "" {
		s.untilOverOrDead(id)
	}
	if killed = over(); killed {
		s.start()
	}
	end, asked := s.finish(id)
	s.check(end)
	return killed, asked
}

// untilOverOrDead waits for the end of the run or of the server.
func (s *scene) untilOverOrDead(id string) {
	s.t.Helper()
	eventually(s.t, 60*time.Second, "the run ends or the server dies", func() bool {
		r := s.do(http.MethodGet, runs+"/"+id, nil)
		return r.err != nil || r.ok() && !read[form.Run](s.t, r).EndedAt.IsZero()
	})
}

// TestE2ECrashInCall kills the server while a driver's call is under way: the
// effect is in the world, its result is not on disk.
func TestE2ECrashInCall(t *testing.T) {
	tests := []struct {
		task  string
		asked int
	}{
		{"announce", 0}, // idempotent: it is sent again with the same key
		{"charge", 1},   // neither: a person says what became of it
		{"finish", 0},
	}
	for _, tt := range tests {
		for _, on := range engines {
			t.Run(tt.task+" on "+on.name, func(t *testing.T) { crashInCall(t, on, tt.task, tt.asked) })
		}
	}
}

func crashInCall(t *testing.T, on engine, task string, questions int) {
	t.Helper()
	s := newScene(t, on)
	s.start()
	var once atomic.Bool
	s.world.whenCalled(func(c call, gone <-chan struct{}) {
		s.greet(c, gone)
		if c.task == task && once.CompareAndSwap(false, true) {
			s.crash()
			<-gone
		}
	})
	id := s.give()
	<-s.server.ended
	s.start()
	end, asked := s.finish(id)
	s.check(end)
	if asked != questions {
		t.Errorf("questions to a person: got %d, want %d", asked, questions)
	}
}
