package heal

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// AppendJSON appends the alert as encoding/json writes it, to the byte. Alerts
// are written several times on their way, and by storms; reflection would be
// most of what that costs.
func (a *Alert) AppendJSON(b []byte) ([]byte, error) {
	w := jsonWriter{b: append(b, '{')}
	w.text("alert_id", string(a.ID))
	w.text("fingerprint", a.Fingerprint)
	w.text("source_system", a.SourceSystem)
	w.text("alert_name", a.Name)
	w.some("metric_name", a.MetricName)
	w.text("severity", string(a.Severity))
	w.text("status", string(a.Status))
	w.some("service_name", a.ServiceName)
	w.some("host_ip", a.HostIP)
	w.text("entity", string(a.Entity))
	w.scope("scope", a.Scope)
	w.float("metric_value", a.MetricValue)
	w.float("threshold", a.Threshold)
	w.some("rule_id", a.RuleID)
	w.time("timestamp", a.Timestamp)
	w.time("received_at", a.ReceivedAt)
	w.flag("clock_skewed", a.ClockSkewed)
	w.texts("labels", a.Labels)
	w.some("description", a.Description)
	w.texts("context", a.Context)
	w.some("acknowledged_by", a.AcknowledgedBy)
	w.someTime("acknowledged_at", a.AcknowledgedAt)
	w.someTime("resolved_at", a.ResolvedAt)
	w.some("silenced_by", string(a.SilencedBy))
	w.condition("condition", a.Condition)
	w.number("count", int64(a.Count))
	w.number("opened", int64(a.Opened))
	w.number("events", int64(a.Events))
	if len(a.Raw) > 0 {
		w.value("raw", a.Raw)
	}
	return append(w.b, '}'), w.err
}

// jsonWriter writes the members of an object.
type jsonWriter struct {
	b   []byte
	err error // the first
}

// name writes the name of the next member, which needs no escapes.
func (w *jsonWriter) name(name string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(append(append(w.b, '"'), name...), '"', ':')
}

func (w *jsonWriter) text(name, text string) {
	w.name(name)
	w.quoted(text)
}

func (w *jsonWriter) some(name, text string) {
	if text != "" {
		w.text(name, text)
	}
}

// quoted writes a text; one with characters that need care is left to
// encoding/json.
func (w *jsonWriter) quoted(text string) {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c >= 0x80, c == '"', c == '\\', c == '<', c == '>', c == '&':
			w.any(text)
			return
		}
	}
	w.b = append(append(append(w.b, '"'), text...), '"')
}

// any writes a value as encoding/json does.
func (w *jsonWriter) any(v any) {
	data, err := json.Marshal(v)
	if err != nil && w.err == nil {
		w.err = err
	}
	w.b = append(w.b, data...)
}

func (w *jsonWriter) value(name string, v any) {
	w.name(name)
	w.any(v)
}

func (w *jsonWriter) number(name string, n int64) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, n, 10)
}

func (w *jsonWriter) float(name string, f *float64) {
	if f != nil {
		w.value(name, *f)
	}
}

func (w *jsonWriter) flag(name string, yes bool) {
	if yes {
		w.name(name)
		w.b = append(w.b, "true"...)
	}
}

func (w *jsonWriter) time(name string, at time.Time) {
	w.name(name)
	b, err := at.AppendText(append(w.b, '"'))
	if err != nil && w.err == nil {
		w.err = err
	}
	w.b = append(b, '"')
}

func (w *jsonWriter) someTime(name string, at time.Time) {
	if !at.IsZero() {
		w.time(name, at)
	}
}

func (w *jsonWriter) texts(name string, m map[string]string) {
	if len(m) == 0 {
		return
	}
	keys := make([]string, 0, 16)
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	w.name(name)
	w.b = append(w.b, '{')
	for i, key := range keys {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.quoted(key)
		w.b = append(w.b, ':')
		w.quoted(m[key])
	}
	w.b = append(w.b, '}')
}

func (w *jsonWriter) scope(name string, s Scope) {
	w.name(name)
	w.b = append(w.b, '{')
	w.text("tenant", s.Tenant)
	w.text("env", s.Env)
	w.text("cluster", s.Cluster)
	w.some("service", s.Service)
	w.b = append(w.b, '}')
}

func (w *jsonWriter) condition(name string, c Condition) {
	if c.Kind == "" && c.Expr == "" && c.Labels == nil && c.Probe == "" && c.Interval == 0 {
		return
	}
	w.name(name)
	w.b = append(w.b, '{')
	w.some("kind", string(c.Kind))
	w.some("expr", c.Expr)
	w.texts("labels", c.Labels)
	w.some("probe", c.Probe)
	if c.Interval != 0 {
		w.number("interval", int64(c.Interval))
	}
	w.b = append(w.b, '}')
}
