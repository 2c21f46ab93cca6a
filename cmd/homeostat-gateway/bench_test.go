package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/otlp/otlptest"
)

// cpuSeconds is the processor time a process has used, from its stat file, whose
// unit is the hundredth of a second.
func cpuSeconds(tb testing.TB, pid int) float64 {
	tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		tb.Fatal(err)
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+2:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

// resident is the most memory a process had, in MB.
func resident(tb testing.TB, pid int) float64 {
	tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(text)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

// discard is a backend that takes everything.
type discard struct{ requests atomic.Int64 }

func (d *discard) Take(context.Context, otlp.Signal, []byte) (int, error) {
	d.requests.Add(1)
	return 1, nil
}

// BenchmarkGateway sends to the real process as fast as it answers, over four
// connections, and prints what the process used. The generator and the backend
// share the machine with it.
func BenchmarkGateway(b *testing.B) {
	backend := otlp.NewRaw(otlp.Options{GRPCAddr: "127.0.0.1:0"}, &discard{})
	if err := backend.Listen(); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- backend.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			b.Error(err)
		}
	})
	for _, mode := range []string{"memory", "spool", "whole"} {
		for _, protocol := range []string{"grpc", "http"} {
			for _, size := range []int{1000, 200, 50} {
				b.Run(fmt.Sprintf("%s/%s/spans=%d", mode, protocol, size), func(b *testing.B) {
					benchGateway(b, backend.Addrs().GRPC, mode, protocol, size)
				})
			}
		}
	}
}

func benchGateway(b *testing.B, backend, mode, protocol string, size int) {
	more := "traces: {acknowledge: " + mode + "}\n"
	if mode == "whole" {
		more = "traces: {acknowledge: memory}\nsampling: {whole_traces: true, window: 1s}\n"
	}
	file := filepath.Join(b.TempDir(), "gateway.yaml")
	configure(b, file, backend, more)
	p := startGateway(b, file)
	endpoint := otlp.ClientOptions{Endpoint: p.grpc, Connections: 4}
	if protocol == "http" {
		endpoint = otlp.ClientOptions{Endpoint: "http://" + p.http, HTTP: true, Connections: 16}
	}
	client, err := otlp.NewClient(endpoint)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	g := otlptest.New(rand.New(rand.NewPCG(1, 2)))
	requests := make([][]byte, 32_000/size)
	for i := range requests {
		requests[i] = g.Request(b, size)
	}
	var next atomic.Int64
	var mu sync.Mutex
	var latencies []time.Duration
	send := func(n int) {
		var senders sync.WaitGroup
		until := next.Load() + int64(n)
		for range 8 {
			senders.Go(func() {
				var mine []time.Duration
				for i := next.Add(1); i <= until; i = next.Add(1) {
					begin := time.Now()
					if _, _, err := client.Export(b.Context(), otlp.SignalTraces, requests[int(i)%len(requests)]); err != nil {
						b.Error(err)
						return
					}
					mine = append(mine, time.Since(begin))
				}
				mu.Lock()
				defer mu.Unlock()
				latencies = append(latencies, mine...)
			})
		}
		senders.Wait()
	}
	send(100_000 / size) // warm
	latencies = nil
	before := cpuSeconds(b, p.cmd.Process.Pid)
	b.ResetTimer()
	send(b.N)
	b.StopTimer()
	spans := float64(b.N * size)
	slices.Sort(latencies)
	b.ReportMetric((cpuSeconds(b, p.cmd.Process.Pid)-before)/spans*1e6, "CPU-s/Mspan")
	b.ReportMetric(spans/b.Elapsed().Seconds(), "spans/s")
	b.ReportMetric(float64(latencies[len(latencies)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(resident(b, p.cmd.Process.Pid), "RSS-MB")
}
