package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
)

// Webhook is one door for alerts of another tool.
type Webhook struct {
	Adapter alert.Adapter

	// Verify is nil if the request comes from who may send. Without it the
	// sender needs a token of a principal that may send.
	Verify func(h http.Header, body []byte) error

	// Busy is the status that tells the sender to try again later: 429 if 0.
	// Alertmanager gives up after 429 and tries again only after 5xx
	// (notify.Retrier), so its door answers 503.
	Busy int
}

// Secret verifies a shared secret: either as a bearer token, or as the
// HMAC-SHA256 of the body in X-Homeostat-Signature or X-Hub-Signature-256.
func Secret(secret string) func(http.Header, []byte) error {
	return func(h http.Header, body []byte) error {
		if signature := cmp.Or(h.Get("X-Homeostat-Signature"), h.Get("X-Hub-Signature-256")); signature != "" {
			return auth.CheckSignature(secret, body, signature)
		}
		got, _ := auth.Bearer(h)
		return auth.CheckSecret(secret, got)
	}
}

type webhookCall struct {
	Write
	Name    string `path:"name" maxLength:"64" doc:"alertmanager, or the name of a mapping."`
	RawBody []byte `contentType:"application/json"`
	header  http.Header
}

// Resolve keeps the headers for the verification.
func (c *webhookCall) Resolve(ctx huma.Context) []error {
	c.header = http.Header{}
	ctx.EachHeader(func(name, value string) { c.header.Add(name, value) })
	return nil
}

var _ huma.Resolver = (*webhookCall)(nil)

func (s *server) webhooks() {
	handle(s, route{
		method: http.MethodPost, path: "/webhooks/{name}", id: "receive-webhook", tag: "alerts", open: true,
		errors:  []int{http.StatusNotFound, http.StatusTooManyRequests},
		summary: "Take alerts in from another tool",
		about: "Every alert of the body is taken, or is named in skipped with the reason. 200 means that they are on disk. " +
			"Overload is answered with Retry-After and 429, or 503 for tools that try again only after 5xx.",
	}, s.receive)
}

func (s *server) receive(ctx context.Context, in *webhookCall) (*body[form.Accepted], error) {
	hook, ok := s.Webhooks[in.Name]
	if !ok {
		return nil, missing("webhook", in.Name)
	}
	if hook.Verify != nil {
		if err := hook.Verify(in.header, in.RawBody); err != nil {
			return nil, refusal(http.StatusUnauthorized, "%v", err)
		}
	} else if err := auth.Can(ctx, auth.Send, s.Scope); err != nil {
		return nil, err
	}
	alerts, skipped, err := hook.Adapter.Parse(in.RawBody, s.Clock())
	if err != nil {
		problem := refusal(http.StatusBadRequest, "%v", err)
		for _, k := range skipped {
			problem.Errors = append(problem.Errors, &huma.ErrorDetail{Message: k.Reason, Location: fmt.Sprintf("alerts[%d]", k.Index)})
		}
		return nil, problem
	}
	out := form.Accepted{Accepted: len(alerts), Skipped: make([]form.Skipped, 0, len(skipped))}
	for _, k := range skipped {
		out.Skipped = append(out.Skipped, form.Skipped{Index: k.Index, Count: k.Count, Reason: clip(k.Reason, 400)})
	}
	return s.accept(ctx, hook.Adapter.Name(), alerts, out, cmp.Or(hook.Busy, http.StatusTooManyRequests))
}

// accept makes alerts durable before it answers.
func (s *server) accept(ctx context.Context, source string, alerts []heal.Alert, out form.Accepted, busy int) (*body[form.Accepted], error) {
	err := s.Intake.Accept(ctx, source, alerts)
	if heal.Is(err, heal.Transient) {
		return nil, later(busy, 2*time.Second, "too many alerts wait to be handled, or they cannot be written now; nothing of this request was taken, send it again")
	}
	if err != nil {
		return nil, err
	}
	return answer(out), nil
}

