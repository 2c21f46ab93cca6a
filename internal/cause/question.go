package cause

import (
	"fmt"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// The ids of the questions.
const (
	LatencyP99      = "latency_p99"         // of served requests, long window
	LatencyP99Short = "latency_p99_short"   // of served requests, short window
	ErrorRatio      = "error_ratio"         // of served requests
	RequestRate     = "request_rate"        // served
	InboundP99      = "inbound_latency_p99" // as callers see it
	InboundErrors   = "inbound_error_ratio" // as callers see it
	InboundRate     = "inbound_rate"        // as callers see it
	CPU             = "cpu"
	Memory          = "memory"       // share of the limit
	MemoryBytes     = "memory_bytes" // in use
	Network         = "network_io"
	Disk            = "disk"
	PoolUsed        = "pool_used" // share of the limit
	PoolPending     = "pool_pending"
	PoolTimeouts    = "pool_timeouts"
	Restarts        = "restarts"
	InFlight        = "in_flight" // requests being served
)

// Question is one thing to ask of the metrics. Its answer is one number; no
// result means not known.
type Question struct {
	ID       string
	Expr     string // PromQL
	Unit     string // UCUM
	Window   time.Duration
	Baseline bool // also to be asked at BaselineTimes; the baseline is the median of the answers
	Series   bool // what requests lose is told by it: rather to be asked over Past
}

const (
	longWindow  = 5 * time.Minute
	shortWindow = time.Minute
)

// BaselineTimes are the times before a case at which a question is asked for
// its baseline: close ones, that a young system can answer too, and ones far
// enough not to lie within a slowly growing fault.
func BaselineTimes(began time.Time) []time.Time {
	var times []time.Time
	for _, before := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour} {
		times = append(times, began.Add(-before))
	}
	return times
}

// Past is when a question whose answers are judged as a series is asked for what
// is usual: as often within the time before the case as windows do not overlap.
// The last minutes are left out, as many as the longest window: a fault is there
// before it is noticed. Of Enough answers it can be told how far they are off when
// nothing is wrong; of fewer it cannot.
func Past(began time.Time, most time.Duration) (from, to time.Time, step time.Duration) {
	to = began.Add(-longWindow)
	return to.Add(-shortWindow * max(0, (most-longWindow)/shortWindow)), to, shortWindow
}

// template is a question about entities of some kinds. In expr, $me stands for
// the matcher of the entity, $server for the one in the service graph, $w for
// the window, $used and $idle for the matchers of those states.
type template struct {
	id, expr, unit string
	window         time.Duration
	steady         bool // its level alone says what is needed: no baseline
}

// served are the questions about what an entity serves, from its own spans.
var served = []template{
	{LatencyP99, `histogram_quantile(0.99, sum by (le) (rate(traces_span_metrics_duration_seconds_bucket{$me,span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"}[$w])))`, "s", longWindow, false},
	{LatencyP99Short, `histogram_quantile(0.99, sum by (le) (rate(traces_span_metrics_duration_seconds_bucket{$me,span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"}[$w])))`, "s", shortWindow, false},
	{ErrorRatio, `(sum(rate(traces_span_metrics_calls_total{$me,span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER",status_code="STATUS_CODE_ERROR"}[$w])) or vector(0)) / sum(rate(traces_span_metrics_calls_total{$me,span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"}[$w]))`, "1", shortWindow, false},
	{RequestRate, `sum(rate(traces_span_metrics_calls_total{$me,span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"}[$w]))`, "1/s", shortWindow, false},
	{InFlight, `sum(http_server_active_requests{$me})`, "1", 0, false},
}

// inbound are the questions about an entity as its callers see it: all there is
// for databases, caches, queues and whatever else does not report itself.
var inbound = []template{
	{InboundP99, `histogram_quantile(0.99, sum by (le) (rate(traces_service_graph_request_client_seconds_bucket{$server}[$w])))`, "s", shortWindow, false},
	{InboundErrors, `(sum(rate(traces_service_graph_request_failed_total{$server}[$w])) or vector(0)) / sum(rate(traces_service_graph_request_total{$server}[$w]))`, "1", shortWindow, false},
	{InboundRate, `sum(rate(traces_service_graph_request_total{$server}[$w]))`, "1/s", shortWindow, false},
}

