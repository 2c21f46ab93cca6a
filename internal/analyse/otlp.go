package analyse

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// The parts of OTLP's JSON form that are read: numbers of 64 bits may be text.
type (
	otlpKey struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpValue struct {
		Text   *string     `json:"stringValue"`
		Int    json.Number `json:"intValue"`
		Double *float64    `json:"doubleValue"`
		Bool   *bool       `json:"boolValue"`
	}
	otlpResource struct {
		Attributes []otlpKey `json:"attributes"`
	}
	otlpPoint struct {
		Attributes []otlpKey   `json:"attributes"`
		Time       json.Number `json:"timeUnixNano"`
		Double     *float64    `json:"asDouble"`
		Int        json.Number `json:"asInt"`
	}
	otlpPoints struct {
		Points []otlpPoint `json:"dataPoints"`
	}
	otlpSpan struct {
		TraceID string      `json:"traceId"`
		SpanID  string      `json:"spanId"`
		Parent  string      `json:"parentSpanId"`
		Name    string      `json:"name"`
		Kind    any         `json:"kind"`
		Start   json.Number `json:"startTimeUnixNano"`
		End     json.Number `json:"endTimeUnixNano"`
		Status  struct {
			Code    any    `json:"code"`
			Message string `json:"message"`
		} `json:"status"`
	}
	otlpLog struct {
		Time     json.Number `json:"timeUnixNano"`
		Observed json.Number `json:"observedTimeUnixNano"`
		Severity int         `json:"severityNumber"`
		Body     otlpValue   `json:"body"`
		TraceID  string      `json:"traceId"`
		SpanID   string      `json:"spanId"`
	}
)

func (v otlpValue) String() string {
	switch {
	case v.Text != nil:
		return *v.Text
	case v.Double != nil:
		return strconv.FormatFloat(*v.Double, 'g', -1, 64)
	case v.Bool != nil:
		return strconv.FormatBool(*v.Bool)
	}
	return v.Int.String()
}

// service is the name in the attributes of a resource.
func (r otlpResource) service(f *file) string {
	for _, a := range r.Attributes {
		if a.Key == "service.name" {
			return a.Value.String()
		}
	}
	return f.service()
}

func otlpTime(f *file, n json.Number) (time.Time, error) {
	nanos, err := strconv.ParseInt(string(n), 10, 64)
	if err != nil || nanos <= 0 {
		return time.Time{}, f.wrong("a time is %q, expected nanoseconds since 1970", string(n))
	}
	return time.Unix(0, nanos).UTC(), nil
}

// otlpMetrics reads gauges and sums; histograms have their own metrics of sum and
// count.
func (d *Data) otlpMetrics(f *file, data json.RawMessage) error {
	var in struct {
		Resources []struct {
			Resource otlpResource `json:"resource"`
			Scopes   []struct {
				Metrics []struct {
					Name  string      `json:"name"`
					Gauge *otlpPoints `json:"gauge"`
					Sum   *otlpPoints `json:"sum"`
				} `json:"metrics"`
			} `json:"scopeMetrics"`
		} `json:"resourceMetrics"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return f.wrong("%v, expected OTLP", err)
	}
	if in.Resources == nil {
		return f.wrong("the JSON object has no resourceMetrics, expected OTLP or CSV")
	}
	for _, r := range in.Resources {
		service := r.Resource.service(f)
		for _, s := range r.Scopes {
			for _, m := range s.Metrics {
				for _, points := range []*otlpPoints{m.Gauge, m.Sum} {
					if points == nil {
						continue
					}
					if err := d.otlpPoints(f, service, m.Name, points, points == m.Sum); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

func (d *Data) otlpPoints(f *file, service, name string, points *otlpPoints, sum bool) error {
	if sum && !strings.HasSuffix(name, "_total") {
		name += "_total"
	}
	for _, p := range points.Points {
		at, err := otlpTime(f, p.Time)
		if err != nil {
			return err
		}
		var labels []string
		for _, a := range p.Attributes {
			labels = append(labels, a.Key+"="+a.Value.String())
		}
		column := name
		if len(labels) > 0 {
			column = "{" + strings.Join(labels, ",") + "}" + name // what it is stays at the end
		}
		v := 0.0
		if p.Double != nil {
			v = *p.Double
		} else if v, err = p.Int.Float64(); err != nil {
			return f.wrong("a point of %s has no number, expected asDouble or asInt", name)
		}
		if err := d.sample(f, service, column, at, v); err != nil {
			return err
		}
	}
	return nil
}

// otlpSpans reads OTLP, or a span as a plain object.
func (d *Data) otlpSpans(f *file, data json.RawMessage) error {
	var in struct {
		Resources []struct {
			Resource otlpResource `json:"resource"`
			Scopes   []struct {
				Spans []otlpSpan `json:"spans"`
			} `json:"scopeSpans"`
		} `json:"resourceSpans"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return f.wrong("%v, expected OTLP or a span", err)
	}
	if in.Resources == nil {
		record, err := flat(data)
		if err != nil {
			return f.wrong("%v, expected OTLP or a span", err)
		}
		return d.span(f, record)
	}
	for _, r := range in.Resources {
		service := r.Resource.service(f)
		for _, s := range r.Scopes {
			for _, span := range s.Spans {
				start, err := otlpTime(f, span.Start)
				if err != nil {
					return err
				}
				end, err := otlpTime(f, span.End)
				if err != nil {
					return err
				}
				code := strings.ToUpper(fmt.Sprint(span.Status.Code))
				err = d.addSpan(f, heal.Span{
					TraceID: span.TraceID, SpanID: span.SpanID, ParentID: span.Parent, Service: service, Operation: span.Name, Kind: kindOf(fmt.Sprint(span.Kind)),
					Start: start, Duration: max(end.Sub(start), 0), Error: code == "2" || strings.HasSuffix(code, "ERROR"), StatusMessage: span.Status.Message,
				})
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// otlpLogs reads OTLP, or a record as a plain object.
func (d *Data) otlpLogs(f *file, data json.RawMessage) error {
	var in struct {
		Resources []struct {
			Resource otlpResource `json:"resource"`
			Scopes   []struct {
				Records []otlpLog `json:"logRecords"`
			} `json:"scopeLogs"`
		} `json:"resourceLogs"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return f.wrong("%v, expected OTLP or a log record", err)
	}
	if in.Resources == nil {
		record, err := flat(data)
		if err != nil {
			return f.wrong("%v, expected OTLP or a log record", err)
		}
		return d.logRecord(f, record, string(data))
	}
	for _, r := range in.Resources {
		service := r.Resource.service(f)
		for _, s := range r.Scopes {
			for _, l := range s.Records {
				stamp := l.Time
				if stamp == "" || stamp == "0" {
					stamp = l.Observed
				}
				at, err := otlpTime(f, stamp)
				if err != nil {
					return err
				}
				if err := d.addLog(f, heal.LogRecord{Time: at, Observed: at, Service: service, Severity: l.Severity, Body: l.Body.String(), TraceID: l.TraceID, SpanID: l.SpanID}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
