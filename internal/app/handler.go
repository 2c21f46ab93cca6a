package app

import (
	"context"
	"math"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/api"
	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/learn"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/series"
	"github.com/homeostat/homeostat/internal/store"
)

// apiHandler is the API with health and metrics beside it.
func (s *Server) apiHandler() (http.Handler, error) {
	hooks, err := s.webhooks()
	if err != nil {
		return nil, err
	}
	door, err := api.New(api.Options{
		Store: s.audited, Audit: s.audit, AuditHead: s.cfg.AuditHeadFile(), Accounts: s.accounts, Principals: s.accounts, Keeper: s.store, Scratch: s.cfg.DataDir, Engine: s.engine, Cases: s.loop, Alerts: s.loop, Silences: s.loop, Intake: s.loop, Changes: s.loop, Playbooks: s.shelf,
		Topology: s.topology, Knowledge: knowledge{s.store}, Traffic: traffic{s.series}, Signals: signals{s.series, s.telemetry}, Guard: s.explainer(), Webhooks: hooks, Scope: s.cfg.HomeScope(), Clock: s.clock.Now,
		Live: s.health.LiveHandler(), Ready: s.health.ReadyHandler(), Metrics: s.obs.MetricsHandler(), Around: s.obs.Requests,
		Version: form.Version{Version: s.opts.Version, Go: runtime.Version()}, MaxBody: int64(s.cfg.Intake.MaxBodyBytes), Logger: s.log,
	})
	if err != nil || !s.cfg.Page.Enabled {
		return door, err
	}
	return s.page(door)
}

// webhooks are the doors of other tools: Alertmanager's, and one for each
// mapping.
func (s *Server) webhooks() (map[string]api.Webhook, error) {
	opts := alert.Options{Scope: s.cfg.HomeScope(), RuleExpression: len(s.cfg.Metrics.Remotes) > 0, Limits: alert.Limits{Body: s.cfg.Intake.MaxBodyBytes}}
	verify, err := secret("intake.secret_file", s.cfg.Intake.SecretFile)
	if err != nil {
		return nil, err
	}
	hooks := map[string]api.Webhook{
		// Alertmanager drops a notification at 429 and tries again at 5xx.
		"alertmanager": {Adapter: alert.NewAlertmanager(opts), Verify: verify, Busy: http.StatusServiceUnavailable},
	}
	for _, m := range s.cfg.Intake.Mappings {
		data, err := os.ReadFile(m.File)
		if err != nil {
			return nil, heal.Errorf(heal.Invalid, "intake.mappings", "%w", err)
		}
		opts.Source = m.Name
		mapping, err := alert.ParseMapping(m.File, data, opts)
		if err != nil {
			return nil, heal.Wrap("intake.mappings", err)
		}
		verify, err := secret("intake.mappings", m.SecretFile)
		if err != nil {
			return nil, err
		}
		hooks[m.Name] = api.Webhook{Adapter: mapping, Verify: verify}
	}
	return hooks, nil
}

// secret checks a webhook's shared secret, sent as a bearer token or as an HMAC
// of the body; nil if there is none, and then a token is needed.
func secret(key, file string) (func(http.Header, []byte) error, error) {
	if file == "" {
		return nil, nil
	}
	text, err := readSecret(file)
	if err != nil {
		return nil, heal.Wrap(key, err)
	}
	if err := auth.ValidSecret(text); err != nil {
		return nil, heal.Wrap(key, err)
	}
	return api.Secret(text), nil
}

// knowledge reads what is known of plans.
type knowledge struct{ store store.Store }

func (k knowledge) Knowledge(ctx context.Context) (list []learn.Knowledge, err error) {
	err = k.store.View(ctx, func(r store.Reader) error {
		rows, err := loop.KnowledgeKind.All(r, store.Query{})
		for _, row := range rows {
			list = append(list, row.Value)
		}
		return err
	})
	return list, err
}

// traffic reads the recent traffic of every service at once.
type traffic struct{ db *series.DB }

// The questions about all services, over a minute.
const (
	ratesOf  = `sum by (service_name) (rate(traces_span_metrics_calls_total{span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"}[1m]))`
	errorsOf = `sum by (service_name) (rate(traces_span_metrics_calls_total{span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER",status_code="STATUS_CODE_ERROR"}[1m])) / on (service_name) ` + ratesOf
	p50Of    = `histogram_quantile(0.5, sum by (service_name, le) (rate(traces_span_metrics_duration_seconds_bucket{span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"}[1m])))`
	p99Of    = `histogram_quantile(0.99, sum by (service_name, le) (rate(traces_span_metrics_duration_seconds_bucket{span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"}[1m])))`
)

func (t traffic) RED(ctx context.Context) (map[heal.EntityID]form.RED, error) {
	all := map[heal.EntityID]form.RED{}
	now := time.Now()
	for _, q := range []struct {
		expr string
		set  func(*form.RED, float64)
	}{
		{ratesOf, func(r *form.RED, v float64) { r.Rate = v }},
		{errorsOf, func(r *form.RED, v float64) { r.ErrorShare = v }},
		{p50Of, func(r *form.RED, v float64) { r.P50Seconds = v }},
		{p99Of, func(r *form.RED, v float64) { r.P99Seconds = v }},
	} {
		found, err := t.db.Instant(ctx, q.expr, now)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			value := f.Points[0].Value
			if math.IsNaN(value) || math.IsInf(value, 0) {
				continue
			}
			id := heal.ServiceID(f.Labels["service_name"])
			red := all[id]
			red.WindowSeconds = 60
			q.set(&red, value)
			all[id] = red
		}
	}
	return all, nil
}
