package wire

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// threadCPU is the processor time of this thread, which the goroutine keeps.
func threadCPU(b *testing.B) time.Duration {
	b.Helper()
	runtime.LockOSThread()
	b.Cleanup(runtime.UnlockOSThread)
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_THREAD, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkScan is what the gateway does with a request before it is batched. It
// prints processor time too, which a busy machine disturbs less.
func BenchmarkScan(b *testing.B) {
	for _, size := range []int{1000, 200, 50} {
		b.Run(fmt.Sprintf("spans=%d", size), func(b *testing.B) {
			g := newTraffic()
			requests := make([][]byte, 2*1000/size) // 840 KB: what was just received lies in the cache
			var bytes int
			for i := range requests {
				requests[i] = g.Request(b, size)
				bytes += len(requests[i])
			}
			perSpan := func(b *testing.B, cpu time.Duration) {
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/span")
				b.ReportMetric(float64((threadCPU(b)-cpu).Nanoseconds())/float64(b.N*size), "cpu-ns/span")
			}
			sampler := NewSampler(SamplerOptions{Rate: 0.05, Slow: 1e9})
			var out []byte
			b.Run("memcpy", func(b *testing.B) {
				buffer := make([]byte, 1<<20)
				cpu := threadCPU(b)
				b.ResetTimer()
				for i := range b.N {
					copy(buffer, requests[i%len(requests)])
				}
				perSpan(b, cpu)
				b.ReportMetric(float64(bytes)/float64(size*len(requests)), "B/span")
			})
			b.Run("scan", func(b *testing.B) {
				s := new(Scanner)
				b.ReportAllocs()
				cpu := threadCPU(b)
				b.ResetTimer()
				for i := range b.N {
					var err error
					if out, _, err = s.Scan(requests[i%len(requests)], sampler, out[:0]); err != nil {
						b.Fatal(err)
					}
				}
				perSpan(b, cpu)
			})
			b.Run("scan+RED", func(b *testing.B) {
				s, a, now := new(Scanner), New(Options{}, start), start
				b.ReportAllocs()
				cpu := threadCPU(b)
				b.ResetTimer()
				for i := range b.N {
					var err error
					if out, _, err = s.Scan(requests[i%len(requests)], sampler, out[:0]); err != nil {
						b.Fatal(err)
					}
					a.Take(s)
					if i%(1000*1000/size) == 0 { // a flush each million spans
						now = now.Add(a.opts.PendingFor)
						a.Flush(now)
					}
				}
				perSpan(b, cpu)
			})
		})
	}
}
