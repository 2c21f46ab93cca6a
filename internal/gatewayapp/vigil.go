package gatewayapp

import (
	"context"
	"runtime"
	"time"
)

// vigil keeps the monitor thread of the Go runtime asleep while requests come.
//
// The runtime wakes that thread when it has work again after it had none, as
// between any two requests of a gateway that is not full, and for the next
// millisecond the thread looks every 20 us whether a processor (GOMAXPROCS) is
// stuck in a system call. That was a sixth of what a request of 50 spans costs. A
// processor that is within a system call is not idle; so vigil adds one, which
// sleeps in the kernel, while the others are those that were asked for.
type vigil struct {
	requests func() uint64 // taken so far
	nap      func()        // sleeps in the kernel for a few milliseconds
}

// lookEvery is how often it is seen whether requests come again, patience for how
// many naps they may stay away.
const (
	lookEvery = 50 * time.Millisecond
	patience  = 10
)

// run keeps the vigil until ctx ends. Meanwhile GOMAXPROCS is higher by one, and
// does not follow a processor limit that changes.
func (v *vigil) run(ctx context.Context) {
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	defer func() { runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) - 1) }()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for last := v.requests(); ; {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		quiet := patience
		for ctx.Err() == nil {
			if now := v.requests(); now != last {
				last, quiet = now, 0
			}
			if quiet >= patience {
				break
			}
			quiet++
			v.nap()
			runtime.Gosched() // the monitor takes a processor away, too, that stays with one goroutine
		}
	}
}
