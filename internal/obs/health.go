package obs

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Check is one named question about the state of the server.
type Check struct {
	Name string // short and stable: store, engine, otlp

	// Ask answers nil when all is well, else an error that says in plain words
	// what is wrong. It must end when ctx ends.
	Ask func(ctx context.Context) error

	// Live says that only a restart can help when the check fails. Other checks
	// make the server not ready, which keeps traffic away but nobody restarts it.
	Live bool

	// Minor says that work may be sent here all the same when the check fails: it
	// is shown, and no more.
	Minor bool

	Timeout time.Duration // 2 s if 0
}

// Health knows the checks of one server. Its handlers are open to anyone who can
// connect, so they ask at most once a second however often they are called.
type Health struct {
	mu      sync.Mutex
	checks  []*asked
	stopped string // why the server takes no more work; "" while it does
}

// NewHealth makes a registry without checks, which is healthy and ready.
func NewHealth() *Health { return &Health{} }

// Add registers a check. A second one of the same name is of kind Conflict.
func (h *Health) Add(c Check) error {
	if c.Name == "" || c.Ask == nil {
		return heal.Errorf(heal.Invalid, "add health check", "needs a name and a question, got %q", c.Name)
	}
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Second
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, other := range h.checks {
		if other.Name == c.Name {
			return heal.Errorf(heal.Conflict, "add health check", "%q is there already", c.Name)
		}
	}
	h.checks = append(h.checks, &asked{Check: c})
	return nil
}

// Stopping makes the server not ready from now on, so that traffic goes
// elsewhere while it finishes; why is shown to people.
func (h *Health) Stopping(why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = why
}

// Report is the answer of both handlers.
type Report struct {
	OK     bool          `json:"ok"`   // nothing fails that matters to who asks
	Text   string        `json:"text"` // one plain sentence
	Checks []CheckResult `json:"checks"`
}

// CheckResult is the answer of one check.
type CheckResult struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Text string `json:"text"` // "ok", or what is wrong
}

// Err says what is wrong, nil if nothing is.
func (r Report) Err() error {
	if r.OK {
		return nil
	}
	text := []string{r.Text}
	for _, c := range r.Checks {
		if !c.OK {
			text = append(text, c.Name+": "+c.Text)
		}
	}
	return heal.Errorf(heal.Transient, "", "%s", strings.Join(text, "; "))
}

// Live answers whether the process works at all: 200, or 503 when only a
// restart can help.
func (h *Health) Live(ctx context.Context) Report {
	r := h.ask(ctx, true)
	r.Text = "alive"
	if !r.OK {
		r.Text = "broken: only a restart can help"
	}
	return r
}

// Ready answers whether work should be sent here.
func (h *Health) Ready(ctx context.Context) Report {
	r := h.ask(ctx, false)
	h.mu.Lock()
	stopped := h.stopped
	h.mu.Unlock()
	switch {
	case stopped != "":
		r.OK, r.Text = false, "not ready: "+stopped
	case !r.OK:
		r.Text = "not ready: a check fails"
	case slices.ContainsFunc(r.Checks, func(c CheckResult) bool { return !c.OK }):
		r.Text = "ready, but something is wrong"
	default:
		r.Text = "ready"
	}
	return r
}

// LiveHandler serves /healthz.
func (h *Health) LiveHandler() http.Handler { return reportHandler(h.Live) }

// ReadyHandler serves /readyz.
func (h *Health) ReadyHandler() http.Handler { return reportHandler(h.Ready) }

func reportHandler(report func(context.Context) Report) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD are answered here", http.StatusMethodNotAllowed)
			return
		}
		got := report(r.Context())
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !got.OK {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		// An error here means that the client is gone: nobody is left to tell.
		_ = json.NewEncoder(w).Encode(got)
	})
}

func (h *Health) ask(ctx context.Context, onlyLive bool) Report {
	h.mu.Lock()
	var chosen []*asked
	for _, c := range h.checks {
		if c.Live || !onlyLive {
			chosen = append(chosen, c)
		}
	}
	h.mu.Unlock()

	report := Report{OK: true, Checks: make([]CheckResult, len(chosen))}
	var wait sync.WaitGroup
	for i, c := range chosen {
		wait.Go(func() { report.Checks[i] = c.result(ctx) })
	}
	wait.Wait()
	for i, c := range report.Checks {
		report.OK = report.OK && (c.OK || chosen[i].Minor)
	}
	return report
}

// fresh is how long an answer is given again without asking.
const fresh = time.Second

// asked is a check with its newest answer.
type asked struct {
	Check

	mu   sync.Mutex
	last CheckResult
	at   time.Time
}

// result asks, or gives the answer of less than a second ago. Callers that come
// at once share one question.
func (a *asked) result(ctx context.Context) CheckResult {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(a.at) < fresh {
		return a.last
	}
	// The caller may leave, the answer is for all of them.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.Timeout)
	defer cancel()
	a.last = CheckResult{Name: a.Name, OK: true, Text: "ok"}
	if err := a.askSafely(ctx); err != nil {
		a.last.OK, a.last.Text = false, err.Error()
		if ctx.Err() != nil {
			a.last.Text = fmt.Sprintf("no answer within %s: %v", a.Timeout, err)
		}
	}
	a.at = time.Now()
	return a.last
}

// askSafely turns the panic of a check into a failed check: the door that tells
// about trouble must not add to it.
func (a *asked) askSafely(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = heal.Errorf(heal.Internal, "health check "+a.Name, "panicked: %v", p)
		}
	}()
	return a.Ask(ctx)
}
