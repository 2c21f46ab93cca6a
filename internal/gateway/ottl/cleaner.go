package ottl

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	lang "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/wire"
)

// Options of a Cleaner; a zero field takes its default.
type Options struct {
	Traces, Metrics, Logs []string // statements, carried out in order

	MaxRequestBytes int          // 16 MiB
	Logger          *slog.Logger // nil: silent
}

// Problem is a statement that cannot be read.
type Problem struct {
	Signal otlp.Signal
	Index  int // of the statement among those of its signal
	Text   string
	Hint   string // what was expected
}

// Result says what one request met.
type Result struct {
	Failed int // times a statement failed for an item
	Mended int // texts that statements cut into pieces that are not UTF-8; the bytes that are wrong became question marks
}

// Cleaner carries out statements. It never changes, and is safe for concurrent
// use.
type Cleaner struct {
	decoder *otlp.Decoder
	log     *slog.Logger
	traces  []step[ptrace.Traces]
	metrics []step[pmetric.Metrics]
	logs    []step[plog.Logs]
	told    atomic.Int64 // when a failure was last logged
}

// step carries out one statement on all it speaks of. fail is told of each time it
// fails.
type step[T any] func(ctx context.Context, of T, fail func(error))

// New makes a Cleaner. Statements that cannot be read are told all at once; the
// Cleaner is then nil.
func New(o Options) (*Cleaner, []Problem) {
	c := &Cleaner{decoder: otlp.NewDecoder(o.MaxRequestBytes, 0), log: o.Logger}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	var problems []Problem
	c.traces, problems = parse(problems, otlp.SignalTraces, o.Traces, traceContexts, traceParsers())
	c.metrics, problems = parse(problems, otlp.SignalMetrics, o.Metrics, metricContexts, metricParsers())
	c.logs, problems = parse(problems, otlp.SignalLogs, o.Logs, logContexts, logParsers())
	if len(problems) > 0 {
		return nil, problems
	}
	return c, nil
}

// Has reports whether there are statements for a signal.
func (c *Cleaner) Has(sig otlp.Signal) bool {
	return c != nil && [...]int{otlp.SignalTraces: len(c.traces), otlp.SignalMetrics: len(c.metrics), otlp.SignalLogs: len(c.logs)}[sig] > 0
}

// Clean gives a request as the statements of its signal leave it, or itself if
// there are none. An error, of kind Invalid, means that it cannot be decoded.
func (c *Cleaner) Clean(ctx context.Context, sig otlp.Signal, request []byte) (cleaned []byte, r Result, err error) {
	if !c.Has(sig) {
		return request, r, nil
	}
	defer func() {
		if bug := recover(); bug != nil { // a bug of a function must not end the process
			cleaned, err = nil, heal.Errorf(heal.Invalid, "clean "+sig.String(), "a statement gave up: %v", bug)
		}
	}()
	fail := func(err error) {
		r.Failed++
		c.tell(ctx, sig, err)
	}
	switch sig {
	case otlp.SignalTraces:
		td, err := c.decoder.Traces(request)
		if err != nil {
			return nil, r, err
		}
		if cleaned, err = apply(ctx, c.traces, td, fail, new(ptrace.ProtoMarshaler).MarshalTraces); err != nil {
			return nil, r, err
		}
		r.Mended = wire.MendSpans(cleaned)
	case otlp.SignalMetrics:
		md, err := c.decoder.Metrics(request)
		if err != nil {
			return nil, r, err
		}
		if cleaned, err = apply(ctx, c.metrics, md, fail, new(pmetric.ProtoMarshaler).MarshalMetrics); err != nil {
			return nil, r, err
		}
		r.Mended = wire.MendMetrics(cleaned)
	case otlp.SignalLogs:
		ld, err := c.decoder.Logs(request)
		if err != nil {
			return nil, r, err
		}
		if cleaned, err = apply(ctx, c.logs, ld, fail, new(plog.ProtoMarshaler).MarshalLogs); err != nil {
			return nil, r, err
		}
		r.Mended = wire.MendLogs(cleaned)
	}
	return cleaned, r, nil
}

// tell logs one failure every ten seconds: a statement that fails for one item
// likely fails for millions.
func (c *Cleaner) tell(ctx context.Context, sig otlp.Signal, err error) {
	now := time.Now().UnixNano()
	if last := c.told.Load(); now-last >= int64(10*time.Second) && c.told.CompareAndSwap(last, now) {
		c.log.WarnContext(ctx, "a statement failed; what it should have changed stays as it was", slog.String("signal", sig.String()), slog.Any("error", err))
	}
}

func apply[T any](ctx context.Context, steps []step[T], of T, fail func(error), marshal func(T) ([]byte, error)) ([]byte, error) {
	for _, s := range steps {
		s(ctx, of, fail)
	}
	b, err := marshal(of)
	if err != nil {
		return nil, heal.Errorf(heal.Internal, "write what was cleaned", "%w", err)
	}
	return b, nil
}

// maxStatement bounds a statement, in bytes: its parser recurses.
const maxStatement = 16 << 10

// parse reads the statements of one signal, each for itself: what it speaks of is
// told by its paths.
func parse[T any](problems []Problem, sig otlp.Signal, statements, contexts []string, parsers []lang.ParserCollectionOption[step[T]]) ([]step[T], []Problem) {
	if len(statements) == 0 {
		return nil, problems
	}
	collection, err := lang.NewParserCollection(settings(), parsers...)
	if err != nil {
		return nil, append(problems, Problem{Signal: sig, Text: err.Error(), Hint: "a bug report"})
	}
	steps := make([]step[T], 0, len(statements))
	for i, text := range statements {
		if len(text) > maxStatement {
			problems = append(problems, Problem{sig, i, fmt.Sprintf("has %d bytes", len(text)), fmt.Sprintf("at most %d", maxStatement)})
			continue
		}
		s, err := collection.ParseStatements(lang.NewStatementsGetter([]string{text}))
		if err != nil {
			problems = append(problems, Problem{Signal: sig, Index: i, Text: tidy(text, err), Hint: hint(sig, text, contexts)})
			continue
		}
		steps = append(steps, s)
	}
	return steps, problems
}

// settings are those of a component that says nothing: what statements do is
// counted here.
func settings() component.TelemetrySettings { return component.TelemetrySettings{Logger: zap.NewNop()} }

// tidy says what is wrong with a statement on one line, without the statement
// itself, which stands in the file.
func tidy(statement string, err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	text = strings.TrimPrefix(text, fmt.Sprintf("unable to parse OTTL statement %q: ", statement))
	if strings.HasPrefix(text, "unable to infer") {
		if _, reason, ok := strings.Cut(text, ": "); ok && !strings.Contains(text, "path's first segment") {
			return reason
		}
		return "does not say what it speaks of, or speaks of what this signal has not"
	}
	return text
}

// hint says what was expected.
func hint(sig otlp.Signal, statement string, contexts []string) string {
	if name, _, ok := strings.Cut(statement, "("); ok {
		if meant := nearestEditor(strings.TrimSpace(name)); meant != "" {
			return meant + "(...)"
		}
	}
	return fmt.Sprintf("a function and what it changes, with paths that begin with %s, as in %s", strings.Join(contexts, ", "), examples[sig])
}

var examples = [...]string{
	otlp.SignalTraces:  `delete_key(span.attributes, "http.request.header.authorization")`,
	otlp.SignalMetrics: `delete_key(datapoint.attributes, "user.id")`,
	otlp.SignalLogs:    `replace_pattern(log.body.string, "password=\\S+", "password=***")`,
}
