// Package api is the one door: a REST API over everything people and tools may
// see and do, described by an OpenAPI document made from the Go types.
//
// Its one invariant: nothing is written for a request that was not
// authenticated and allowed, and an answer of 2xx means that what was asked is
// durable. It decides nothing about cases and runs: it asks the loop and the
// engine, in the name of whoever asked.
//
// Who may do what: reading needs a role that sees; acting on cases, alerts and
// runs, silencing alerts, starting playbooks and turning kill switches on and
// off needs operator;
// answering a question needs to be the person it names or to hold a role it
// names; changing playbooks, principals and their tokens, and copying the store need
// admin of the whole installation; handing alerts and changes in needs sender or operator.
// Roles hold within their scopes, lists show what their reader may see. Every
// write but alerts handed in is told to the audit, also one that was denied.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/audit"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/learn"
	"github.com/homeostat/homeostat/internal/library"
	"github.com/homeostat/homeostat/internal/playbook"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/topology"
)

// Engine carries runs out; engine.Engine is one.
type Engine interface {
	StartNow(ctx context.Context, o engine.Order) (heal.Run, error)
	Rerun(ctx context.Context, id heal.RunID, r engine.Rerun) (heal.Run, error)
	Pause(ctx context.Context, id heal.RunID, by, why string) error
	Resume(ctx context.Context, id heal.RunID, by string) error
	Cancel(ctx context.Context, id heal.RunID, by, why string) error
	Rollback(ctx context.Context, id heal.RunID, by, why string) error
	Answer(ctx context.Context, id heal.RunID, a engine.Answered) error
	Settle(ctx context.Context, id heal.RunID, s engine.Settled) error
}

// Cases takes what people say about cases.
type Cases interface {
	Close(ctx context.Context, id heal.IncidentID, by, why string) error
	Escalate(ctx context.Context, id heal.IncidentID, by, why string) error
	Note(ctx context.Context, id heal.IncidentID, by, text string) error
}

// Alerts takes what people say about alerts.
type Alerts interface {
	Acknowledge(ctx context.Context, id heal.AlertID, by, note string) error
	Unacknowledge(ctx context.Context, id heal.AlertID, by, note string) error
	Resolve(ctx context.Context, id heal.AlertID, by, note string) error
}

// Intake makes alerts durable before it returns nil. Kind Transient means that
// too much waits already.
type Intake interface {
	Accept(ctx context.Context, source string, alerts []heal.Alert) error
}

// Playbooks knows what can be run.
type Playbooks interface {
	List() []*playbook.Compiled
	Order(ctx context.Context, id string, target heal.EntityID, params map[string]string, by string) (engine.Order, error)
	DryRun(ctx context.Context, o engine.Order) (heal.Run, error)
	Check(file string, source []byte) playbook.Problems
	Problems() playbook.Problems
	Publish(ctx context.Context, source []byte, author, reason string) (library.Version, error)
	Rollback(ctx context.Context, id string, to int, author, reason string) (library.Version, error)
}

// Topology knows who depends on whom.
type Topology interface {
	Snapshot() *topology.Graph
}

// Traffic gives the recent traffic of entities.
type Traffic interface {
	RED(ctx context.Context) (map[heal.EntityID]form.RED, error)
}

// Knowledge gives what is known of plans.
type Knowledge interface {
	Knowledge(ctx context.Context) ([]learn.Knowledge, error)
}

// Options are what the API works with. All interfaces but Traffic are needed.
type Options struct {
	Store      store.Store // made by Audit.Wrap, as is that of Engine, Cases, Alerts and Silences
	Audit      *audit.Recorder
	AuditHead  string // file with the head of the audit's chain; empty: none
	Accounts   auth.Authenticator
	Principals Principals
	Keeper     Keeper
	Scratch    string // folder for copies on their way out; empty: the system's
	Engine     Engine
	Cases      Cases
	Alerts     Alerts
	Silences   Silences
	Intake     Intake
	Changes    Changes
	Playbooks  Playbooks
	Topology   Topology
	Knowledge  Knowledge
	Guard      Guard
	Traffic    Traffic                         // nil: services are listed without
	Signals    Signals                         // nil: cases are shown without
	Webhooks   map[string]Webhook              // by the name in the path
	Scope      heal.Scope                      // of alerts and webhooks that name none; default heal.DefaultScope
	Live       http.Handler                    // /healthz; nil: not served, as the next two
	Ready      http.Handler                    // /readyz
	Metrics    http.Handler                    // /metrics
	Around     func(http.Handler) http.Handler // goes around the routes, to trace them; nil: nothing
	Version    form.Version
	MaxBody    int64         // bytes of a body of alerts; default 5 MiB. Other bodies: 2 MiB
	Deadline   time.Duration // of one request, streams excepted; default 30 s
	Clock      func() time.Time
	Logger     *slog.Logger
}

func (o *Options) defaults() error {
	needed := []struct {
		name    string
		missing bool
	}{
		{"Store", o.Store == nil},
		{"Audit", o.Audit == nil},
		{"Accounts", o.Accounts == nil},
		{"Principals", o.Principals == nil},
		{"Keeper", o.Keeper == nil},
		{"Engine", o.Engine == nil},
		{"Cases", o.Cases == nil},
		{"Alerts", o.Alerts == nil},
		{"Silences", o.Silences == nil},
		{"Intake", o.Intake == nil},
		{"Changes", o.Changes == nil},
		{"Playbooks", o.Playbooks == nil},
		{"Topology", o.Topology == nil},
		{"Knowledge", o.Knowledge == nil},
		{"Guard", o.Guard == nil},
	}
	for _, n := range needed {
		if n.missing {
			return heal.Errorf(heal.Internal, "make the API", "%s is missing", n.name)
		}
	}
	if o.Scope == (heal.Scope{}) {
		o.Scope = heal.DefaultScope
	}
	if o.MaxBody == 0 {
		o.MaxBody = 5 << 20
	}
	if o.Deadline == 0 {
		o.Deadline = 30 * time.Second
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// prefix is before every path of the API.
const prefix = "/api/v1"

// server is the API behind the gate.
type server struct {
	Options
	api      huma.API
	watchers chan struct{} // one slot for each stream
}

// New makes the handler of the whole door: the API, its description, and the
// handlers of health and metrics.
func New(o Options) (http.Handler, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	s := &server{Options: o, watchers: make(chan struct{}, maxWatchers)}
	inner := http.NewServeMux()
	s.api = humago.New(inner, s.description())
	for _, register := range []func(){
		s.incidents, s.watch, s.changes, s.overview, s.signals, s.alerts, s.silences, s.webhooks, s.changesMade, s.runs, s.approvals, s.playbooks, s.switches, s.guards, s.audit, s.principals, s.keeper, s.system,
	} {
		register()
	}
	s.finishDescription()
	inner.HandleFunc("/", notThere(inner))

	outer := http.NewServeMux()
	open := []string{"/openapi.json", "/openapi.yaml"}
	for path, h := range map[string]http.Handler{"/healthz": o.Live, "/readyz": o.Ready, "/metrics": o.Metrics} {
		if h != nil {
			outer.Handle(path, h)
		}
	}
	for name, hook := range o.Webhooks {
		if hook.Verify != nil {
			open = append(open, prefix+"/webhooks/"+name)
		}
	}
	var router http.Handler = inner
	if o.Around != nil {
		router = o.Around(inner)
	}
	guarded := s.admit(s.once(router))
	outer.Handle("/", auth.Gate(o.Accounts, guarded, auth.GateOptions{Open: open, Logger: o.Logger}))
	return s.outermost(outer), nil
}
