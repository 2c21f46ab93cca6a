//go:build e2e

package e2e_test

import (
	"context"
	endian "encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
)

// errorSpans makes requests of spans that are always kept, whose ids never come
// again. It is safe for concurrent use.
type errorSpans struct {
	next atomic.Uint64
	size int
}

func (e *errorSpans) request(t *testing.T) (request []byte, first uint64) {
	t.Helper()
	first = e.next.Add(uint64(e.size)) - uint64(e.size) + 1
	spans := make([]*tracepb.Span, e.size)
	for i := range spans {
		var id [24]byte
		endian.BigEndian.PutUint64(id[8:], first+uint64(i))
		endian.BigEndian.PutUint64(id[16:], first+uint64(i))
		spans[i] = &tracepb.Span{
			TraceId: id[:16], SpanId: id[16:], Name: "POST /orders", Kind: tracepb.Span_SPAN_KIND_SERVER,
			StartTimeUnixNano: 1_800_000_000_000_000_000, EndTimeUnixNano: 1_800_000_000_010_000_000,
			Status: &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: "upstream answered 503"},
		}
	}
	request, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: spans}}}}})
	must(t, err)
	return request, first
}

// acknowledged remembers what a gateway said it took.
type acknowledged struct {
	mu    sync.Mutex
	first []uint64
	size  int
}

func (a *acknowledged) add(first uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.first = append(a.first, first)
}

func (a *acknowledged) spans() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.first) * a.size
}

// missing counts what the sink has not, and what it got more than once.
func (a *acknowledged) missing(s *sink) (missing, again int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, first := range a.first {
		for id := first; id < first+uint64(a.size); id++ {
			if s.spans[id] == 0 {
				missing++
			}
		}
	}
	for _, n := range s.spans {
		again += n - 1
	}
	return missing, again
}

// TestE2EGatewayLoss kills the gateway five times while its backend is dead and
// spans come: nothing that was acknowledged is missing in the end. The backend is
// dead for five seconds at 10,000 spans a second; with HOMEOSTAT_E2E_FULL in the
// environment for sixty at 50,000.
func TestE2EGatewayLoss(t *testing.T) {
	dead, rate := 5*time.Second, 10_000
	if os.Getenv("HOMEOSTAT_E2E_FULL") != "" {
		dead, rate = 60*time.Second, 50_000
	}
	const size, senders, kills = 500, 8, 5
	s := startSink(t, "127.0.0.1:0")
	addr := s.addr
	s.stop() // dead from the beginning
	dir := t.TempDir()
	load := &errorSpans{size: size}
	got := &acknowledged{size: size}
	due := make(chan struct{}, rate)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // requests are due at the rate, whether or not they are taken
		ticker := time.NewTicker(time.Second * size / time.Duration(rate))
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				select {
				case due <- struct{}{}:
				default:
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	for round := range kills {
		g := startGateway(t, dir, addr, "")
		c, err := otlp.NewClient(otlp.ClientOptions{Endpoint: g.grpc, Connections: 2})
		must(t, err)
		life := time.After(dead / kills)
		var sending sync.WaitGroup
		var taken atomic.Int64
		for range senders {
			sending.Go(func() {
				for {
					select {
					case <-due:
					case <-t.Context().Done():
						return
					}
					request, first := load.request(t)
					call, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					_, _, err := c.Export(call, otlp.SignalTraces, request)
					cancel()
					if err != nil {
						return // killed
					}
					got.add(first)
					taken.Add(1)
				}
			})
		}
		eventually(t, time.Minute, "some spans were taken", func() bool { return taken.Load() > 10 })
		<-life
		g.kill() // in the midst of it
		sending.Wait()
		must(t, c.Close())
		t.Logf("killed %d times, %d spans acknowledged", round+1, got.spans())
	}
	s = startSink(t, addr)
	g := startGateway(t, dir, addr, "")
	eventually(t, 5*time.Minute, "the backend has everything that was acknowledged", func() bool {
		if s.distinct() < got.spans() {
			return false // to compare millions would keep the sink from taking more
		}
		missing, _ := got.missing(s)
		return missing == 0
	})
	eventually(t, time.Minute, "the spool is empty", func() bool { return g.metric(`homeostat_gateway_spool_waiting_bytes{signal="traces"}`) == 0 })
	missing, again := got.missing(s)
	t.Logf("%d spans acknowledged, %d missing, %d came again", got.spans(), missing, again)
	if damaged := g.metric(`homeostat_gateway_spool_damaged_total{signal="traces"}`); damaged != 0 {
		t.Errorf("got %g damaged places in the spool, want none: a kill leaves only an unfinished end", damaged)
	}
}

// TestE2EGatewayDiskFull gives the spool a disk of its own that is too small for
// what it may hold.
func TestE2EGatewayDiskFull(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	must(t, os.Mkdir(data, 0o700))
	asRoot(t, "mount", "-t", "tmpfs", "-o", "size=4m,mode=0777", "tmpfs", data)
	t.Cleanup(func() { asRoot(t, "umount", "-l", data) })
	s := startSink(t, "127.0.0.1:0")
	addr := s.addr
	s.stop()
	g := startGateway(t, dir, addr, "traces: {spool_max_bytes: 67108864}\n")
	c, err := otlp.NewClient(otlp.ClientOptions{Endpoint: g.grpc})
	must(t, err)
	defer func() { must(t, c.Close()) }()
	load := &errorSpans{size: 500}
	got := &acknowledged{size: 500}
	refused := 0
	for refused < 20 {
		request, first := load.request(t)
		if _, _, err := c.Export(t.Context(), otlp.SignalTraces, request); err != nil {
			if !heal.Is(err, heal.Transient) {
				t.Fatalf("a full disk: got %v, want an error that asks for another try", err)
			}
			refused++
			continue
		}
		got.add(first)
	}
	if n := g.metric(`homeostat_gateway_spool_write_errors_total{signal="traces"}`); n < 20 {
		t.Errorf("got %g write errors counted, want the 20 that were answered at least", n)
	}
	s = startSink(t, addr)
	eventually(t, time.Minute, "the backend has everything that was acknowledged", func() bool {
		missing, _ := got.missing(s)
		return missing == 0
	})
	eventually(t, time.Minute, "requests are taken again", func() bool {
		request, first := load.request(t)
		if _, _, err := c.Export(t.Context(), otlp.SignalTraces, request); err != nil {
			return false
		}
		got.add(first)
		return true
	})
	eventually(t, time.Minute, "the backend has those too", func() bool {
		missing, _ := got.missing(s)
		return missing == 0
	})
	_, again := got.missing(s)
	t.Logf("%d spans acknowledged on a disk of 4 MB, none missing, %d came again", got.spans(), again)
}

// asRoot runs a program with the rights to mount.
func asRoot(t *testing.T, name string, args ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		name, args = "sudo", append([]string{"-n", name}, args...)
	}
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}
