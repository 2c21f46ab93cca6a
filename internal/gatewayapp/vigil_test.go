package gatewayapp

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestVigil: it naps while requests come and only then, and leaves GOMAXPROCS
// as it was.
func TestVigil(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var requests atomic.Uint64
		naps := 0
		v := &vigil{requests: requests.Load, nap: func() {
			time.Sleep(5 * time.Millisecond)
			if naps++; naps < 20 {
				requests.Add(1)
			}
		}}
		over := make(chan struct{})
		go func() {
			v.run(ctx)
			close(over)
		}()
		time.Sleep(time.Second)
		synctest.Wait()
		if naps != 0 {
			t.Errorf("naps without a request: got %d, want none", naps)
		}
		if got := runtime.GOMAXPROCS(0); got != before+1 {
			t.Errorf("GOMAXPROCS meanwhile: got %d, want %d", got, before+1)
		}
		requests.Add(1)
		time.Sleep(time.Second)
		synctest.Wait()
		if want := 19 + patience; naps != want {
			t.Errorf("naps: got %d, want %d: as long as requests come, and a little longer", naps, want)
		}
		cancel()
		<-over
	})
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("GOMAXPROCS afterwards: got %d, want %d", got, before)
	}
}
