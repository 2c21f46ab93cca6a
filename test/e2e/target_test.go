//go:build e2e

package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// target is the outside world of playbooks: a server that remembers every call.
type target struct {
	*httptest.Server
	mu    sync.Mutex
	calls []call
	on    func(call, <-chan struct{}) // looks at each call before it is answered; gone closes when the caller is
	none  string                      // the path that is answered with 404
}

// call is one request of the HTTP driver.
type call struct {
	task string // the path without its slash
	key  string // the Idempotency-Key: run/task/attempt
	at   time.Time
}

func newTarget(t *testing.T) *target {
	t.Helper()
	w := &target{}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c := call{strings.TrimPrefix(r.URL.Path, "/"), r.Header.Get("Idempotency-Key"), time.Now()}
		w.mu.Lock()
		w.calls = append(w.calls, c)
		on, refused := w.on, c.task == w.none
		w.mu.Unlock()
		if refused {
			rw.WriteHeader(http.StatusNotFound)
		}
		if on != nil {
			on(c, r.Context().Done())
		}
	}))
	t.Cleanup(func() {
		w.CloseClientConnections()
		w.Close()
	})
	return w
}

// whenCalled sets what happens at each call; nil: nothing.
func (w *target) whenCalled(on func(c call, gone <-chan struct{})) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on = on
}

// refuses has the world answer the calls of a task with 404.
func (w *target) refuses(task string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.none = task
}

// order gives the calls of some tasks as they came.
func (w *target) order(tasks ...string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for _, c := range w.calls {
		if slices.Contains(tasks, c.task) {
			list = append(list, c.task)
		}
	}
	return list
}

// keys are the keys of the calls of a task, in order, a repeated one each time.
func (w *target) keys(task string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var keys []string
	for _, c := range w.calls {
		if c.task == task {
			keys = append(keys, c.key)
		}
	}
	return keys
}

// distinct leaves each key once.
func distinct(keys []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(keys)))
}
