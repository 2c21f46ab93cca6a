package watch

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Golden is a signal that users of a service notice.
type Golden string

// The golden signals; what is none of them is none.
const (
	NotGolden Golden = ""
	Errors    Golden = "errors"  // share of requests that fail, 0 to 1
	Latency   Golden = "latency" // s
)

// Signal is one thing that is asked of all services at once.
type Signal struct {
	Name   string   // as people read it, and part of a finding's identity
	Expr   string   // PromQL; an element a series
	Entity string   // label that names the service
	Parts  []string // labels that tell apart the series of one service; nil with Raw
	Unit   string   // UCUM
	Golden Golden   // of the service as a whole
	Raw    bool     // the elements are samples of many metrics, each by its own name
}

// Requests is the name a signal must have for its values, requests a second, to
// say how much the others prove.
const Requests = "requests"

// ofOperation ends the name of a signal of a part of a service.
const ofOperation = " of an operation"

// served matches the spans a service serves requests with.
const served = `span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"`

// Signals are what is asked by default: rate, errors and duration of every
// service and operation, from spans, and every metric that carries one of the
// labels. Rates are over window.
func Signals(window time.Duration, labels []string) []Signal {
	over := fmt.Sprintf("[%dms]", window.Milliseconds())
	var list []Signal
	for _, by := range []struct {
		level string
		parts []string
	}{{"", nil}, {ofOperation, []string{"span_name"}}} {
		group := strings.Join(append([]string{"service_name"}, by.parts...), ",")
		calls := fmt.Sprintf(`sum by (%s) (rate(traces_span_metrics_calls_total{%s}%s))`, group, served, over)
		failed := fmt.Sprintf(`sum by (%s) (rate(traces_span_metrics_calls_total{%s,status_code="STATUS_CODE_ERROR"}%s))`, group, served, over)
		rate := Signal{Name: Requests + by.level, Unit: "1/s", Expr: calls}
		errors := Signal{Name: "error ratio" + by.level, Unit: "1", Expr: fmt.Sprintf(`(%s or %s * 0) / %s`, failed, calls, calls)}
		latency := Signal{Name: "mean latency" + by.level, Unit: "s", Expr: fmt.Sprintf(
			`sum by (%s) (rate(traces_span_metrics_duration_seconds_sum{%s}%s)) / sum by (%s) (rate(traces_span_metrics_duration_seconds_count{%s}%s))`, group, served, over, group, served, over)}
		if by.parts == nil {
			errors.Golden, latency.Golden = Errors, Latency
			latency.Name = "p95 latency"
			latency.Expr = fmt.Sprintf(`histogram_quantile(0.95, sum by (%s,le) (rate(traces_span_metrics_duration_seconds_bucket{%s}%s)))`, group, served, over)
		}
		for _, s := range []Signal{rate, errors, latency} {
			s.Entity, s.Parts = "service_name", by.parts
			list = append(list, s)
		}
	}
	for i, label := range labels {
		matchers := []string{label + `!=""`, `__name__!~"traces_.+|.+_bucket|.+_info"`}
		for _, former := range labels[:i] {
			matchers = append(matchers, former+`=""`)
		}
		list = append(list, Signal{Name: "metrics by " + label, Entity: label, Raw: true, Expr: "{" + strings.Join(matchers, ",") + "}"})
	}
	return list
}

// grows reports whether a metric is a counter, by its name.
func grows(metric string) bool {
	for _, end := range []string{"_total", "_count", "_sum"} {
		if strings.HasSuffix(metric, end) {
			return true
		}
	}
	return false
}

// instances are the labels that tell the instances of a service apart. They come
// and go with every deploy; the service stays, so its instances are taken
// together: rates summed, states averaged.
var instances = []string{
	"instance", "service_instance_id", "k8s_pod_name", "k8s_pod_uid", "pod", "container_id", "process_pid", "host_name", "host_id",
	"service_version", "telemetry_sdk_version",
}

func instanceLabel(name string) bool { return slices.Contains(instances, name) }