// runtime are the questions about the processes of a service.
var runtime = []template{
	{CPU, `max(sum by (instance, service_instance_id) (process_cpu_utilization_ratio{$me})) or max(sum by (instance, service_instance_id) (process_cpu_utilization{$me})) or max(jvm_cpu_recent_utilization_ratio{$me}) or max(k8s_pod_cpu_limit_utilization_ratio{$me}) or max(sum by (instance, service_instance_id) (rate(process_cpu_time_seconds_total{$me}[$w])))`, "1", shortWindow, false},
	{Memory, `max(k8s_pod_memory_limit_utilization_ratio{$me}) or max(process_memory_utilization_ratio{$me}) or sum(jvm_memory_used_bytes{$me}) / sum(jvm_memory_limit_bytes{$me})`, "1", 0, false},
	{MemoryBytes, `sum(process_memory_usage_bytes{$me}) or sum(go_memory_used_bytes{$me}) or sum(process_resident_memory_bytes{$me}) or sum(container_memory_usage_bytes{$me})`, "By", 0, false},
	{Network, `sum(rate(process_network_io_bytes_total{$me}[$w])) or sum(rate(k8s_pod_network_io_bytes_total{$me}[$w]))`, "By/s", shortWindow, false},
	{PoolUsed, `max(sum by (instance, service_instance_id, db_client_connection_pool_name, pool_name) ({__name__=~"db_client_connection_count|db_client_connections_usage",$me,$used}) / on (instance, service_instance_id, db_client_connection_pool_name, pool_name) sum by (instance, service_instance_id, db_client_connection_pool_name, pool_name) ({__name__=~"db_client_connection_max|db_client_connections_max",$me}))`, "1", 0, false},
	{PoolPending, `sum(db_client_connection_pending_requests{$me}) or sum(db_client_connections_pending_requests{$me})`, "1", 0, false},
	{PoolTimeouts, `sum(increase(db_client_connection_timeouts_total{$me}[$w])) or sum(increase(db_client_connections_timeouts_total{$me}[$w]))`, "1", shortWindow, false},
	{Restarts, `sum(changes(process_start_time_seconds{$me}[$w])) or sum(resets(process_uptime_seconds{$me}[$w])) or sum(increase(k8s_container_restarts{$me}[$w]))`, "1", 10 * time.Minute, true},
}

// machine are the questions about a host.
var machine = []template{
	{CPU, `1 - avg(system_cpu_utilization_ratio{$me,$idle}) or 1 - avg(rate(node_cpu_seconds_total{$me,mode="idle"}[$w])) or max(host_cpu_total{$me}) / 100`, "1", shortWindow, false},
	{Memory, `sum(system_memory_utilization_ratio{$me,state="used"}) or sum(system_memory_utilization_ratio{$me,system_memory_state="used"}) or 1 - max(node_memory_MemAvailable_bytes{$me}) / max(node_memory_MemTotal_bytes{$me})`, "1", 0, false},
	{Network, `sum(rate(system_network_io_bytes_total{$me}[$w])) or sum(rate(node_network_receive_bytes_total{$me}[$w]))`, "By/s", shortWindow, false},
	{Disk, `max(system_filesystem_utilization_ratio{$me}) or 1 - min(node_filesystem_avail_bytes{$me} / node_filesystem_size_bytes{$me})`, "1", 0, false},
}

// Questions are what to ask of the metrics about an entity. The names are
// those of OpenTelemetry's semantic conventions as Prometheus translates them,
// former ones included, and of the Collector's span metrics.
func Questions(id heal.EntityID) []Question {
	var sets [][]template
	var label string
	switch id.Kind() {
	case heal.KindService:
		sets, label = [][]template{served, inbound, runtime}, "service_name"
	case heal.KindProcess:
		sets, label = [][]template{runtime}, "service_name"
	case heal.KindPod:
		sets, label = [][]template{served, runtime}, "k8s_pod_name"
	case heal.KindHost:
		sets, label = [][]template{machine}, "host_name"
	case heal.KindDatabase, heal.KindCache, heal.KindQueue, heal.KindExternal:
		sets, label = [][]template{inbound}, "server_address"
	default:
		return nil
	}
	name := id.Name()
	if id.Kind() == heal.KindPod { // pod/namespace/name
		name = name[strings.LastIndex(name, "/")+1:]
	}
	me := label + "=" + Quote(name)
	var list []Question
	for _, set := range sets {
		for _, t := range set {
			list = append(list, t.about(me, Quote(id.Name())))
		}
	}
	return list
}

func (t template) about(me, server string) Question {
	expr := strings.NewReplacer(
		"$me", me,
		"$server", "server="+server,
		// The state of a connection and of a CPU has had several label names; a
		// missing label is the empty string, so exactly one of them decides.
		"$used", `state=~"used|",db_client_connection_state=~"used|"`,
		"$idle", `state=~"idle|",cpu_mode=~"idle|",system_cpu_state=~"idle|"`,
		"$w", fmt.Sprintf("%ds", int(t.window.Seconds())),
	).Replace(t.expr)
	return Question{ID: t.id, Expr: expr, Unit: t.unit, Window: t.window, Baseline: !t.steady, Series: tellsLoss(t.id)}
}

// Quote writes a label value as PromQL reads it.
func Quote(value string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(value, "\uFFFD") {
		switch r {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case '\n':
			b.WriteString(`\n`)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
