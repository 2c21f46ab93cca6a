package main

import (
	"context"
	"math"
	"time"
)

const memory = "traces: {acknowledge: memory}"

// rivals are the Collectors; the bars speak of the first.
func rivals() []target { return []target{collector("100"), collector("400")} }

// turns measures targets under one workload, in turn, and adds the rounds up.
// What -rows leaves out has no result.
func (b *bench) turns(ctx context.Context, section string, rounds int, w *workload, targets ...target) ([]*result, error) {
	sums := make([]*result, len(targets))
	for range rounds {
		for i := range targets {
			if b.rows != nil && !b.rows.MatchString(w.String()+", "+targets[i].name) {
				continue
			}
			r, err := b.run(ctx, &targets[i], w)
			if err != nil {
				return nil, err
			}
			if sums[i] == nil {
				sums[i] = r
			} else {
				sums[i].add(r)
			}
		}
	}
	for i := range targets {
		if sums[i] != nil {
			b.report.add(section, targets[i].name, w, sums[i])
		}
	}
	return sums, nil
}

// times is how many times as much of something one target took as another, NaN
// if -rows left one of them out.
func times(more, less *result, of func(*result) float64) float64 {
	if more == nil || less == nil {
		return math.NaN()
	}
	return of(more) / of(less)
}

// closed sends as fast as requests are answered.
func (b *bench) closed(ctx context.Context) error {
	bars := map[bool]map[int]float64{false: {1000: 8, 200: 6, 50: 6}, true: {1000: 15, 200: 15, 50: 15}}
	for _, http := range []bool{false, true} {
		for _, size := range []int{1000, 200, 50} {
			w := &workload{http: http, size: size, warm: b.warm, measure: b.measure}
			targets := append([]target{gatewayWith("gateway, memory", memory)}, rivals()...)
			r, err := b.turns(ctx, "closed", b.rounds, w, targets...)
			if err != nil {
				return err
			}
			b.report.atLeast(bars[http][size], times(r[1], r[0], (*result).cost), "times less CPU than GOGC=100, %s", w)
		}
	}
	return nil
}

// beside shows what else the gateway can be told, under the same load.
func (b *bench) beside(ctx context.Context) error {
	spool := gatewayWith("gateway, spool", "traces: {acknowledge: spool}")
	plain := gatewayWith("gateway, memory", memory)
	for _, size := range []int{1000, 200, 50} {
		if _, err := b.turns(ctx, "beside", 1, &workload{size: size, warm: b.warm, measure: b.measure}, spool); err != nil {
			return err
		}
	}
	ottl := gatewayWith("gateway, memory, one statement", memory+"\nclean: {traces: ['delete_key(span.attributes, \"user_agent.original\")']}")
	if _, err := b.turns(ctx, "beside", 1, &workload{size: 1000, warm: b.warm, measure: b.measure}, ottl); err != nil {
		return err
	}
	for _, compression := range []string{"gzip", "zstd"} {
		w := &workload{size: 1000, compression: compression, warm: b.warm, measure: b.measure}
		if _, err := b.turns(ctx, "beside", 1, w, plain, collector("100")); err != nil {
			return err
		}
	}
	return nil
}

// fixed sends at a rate, whether requests are answered or not.
func (b *bench) fixed(ctx context.Context) error {
	run := 3 * b.measure
	at := func(rate float64) *workload { return &workload{size: 1000, rate: rate, warm: b.warm, measure: run} }
	gateway := gatewayWith("gateway, memory", memory)
	if _, err := b.turns(ctx, "fixed", 1, at(200e3), gateway, collector("100"), collector("400")); err != nil {
		return err
	}
	r, err := b.turns(ctx, "fixed", 1, at(1e6), gateway)
	if err != nil {
		return err
	}
	if r[0] != nil {
		b.report.atLeast(0.99e6, r[0].perSecond(), "spans/s of 1 M/s sent")
		b.report.atMost(5, float64(r[0].quantile(0.99))/float64(time.Millisecond), "ms p99 at 1 M/s")
		b.report.atMost(60, r[0].resident, "MB of memory at 1 M/s")
	}
	if r, err = b.turns(ctx, "fixed", 1, at(2e6), gateway); err != nil {
		return err
	}
	if r[0] != nil {
		b.report.atLeast(1.98e6, r[0].perSecond(), "spans/s of 2 M/s sent")
	}
	return nil
}

// tail decides on whole traces, of which one half comes after the other.
func (b *bench) tail(ctx context.Context) error {
	w := &workload{size: 1000, rate: 100e3, window: b.window, warm: b.window + b.warm, measure: b.window + b.measure}
	targets := append([]target{gatewayWith("gateway, memory", memory)}, rivals()...)
	r, err := b.turns(ctx, "tail", 1, w, targets...)
	if err != nil {
		return err
	}
	cost, resident := (*result).cost, func(r *result) float64 { return r.resident }
	b.report.atLeast(6, times(r[1], r[0], cost), "times less CPU than GOGC=100, whole traces")
	b.report.atLeast(4, times(r[2], r[0], cost), "times less CPU than GOGC=400, whole traces")
	b.report.atLeast(8, times(r[1], r[0], resident), "times less memory than GOGC=100, whole traces")
	return nil
}
