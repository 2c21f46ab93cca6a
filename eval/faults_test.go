package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/logmine"
)

// town is a made system of services that call each other at random, recorded
// in spans, logs and metrics, with a fault of a kind in one of them. No two
// towns are alike, so nothing can be fitted to one.
type town struct {
	r       *rand.Rand
	calls   [][]int
	kind    string  // of fault
	at      int     // service with the fault
	share   float64 // of requests that meet it
	faulty  bool    // it is there
	work    logmine.Work
	numbers int
}

const townSize = 12

func newTown(seed uint64, kind string, share float64) *town {
	w := &town{r: rand.New(rand.NewPCG(seed, 5)), calls: make([][]int, townSize), kind: kind, share: share}
	for i := 1; i < townSize; i++ {
		from := w.r.IntN(i)
		w.calls[from] = append(w.calls[from], i)
		if also := w.r.IntN(i); also != from && w.r.Float64() < 0.3 {
			w.calls[also] = append(w.calls[also], i)
		}
	}
	w.at = 1 + w.r.IntN(townSize-1)
	return w
}

func townService(i int) string { return fmt.Sprintf("svc-%c", 'a'+i) }

func (w *town) meets(service int, kinds ...string) bool {
	return w.faulty && service == w.at && slices.Contains(kinds, w.kind) && w.r.Float64() < w.share
}

// visit is a request to a service: how long it took and whether it failed.
func (w *town) visit(trace, parent string, service int, start time.Time) (time.Duration, bool) {
	w.numbers++
	self := time.Duration(5e6 * math.Exp(0.4*w.r.NormFloat64()))
	if w.meets(service, "slow") {
		self += 150 * time.Millisecond
	}
	span := heal.Span{TraceID: trace, SpanID: fmt.Sprint(w.numbers), ParentID: parent, Service: townService(service), Operation: "/handle", Kind: heal.SpanServer, Start: start}
	t := start
	say := func(format string, args ...any) {
		w.work.Logs = append(w.work.Logs, heal.LogRecord{Time: t, Service: span.Service, TraceID: trace, SpanID: span.SpanID, Body: fmt.Sprintf(format, args...)})
	}
	say("INFO handling request %d of user %d", w.r.IntN(1000), w.r.IntN(99))
	t = t.Add(self / 2)
	early := w.meets(service, "ends early")
	if span.Error = w.meets(service, "exception"); span.Error {
		say("ERROR unexpected state in handler: java.lang.IllegalStateException: no such thing")
	} else if !early {
		say("INFO loaded data set %d", w.r.IntN(1000))
	}
	for _, callee := range w.calls[service] {
		if span.Error || w.r.Float64() < 0.2 {
			continue
		}
		span.Error = w.call(trace, span, callee, &t)
		if span.Error {
			say("ERROR call to %s failed", townService(callee))
		}
	}
	t = t.Add(self / 2)
	if !span.Error && !early {
		say("INFO request is done")
	}
	span.Duration = t.Sub(start)
	w.work.Spans = append(w.work.Spans, span)
	return span.Duration, span.Error
}

// call calls a service from a span at t, which moves on.
func (w *town) call(trace string, from heal.Span, callee int, t *time.Time) (failed bool) {
	w.numbers++
	s := heal.Span{TraceID: trace, SpanID: fmt.Sprint(w.numbers), ParentID: from.SpanID, Service: from.Service, Operation: "HTTP GET", Kind: heal.SpanClient, Start: *t, Attributes: map[string]string{"server.address": townService(callee)}}
	if w.meets(callee, "down") {
		failed = true
	} else {
		way := time.Millisecond
		if w.meets(callee, "slow network") {
			way += 200 * time.Millisecond
		}
		var took time.Duration
		took, failed = w.visit(trace, s.SpanID, callee, t.Add(way))
		*t = t.Add(way + took)
	}
	*t = t.Add(time.Millisecond)
	s.Duration, s.Error = t.Sub(s.Start), failed
	w.work.Spans = append(w.work.Spans, s)
	return failed
}