type alertsCall struct {
	Write
	Body    form.NewAlerts
	RawBody []byte
}

func (s *server) sendAlerts() {
	handle(s, route{
		method: http.MethodPost, path: "/alerts", id: "send-alerts", tag: "alerts", unaudited: true,
		errors:  []int{http.StatusUnprocessableEntity, http.StatusTooManyRequests},
		summary: "Hand in normalised alerts", about: "All of them are taken, or none. 200 means that they are on disk.",
	}, func(ctx context.Context, in *alertsCall) (*body[form.Accepted], error) {
		raw := rawAlerts(in.RawBody)
		alerts := make([]heal.Alert, 0, len(in.Body.Alerts))
		var wrong []*huma.ErrorDetail
		for i, a := range in.Body.Alerts {
			made, err := s.newAlert(a)
			if err != nil {
				wrong = append(wrong, &huma.ErrorDetail{Message: err.Error(), Location: fmt.Sprintf("body.alerts[%d]", i)})
				continue
			}
			if err := auth.Can(ctx, auth.Send, made.Scope); err != nil {
				return nil, err
			}
			if i < len(raw) {
				made.Raw = raw[i]
			}
			alerts = append(alerts, made)
		}
		if wrong != nil {
			problem := refusal(http.StatusUnprocessableEntity, "%d of %d alerts are wrong; none was taken", len(wrong), len(in.Body.Alerts))
			problem.Errors = wrong
			return nil, problem
		}
		return s.accept(ctx, "api", alerts, form.Accepted{Accepted: len(alerts), Skipped: []form.Skipped{}}, http.StatusTooManyRequests)
	})
}

// rawAlerts gives each alert as it was sent.
func rawAlerts(data []byte) []json.RawMessage {
	var sent struct {
		Alerts []json.RawMessage `json:"alerts"`
	}
	if json.Unmarshal(data, &sent) != nil {
		return nil // it was read once already, so this cannot be
	}
	return sent.Alerts
}

// newAlert checks what a form's schema cannot say and normalises.
func (s *server) newAlert(a form.NewAlert) (heal.Alert, error) {
	o := alert.Observed{
		Source: cmp.Or(a.SourceSystem, "api"), Name: a.Name, Labels: a.Labels, Annotations: a.Context, Value: a.MetricValue, Threshold: a.Threshold,
		Severity: heal.Severity(a.Severity), Status: heal.AlertStatus(a.Status), Starts: a.Timestamp, Ends: a.ResolvedAt,
		Fingerprint: a.Fingerprint, Entity: heal.EntityID(a.Entity), Service: a.ServiceName, Scope: s.Scope, HostIP: a.HostIP, Metric: a.MetricName,
		RuleID: a.RuleID, Description: a.Description, AcknowledgedBy: a.AcknowledgedBy,
	}
	if a.Condition != "" {
		o.Condition = heal.Condition{Kind: heal.ConditionPromQL, Expr: a.Condition}
	}
	if o.Entity == "" && a.ServiceName != "" {
		o.Entity = heal.ServiceID(a.ServiceName)
	}
	if o.Entity != "" {
		if err := o.Entity.Validate(); err != nil {
			return heal.Alert{}, err
		}
	}
	if a.Scope != "" {
		scope, err := heal.ParseScope(a.Scope)
		if err != nil {
			return heal.Alert{}, err
		}
		o.Scope = scope
	}
	for what, m := range map[string]map[string]string{"labels": a.Labels, "context": a.Context} {
		for name, value := range m {
			if name == "" || len(name) > 256 || len(value) > 16<<10 || !plain(name) || strings.ContainsRune(value, 0) {
				return heal.Alert{}, fmt.Errorf("%s: %q: expected a name of 1 to 256 bytes and a value of at most 16 KiB without NUL", what, clip(name, 40))
			}
		}
	}
	return alert.New(o), nil
}
