package gateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/wire"
)

// IntakeOptions say what becomes of requests.
type IntakeOptions struct {
	RED *wire.Aggregator // counts every span, before sampling

	// Keep takes what is kept of a request, as an otlp.RawSink would; a
	// *heal.Rejected says that it took a part.
	Keep func(ctx context.Context, sig otlp.Signal, request []byte, items int) error

	// Mend repairs text that is not UTF-8, where it would be refused otherwise.
	Mend bool
}

// Intake decides on single spans and counts them all, without decoding; metrics
// and logs are kept as they come. It is an otlp.RawSink.
type Intake struct {
	opts     IntakeOptions
	sampler  atomic.Pointer[wire.Sampler]
	scanners sync.Pool
	outputs  sync.Pool // of *[]byte
	counts   counts
}

// NewIntake makes an Intake.
func NewIntake(sampler *wire.Sampler, o IntakeOptions) *Intake {
	in := &Intake{opts: o}
	in.scanners.New = func() any { return new(wire.Scanner) }
	in.outputs.New = func() any { return new([]byte) }
	in.sampler.Store(sampler)
	return in
}

// Take takes one request, as otlp.RawSink says.
func (in *Intake) Take(ctx context.Context, sig otlp.Signal, request []byte) (items int, err error) {
	switch sig {
	case otlp.SignalTraces:
		return in.takeTraces(ctx, request)
	case otlp.SignalMetrics:
		items, err = mended(in.opts.Mend, request, wire.CheckMetrics, wire.MendMetrics)
	case otlp.SignalLogs:
		items, err = mended(in.opts.Mend, request, wire.CheckLogs, wire.MendLogs)
	}
	if err != nil || items == 0 {
		return 0, err
	}
	if err = in.opts.Keep(ctx, sig, request, items); lost(err) {
		return 0, err
	}
	in.counts.taken[sig].Add(uint64(items))
	return items, err
}

// takeTraces samples a request and takes what is kept.
func (in *Intake) takeTraces(ctx context.Context, request []byte) (int, error) {
	s, _ := in.scanners.Get().(*wire.Scanner)
	defer in.scanners.Put(s)
	out, _ := in.outputs.Get().(*[]byte)
	defer in.outputs.Put(out)
	var result wire.Result
	scan := func(request []byte) (n int, err error) {
		*out, result, err = s.Scan(request, in.sampler.Load(), (*out)[:0])
		return result.Spans, err
	}
	_, err := mended(in.opts.Mend, request, scan, wire.MendSpans)
	if err != nil {
		return 0, err
	}
	if kept := result.Kept(); kept > 0 {
		if err = in.opts.Keep(ctx, otlp.SignalTraces, *out, kept); lost(err) {
			return 0, err
		}
	}
	in.opts.RED.Take(s) // only now: what is refused comes again
	in.counts.sampled(&result)
	in.counts.taken[otlp.SignalTraces].Add(uint64(result.Spans))
	return result.Spans, err
}

// Reasons says how many spans were kept or not, and why.
func (in *Intake) Reasons() (n [wire.ReasonTrace + 1]uint64) {
	for i := range n {
		n[i] = in.counts.reasons[i].Load()
	}
	return n
}

// lost reports whether nothing was taken.
func lost(err error) bool {
	_, partly := errors.AsType[*heal.Rejected](err)
	return err != nil && !partly
}

// mended checks a request, and once more after repairing its text if that is
// wanted and there is something to repair.
func mended(mend bool, request []byte, check func([]byte) (int, error), repair func([]byte) int) (items int, err error) {
	if items, err = check(request); err == nil || !mend || repair(request) == 0 {
		return items, err
	}
	return check(request)
}
