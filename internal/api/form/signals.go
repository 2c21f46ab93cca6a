package form

import "time"

// Signals is the telemetry around a case.
type Signals struct {
	From     time.Time  `json:"from"`
	Until    time.Time  `json:"until"`
	Marks    []Mark     `json:"marks" doc:"The moments of the case, in order."`
	Charts   []Chart    `json:"charts" doc:"What the evidence measured; empty where it measured nothing."`
	Logs     []LogLine  `json:"logs" doc:"Of the entity the case is about, the most severe and newest first."`
	Spans    []SpanLine `json:"spans" doc:"Of the same, failed and slow ones, the slowest first."`
	Slowest  *Critical  `json:"slowest,omitempty" doc:"Who held the slowest of its requests; absent if no whole trace was kept."`
	Problems []string   `json:"problems" doc:"What could not be read."`
}

// Critical is the critical path of a trace, by who held the request: at each
// moment, the one operation it waited for.
type Critical struct {
	TraceID   string    `json:"trace_id"`
	Service   string    `json:"service" doc:"That the request came to."`
	Operation string    `json:"operation"`
	At        time.Time `json:"at"`
	Seconds   float64   `json:"seconds" doc:"All of it."`
	Held      []Hold    `json:"held" doc:"The longest first, at most 12; together they are all of it, unless there are more."`
	More      int       `json:"more,omitempty" doc:"Operations left out."`
	Failed    *SpanLine `json:"failed,omitempty" doc:"Where it began to fail."`
}

// Hold is how long one operation of a service held a request, itself and not
// what it called.
type Hold struct {
	Service   string  `json:"service"`
	Operation string  `json:"operation"`
	Spans     int     `json:"spans" doc:"How many of its spans were waited for."`
	Seconds   float64 `json:"seconds"`
	Share     float64 `json:"share" doc:"Of all, 0 to 1."`
}

// Mark is a moment of a case.
type Mark struct {
	What string    `json:"what" enum:"began,detected,acted,healed"`
	At   time.Time `json:"at"`
}

// Chart is a measure over a time.
type Chart struct {
	Title  string    `json:"title" doc:"What the evidence said."`
	Entity string    `json:"entity,omitempty"`
	Query  string    `json:"query" doc:"The PromQL that is drawn."`
	Unit   string    `json:"unit,omitempty"`
	Limit  *float64  `json:"limit,omitempty" doc:"What the measure was compared with, if it was."`
	Above  bool      `json:"above" doc:"The condition holds above the limit; else below."`
	Times  []float64 `json:"times" doc:"Seconds since 1970."`
	Curves []Curve   `json:"curves"`
}

// Curve is one series of a chart.
type Curve struct {
	Labels map[string]string `json:"labels"`
	Values []*float64        `json:"values" doc:"At the times of the chart; null where there was none."`
}

// LogLine is one log record.
type LogLine struct {
	At       time.Time `json:"at"`
	Service  string    `json:"service"`
	Severity string    `json:"severity" enum:"trace,debug,info,warn,error,fatal"`
	Text     string    `json:"text"`
	TraceID  string    `json:"trace_id,omitempty"`
}

// SpanLine is one span.
type SpanLine struct {
	At        time.Time `json:"at"`
	Service   string    `json:"service"`
	Operation string    `json:"operation"`
	Seconds   float64   `json:"seconds"`
	Error     bool      `json:"error,omitempty"`
	Text      string    `json:"text,omitempty" doc:"What it said of its error."`
	TraceID   string    `json:"trace_id"`
}
