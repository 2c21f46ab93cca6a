package otlp

import (
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/homeostat/homeostat/internal/heal"
)

// Decoder decodes requests. It bounds nesting and decoded size before it lets
// pdata decode: its decoders recurse, and a few bytes can stand for a large
// structure. It is safe for concurrent use.
type Decoder struct {
	budget  budget
	schemas [len(signals)]*message
}

// NewDecoder makes a Decoder of requests of at most maxBytes, of which one may
// take 16 times that when decoded; 0 means the default of a Server, for both.
func NewDecoder(maxBytes, maxDepth int) *Decoder {
	o := Options{MaxRequestBytes: maxBytes, MaxDepth: maxDepth}.withDefaults()
	return &Decoder{budget{depth: o.MaxDepth, bytes: 16 * o.MaxRequestBytes}, newSchemas()}
}

// Traces decodes a request of spans. An error, of kind Invalid, means that it
// never can be; so it is for the other two.
func (d *Decoder) Traces(request []byte) (ptrace.Traces, error) {
	r, _, err := d.decode(traces, protobuf, request)
	if err != nil {
		return ptrace.Traces{}, err
	}
	return r.traces.Traces(), nil
}

// Metrics decodes a request of metrics.
func (d *Decoder) Metrics(request []byte) (pmetric.Metrics, error) {
	r, _, err := d.decode(metrics, protobuf, request)
	if err != nil {
		return pmetric.Metrics{}, err
	}
	return r.metrics.Metrics(), nil
}

// Logs decodes a request of log records.
func (d *Decoder) Logs(request []byte) (plog.Logs, error) {
	r, _, err := d.decode(logs, protobuf, request)
	if err != nil {
		return plog.Logs{}, err
	}
	return r.logs.Logs(), nil
}

func (d *Decoder) decode(sig Signal, enc format, body []byte) (req request, c codec, err error) {
	op := "decode OTLP " + sig.String()
	if enc == jsonText {
		err = d.budget.checkJSON(body)
	} else {
		err = d.budget.checkProto(body, d.schemas[sig])
	}
	if err != nil {
		return req, nil, heal.Errorf(heal.Invalid, op, "%w", err)
	}
	defer func() {
		if bug := recover(); bug != nil { // a bug of the decoder must not end the process
			err = heal.Errorf(heal.Invalid, op, "the decoder gave up: %v", bug)
		}
	}()
	switch sig {
	case traces:
		req.traces = ptraceotlp.NewExportRequest()
		c = req.traces
	case metrics:
		req.metrics = pmetricotlp.NewExportRequest()
		c = req.metrics
	case logs:
		req.logs = plogotlp.NewExportRequest()
		c = req.logs
	}
	if enc == jsonText {
		err = c.UnmarshalJSON(body)
	} else {
		err = c.UnmarshalProto(body)
	}
	if err != nil {
		return req, nil, heal.Errorf(heal.Invalid, op, "%w", err)
	}
	return req, c, nil
}
