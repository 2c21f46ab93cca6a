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
	Problems []string   `json:"problems" doc:"What could not be read."`
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