// minute records some requests.
func (w *town) minute(name string, from time.Time) logmine.Work {
	w.work = logmine.Work{}
	for i := range 80 {
		w.visit(fmt.Sprintf("%s%d", name, i), "", 0, from.Add(time.Duration(i)*700*time.Millisecond))
	}
	return w.work
}

// pods are the metrics up to a time.
func (w *town) pods(until time.Time) []nezhaPod {
	var pods []nezhaPod
	for i := range townSize {
		pod := nezhaPod{townService(i), map[string][]cause.Sample{}}
		for m := -60; m < 2; m++ {
			at := until.Add(time.Duration(m)*time.Minute - 20*time.Second)
			cpu, memory := 5+2*math.Abs(w.r.NormFloat64()), 40+w.r.NormFloat64()
			switch {
			case m < -1 || i != w.at || !w.faulty:
			case w.kind == "CPU used up":
				cpu = 90
			case w.kind == "memory used up":
				memory = 95
			}
			pod.series["CpuUsageRate(%)"] = append(pod.series["CpuUsageRate(%)"], cause.Sample{At: at, Value: cpu})
			pod.series["MemoryUsageRate(%)"] = append(pod.series["MemoryUsageRate(%)"], cause.Sample{At: at, Value: memory})
		}
		pods = append(pods, pod)
	}
	return pods
}

// ask asks what is wrong, by some of the signals.
func (w *town) ask(at time.Time, keep func(*logmine.Work)) heal.Diagnosis {
	w.faulty = false
	normal := w.minute("n", at.Add(-30*time.Minute))
	w.faulty = w.kind != ""
	now := w.minute("f", at.Add(-time.Minute))
	if keep != nil {
		keep(&now)
		keep(&normal)
	}
	return cause.Rank(nezhaInput(at, now, normal, w.pods(at)))
}

// TestFaultsOfManyKinds asks in made systems, by the adapter of a set and the
// ranking of the product, for faults no set has. By chance one may stay hidden
// behind another: most must come first, and all but one among the first three.
func TestFaultsOfManyKinds(t *testing.T) {
	const towns = 8
	withoutLogs := func(w *logmine.Work) { w.Logs = nil }
	withoutSpans := func(w *logmine.Work) { w.Spans = nil }
	tests := []struct {
		name, kind string
		share      float64
		keep       func(*logmine.Work)
	}{
		{"slow", "slow", 1, nil},
		{"slow, by spans", "slow", 1, withoutLogs},
		{"half of the requests are slow", "slow", 0.5, nil},
		{"a slow network", "slow network", 1, nil},
		{"exceptions", "exception", 1, nil},
		{"exceptions in half of the requests, by spans", "exception", 0.5, withoutLogs},
		{"exceptions, by logs", "exception", 1, withoutSpans},
		{"requests that end early", "ends early", 1, nil},
		{"requests that end early, by logs", "ends early", 0.5, withoutSpans},
		{"down", "down", 1, nil},
		{"down, by spans", "down", 0.5, withoutLogs},
		{"CPU used up", "CPU used up", 1, nil},
		{"memory used up", "memory used up", 1, nil},
		{"memory used up, by metrics", "memory used up", 1, func(w *logmine.Work) { *w = logmine.Work{} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var h hits
			for seed := range uint64(towns) {
				at := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(seed) * 1000 * time.Hour)
				w := newTown(seed, tt.kind, tt.share)
				h.add(petPlace(w.ask(at, tt.keep), townService(w.at)))
			}
			if h.first < towns-2 || h.third < towns-1 {
				t.Errorf("got %d first and %d among the first three of %d, want %d and %d at least", h.first, h.third, towns, towns-2, towns-1)
			}
		})
	}
	t.Run("nothing is wrong", func(t *testing.T) {
		named := 0
		for seed := range uint64(towns) {
			if d := newTown(seed, "", 0).ask(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), nil); len(d.Causes) > 0 {
				named++
			}
		}
		if named > 1 {
			t.Errorf("got a cause in %d of %d, want one at most", named, towns)
		}
	})
}
