package series

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"

	"github.com/homeostat/homeostat/internal/heal"
)

// RulesOptions of Rules; a zero field takes its default.
type RulesOptions struct {
	Interval    time.Duration // 15 s: of groups that name none
	ResendDelay time.Duration // 1 min between repeats of an alert that keeps firing
	SinkTimeout time.Duration // 5 s for the sink to take a batch
	Everywhere  bool          // rules look at the remotes too; one that does not answer is an error of the rule
	Logger      *slog.Logger  // nil: silent
}

// RuleSink takes alerts, those of one group's evaluation at once. What it
// answers with an error it gets again after the next evaluation.
type RuleSink func(ctx context.Context, alerts []RuleAlert) error

// Rules evaluates Prometheus rules over a DB. Recording rules write into it.
type Rules struct {
	db   *DB
	opts RulesOptions
	sink RuleSink

	mu      sync.Mutex
	files   []RuleFile
	groups  map[string]*rulefmt.RuleGroups // by file name
	manager *rules.Manager                 // while running

	// A lock of its own: groups take it while Load, under mu, waits for them.
	boxesMu sync.Mutex
	boxes   map[string]*outbox // by group

	delivered, failed atomic.Uint64
}

// RuleStatus is the state of one rule.
type RuleStatus struct {
	File           string        `json:"file"`
	Group          string        `json:"group"`
	Name           string        `json:"name"`
	Expr           string        `json:"expr"`
	Alerting       bool          `json:"alerting"` // false: a recording rule
	Interval       time.Duration `json:"interval"`
	For            time.Duration `json:"for,omitempty"`
	LastEvaluation time.Time     `json:"last_evaluation,omitzero"` // zero: never
	Error          string        `json:"error,omitempty"`          // of the last evaluation
	Active         int           `json:"active"`                   // alerts pending or firing
}

// DeliveryStats counts hand-overs of alerts to the sink.
type DeliveryStats struct {
	Delivered uint64 // alerts the sink took
	Failed    uint64 // calls the sink answered with an error
}

// NewRules makes Rules without any rule.
func NewRules(db *DB, opts RulesOptions, sink RuleSink) *Rules {
	opts.Interval = cmp.Or(opts.Interval, 15*time.Second)
	opts.ResendDelay = cmp.Or(opts.ResendDelay, time.Minute)
	opts.SinkTimeout = cmp.Or(opts.SinkTimeout, 5*time.Second)
	opts.Logger = cmp.Or(opts.Logger, slog.New(slog.DiscardHandler))
	return &Rules{db: db, opts: opts, sink: sink, groups: map[string]*rulefmt.RuleGroups{}, boxes: map[string]*outbox{}}
}

// Load replaces all rules. If any file has a mistake nothing changes and the
// error joins all of them. Rules that stay keep their state.
func (r *Rules) Load(files ...RuleFile) error {
	groups := map[string]*rulefmt.RuleGroups{}
	var errs []error
	for _, file := range files {
		if _, twice := groups[file.Name]; twice {
			errs = append(errs, heal.Errorf(heal.Invalid, "load rules", "%s: two files have this name", file.Name))
		}
		parsed, mistakes := parseRules(file, r.db.parser)
		errs = append(errs, mistakes...)
		groups[file.Name] = parsed
	}
	if len(errs) > 0 {
		return heal.Errorf(heal.Invalid, "load rules", "%w", errors.Join(errs...))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files, r.groups = files, groups
	if r.manager == nil {
		return nil
	}
	return r.update(r.manager)
}

// Run evaluates until ctx ends. Called again, it knows of no alert that fires:
// another server may have evaluated meanwhile.
func (r *Rules) Run(ctx context.Context) error {
	r.boxesMu.Lock()
	clear(r.boxes)
	r.boxesMu.Unlock()
	r.mu.Lock()
	manager := rules.NewManager(&rules.ManagerOptions{
		NameValidationScheme: model.UTF8Validation,
		ExternalURL:          &url.URL{},
		QueryFunc:            r.query,
		NotifyFunc:           func(context.Context, string, ...*rules.Alert) {}, // deliver does it, and can retry
		Context:              ctx,
		Appendable:           r.db.tsdb,
		Queryable:            r.db.tsdb,
		Logger:               r.opts.Logger,
		OutageTolerance:      time.Hour,
		ForGracePeriod:       10 * time.Minute,
		ResendDelay:          r.opts.ResendDelay,
		GroupLoader:          loader{r},
		Parser:               r.db.parser,
	})
	if err := r.update(manager); err != nil {
		r.mu.Unlock()
		return err
	}
	r.manager = manager
	r.mu.Unlock()

	var running sync.WaitGroup
	running.Go(manager.Run)
	<-ctx.Done()
	r.mu.Lock()
	r.manager = nil
	r.mu.Unlock()
	manager.Stop()
	running.Wait()
	return nil
}

// update gives the manager the loaded files. The caller holds the lock.
func (r *Rules) update(manager *rules.Manager) error {
	names := make([]string, 0, len(r.files))
	for _, file := range r.files {
		names = append(names, file.Name)
	}
	err := manager.Update(r.opts.Interval, names, labels.EmptyLabels(), "", r.evaluate)
	return heal.Wrap("update rules", err)
}

// query is what rules ask with: the engine, within the limit of queries.
func (r *Rules) query(ctx context.Context, expr string, at time.Time) (promql.Vector, error) {
	leave, err := r.db.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if !r.opts.Everywhere {
		return rules.EngineQueryFunc(r.db.engine, r.db.tsdb)(ctx, expr, at)
	}
	gaps := &gaps{Queryable: r.db.asked}
	found, err := rules.EngineQueryFunc(r.db.engine, gaps)(ctx, expr, at)
	return found, errors.Join(err, gaps.err())
}

// evaluate is one evaluation of a group, on the group's own goroutine.
func (r *Rules) evaluate(ctx context.Context, g *rules.Group, at time.Time) {
	rules.DefaultEvalIterationFunc(ctx, g, at)
	if ctx.Err() == nil {
		r.deliver(ctx, g, at)
	}
}

// Status gives the state of every rule, none while Run is not running.
func (r *Rules) Status() []RuleStatus {
	r.mu.Lock()
	manager := r.manager
	r.mu.Unlock()
	if manager == nil {
		return nil
	}
	var out []RuleStatus
	for _, g := range manager.RuleGroups() {
		for _, rule := range g.Rules() {
			s := RuleStatus{
				File: g.File(), Group: g.Name(), Name: rule.Name(), Expr: rule.Query().String(),
				Interval: g.Interval(), LastEvaluation: rule.GetEvaluationTimestamp(),
			}
			if err := rule.LastError(); err != nil {
				s.Error = err.Error()
			}
			if alerting, ok := rule.(*rules.AlertingRule); ok {
				s.Alerting, s.For, s.Active = true, alerting.HoldDuration(), len(alerting.ActiveAlerts())
			}
			out = append(out, s)
		}
	}
	return out
}

// DeliveryStats gives the counts so far.
func (r *Rules) DeliveryStats() DeliveryStats {
	return DeliveryStats{Delivered: r.delivered.Load(), Failed: r.failed.Load()}
}

// loader gives the manager the files that Load checked. It is called under the
// lock of Rules.
type loader struct{ rules *Rules }

func (l loader) Load(name string, _ bool, _ model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	groups, ok := l.rules.groups[name]
	if !ok {
		return nil, []error{fmt.Errorf("no rule file %s is loaded", name)}
	}
	return groups, nil
}

func (l loader) Parse(expr string) (parser.Expr, error) { return l.rules.db.parser.ParseExpr(expr) }
