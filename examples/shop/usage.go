package shop

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// watchProcess measures the CPU and memory of this process in the semantic
// conventions of OpenTelemetry. Memory is read from /proc and left out where
// there is none.
func watchProcess(m metric.Meter, limit int64) error {
	cpu := &usage{at: time.Now(), used: cpuTime()}
	_, err := m.Float64ObservableGauge("process.cpu.utilization", metric.WithUnit("1"),
		metric.WithDescription("CPU time used since the last look, of all cores."),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(cpu.share(time.Now()))
			return nil
		}))
	if err != nil {
		return err
	}
	_, err = m.Int64ObservableUpDownCounter("process.memory.usage", metric.WithUnit("By"),
		metric.WithDescription("Resident memory."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			if bytes, ok := resident(); ok {
				o.Observe(bytes)
			}
			return nil
		}))
	if err != nil {
		return err
	}
	_, err = m.Float64ObservableGauge("process.memory.utilization", metric.WithUnit("1"),
		metric.WithDescription("Resident memory as a share of what the process may use."),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			if bytes, ok := resident(); ok {
				o.Observe(float64(bytes) / float64(limit))
			}
			return nil
		}))
	if err != nil {
		return err
	}
	_, err = m.Int64ObservableUpDownCounter("go.memory.limit", metric.WithUnit("By"),
		metric.WithDescription("What the process may use."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(limit)
			return nil
		}))
	return err
}

type usage struct {
	mu   sync.Mutex
	at   time.Time
	used time.Duration
}

func (u *usage) share(now time.Time) float64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	used := cpuTime()
	wall := now.Sub(u.at).Seconds() * float64(runtime.NumCPU())
	busy := (used - u.used).Seconds()
	u.at, u.used = now, used
	if wall <= 0 {
		return 0
	}
	return busy / wall
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func resident() (int64, bool) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0, false
	}
	return pages * int64(os.Getpagesize()), true
}
