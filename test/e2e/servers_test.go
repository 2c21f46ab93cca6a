//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/store/pgtest"
)

// pair is two servers on one database, and the world that logs every call.
type pair struct {
	t        *testing.T
	database *pgtest.Server
	world    *target
	servers  [2]*house
}

// chargeBook is a run with a call that may be repeated before and after one
// that must not.
const chargeBook = `playbook_id: charge
name: Charge
trust: auto
risk: low
tasks:
  - {id: announce, action: http.request_idempotent, parameters: {url: "%[1]s/announce"}, retries: {attempts: 5, backoff: 50ms}, timeout: 10s}
  - {id: pause, type: wait, depends_on: announce, parameters: {duration: 100ms}}
  - {id: charge, action: http.request, depends_on: pause, parameters: {url: "%[1]s/charge"}, timeout: 10s}
  - {id: finish, action: http.request_idempotent, depends_on: charge, parameters: {url: "%[1]s/finish"}, retries: {attempts: 5, backoff: 50ms}, timeout: 10s}
`

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, world: newTarget(t), database: newServer(t)}
	p.world.whenCalled(func(_ call, gone <-chan struct{}) { // so that calls are under way when a server dies
		select {
		case <-time.After(time.Duration(rand.IntN(400)) * time.Millisecond):
		case <-gone:
		}
	})
	shared := settings{
		"store":   settings{"dsn": databaseOf(t, p.database), "shared": true},
		"metrics": settings{"remotes": []settings{{"url": p.world.URL}}},
		"otlp":    settings{"grpc_listen": "", "http_listen": ""},
		"watch":   settings{"enabled": false},
		"guard":   settings{"small_scope": 0},
	}
	book := playbook{"charge", fmt.Sprintf(chargeBook, p.world.URL)}
	for i := range p.servers {
		p.servers[i] = newHouse(t, maps.Clone(shared), book)
	}
	p.servers[0].start()
	data := filepath.Join(p.servers[1].dir, "data")
	must(t, os.MkdirAll(data, 0o700)) // the second server writes no token: the database has its people already
	must(t, os.WriteFile(filepath.Join(data, "operator.token"), []byte(p.servers[0].token()), 0o600))
	p.servers[1].start()
	return p
}

// order gives one run, at whichever server answers, once however often it is
// asked.
func (p *pair) order(n int) (id string) {
	p.t.Helper()
	body, key := fmt.Appendf(nil, `{"target":"service/s-%d"}`, n), fmt.Sprintf("order-%d", n)
	eventually(p.t, 60*time.Second, "a run is taken", func() bool {
		r := p.servers[rand.IntN(2)].do(http.MethodPost, "/api/v1/playbooks/charge/runs", body, "Idempotency-Key", key)
		if r.err == nil && r.status == http.StatusConflict { // cut short: nobody knows, so it is looked for by the caller
			id = "?"
			return true
		}
		if !r.ok() {
			return false
		}
		var run form.Run
		if json.Unmarshal(r.body, &run) == nil {
			id = run.ID
		}
		return id != ""
	})
	return id
}

// disturb kills one of the servers again and again, and restarts the database
// twice.
func (p *pair) disturb(kills int) {
	for n := range kills {
		if n == kills/3 || n == 2*kills/3 {
			mode := pgtest.Fast
			if n == kills/3 {
				mode = pgtest.Immediate
			}
			if err := p.database.Stop(mode); err != nil {
				p.t.Error(err)
			}
			if err := p.database.Start(); err != nil {
				p.t.Error(err)
			}
		}
		victim := p.servers[rand.IntN(2)]
		<-time.After(time.Duration(rand.IntN(600)) * time.Millisecond)
		victim.crash()
		victim.start()
	}
}

// TestE2ETwoServers gives 200 runs to two servers while one of them is killed
// 50 times and their database restarts twice.
func TestE2ETwoServers(t *testing.T) {
	t.Parallel() // with those that mostly wait
	const total, kills, together = 200, 50, 8
	p := newPair(t)
	disturbed := make(chan struct{})
	go func() { defer close(disturbed); p.disturb(kills) }()

	ids := make([]string, total)
	var wg sync.WaitGroup
	slots := make(chan struct{}, together)
	for n := range ids {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			ids[n] = p.order(n)
			if ids[n] != "?" {
				p.settled(ids[n])
			}
		})
	}
	wg.Wait()
	<-disturbed
	for n, id := range ids {
		if id == "?" {
			ids[n] = p.find(n)
			p.settled(ids[n])
		}
	}
	p.check(ids)
}

// find looks for the run of an order whose answer was lost, and gives it again
// if there is none.
func (p *pair) find(n int) string {
	p.t.Helper()
	for _, r := range all[form.RunSummary](p.servers[0], runs) {
		if r.Target == fmt.Sprintf("service/s-%d", n) {
			return r.ID
		}
	}
	return p.servers[0].started("charge", fmt.Sprintf("service/s-%d", n), "Idempotency-Key", fmt.Sprintf("again-%d", n)).ID
}

// settled waits for the end of a run and answers as a person would what nobody
// can tell, from what the world has seen.
func (p *pair) settled(id string) {
	eventually(p.t, 120*time.Second, "run "+id+" ends", func() bool {
		h := p.servers[rand.IntN(2)]
		r := h.do(http.MethodGet, runs+"/"+id, nil)
		if !r.ok() {
			return false
		}
		run := read[form.Run](p.t, r)
		for _, w := range run.Waits {
			as := "retry"
			if slices.ContainsFunc(p.world.keys("charge"), func(key string) bool { return runOf(key) == id }) {
				as = "happened"
			}
			body, err := json.Marshal(form.Settlement{Task: w.Task, As: as})
			must(p.t, err)
			h.do(http.MethodPost, runs+"/"+id+"/settle", body) // another try follows if it is not taken
		}
		return !run.EndedAt.IsZero()
	})
}

func (p *pair) check(ids []string) {
	p.t.Helper()
	for _, id := range ids {
		if run := p.servers[0].run(id); run.State != "succeeded" {
			p.t.Errorf("run %s: %s (%s), want succeeded", id, run.State, run.Reason)
		}
	}
	repeated := 0
	for _, task := range []string{"announce", "charge", "finish"} {
		keys := p.world.keys(task)
		once := distinct(keys)
		repeated += len(keys) - len(once)
		if task == "charge" && len(keys) != len(once) {
			p.t.Errorf("%d charges under %d keys: something was charged twice", len(keys), len(once))
		}
		by := map[string]int{}
		for _, key := range once {
			by[runOf(key)]++
		}
		for _, id := range ids {
			if by[id] != 1 {
				p.t.Errorf("run %s: %s happened %d times, want once", id, task, by[id])
			}
		}
	}
	p.t.Logf("%d runs, %d calls repeated under their own key", len(ids), repeated)
	if repeated == 0 {
		p.t.Error("no call was under way at any kill: nothing was taken over")
	}
}

// runOf is the run of a step key: run/task/attempt.
func runOf(key string) string { return filepath.Dir(filepath.Dir(key)) }

// TestE2ETakeover kills a server with calls under way for good: the other one
// goes on with them within 15 s.
func TestE2ETakeover(t *testing.T) {
	const together, within = 8, 15 * time.Second
	p := newPair(t)
	held := make(chan struct{})
	p.world.whenCalled(func(_ call, gone <-chan struct{}) {
		select {
		case <-held:
		case <-gone:
		}
	})
	var ids []string
	for n := range together {
		ids = append(ids, p.servers[0].started("charge", fmt.Sprintf("service/s-%d", n)).ID)
	}
	eventually(t, 30*time.Second, "every run has a call under way", func() bool { return len(p.world.keys("announce")) == together })
	killed := time.Now()
	p.servers[0].crash()
	eventually(t, within, "the other server makes each call again", func() bool { return len(p.world.keys("announce")) == 2*together })
	t.Logf("%d calls taken over %s after the server died", together, time.Since(killed).Round(time.Millisecond))
	close(held)
	for _, id := range ids {
		eventually(t, 60*time.Second, "run "+id+" ends", func() bool { return p.servers[1].run(id).State == "succeeded" })
	}
	if got := len(distinct(p.world.keys("announce"))); got != together {
		t.Errorf("keys of the calls: got %d, want each under its own: %d", got, together)
	}
	if got := len(p.world.keys("charge")); got != together {
		t.Errorf("charges: got %d, want %d", got, together)
	}
}
