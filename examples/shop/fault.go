package shop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"
)

// Fault is a bug that is switched on from outside, on the admin address. A new
// one replaces the one before, DELETE takes it away; what it has broken by then
// stays broken. A crash needs no fault: kill the process.
type Fault struct {
	// Kind is "pool_leak" (inventory: connections are taken and never given
	// back), "memory_leak" (each request keeps Bytes for ever), "deadlock" (the
	// process accepts connections and answers nothing), "torn_write" (payment:
	// the last record of the ledger is damaged), "latency" (every answer takes
	// Delay longer) or "errors" (the share Ratio of requests fails).
	Kind        string  `json:"kind"`
	Bytes       int64   `json:"bytes,omitempty"`       // memory_leak: at most 16 MiB
	Connections int     `json:"connections,omitempty"` // pool_leak: how many; 0: all
	Delay       string  `json:"delay,omitempty"`       // latency, as in "800ms"
	Ratio       float64 `json:"ratio,omitempty"`       // errors, 0 to 1
}

// faults is what is wrong with one process just now. Handlers ask it as they
// would run into a bug: silently.
type faults struct {
	delay atomic.Int64                // nanoseconds
	ratio atomic.Uint64               // parts of a million
	keeps atomic.Int64                // bytes a request
	leak  func(connections int) error // nil where there is no pool
	jam   func()
	tear  func() error // nil where there is no ledger
	keep  func(bytes int64)
}

// million is the unit of ratio.
const million = 1_000_000

func (f *faults) set(w http.ResponseWriter, r *http.Request) {
	var fault Fault
	if err := decode(r, &fault); err != nil {
		http.Error(w, "fault: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := f.apply(fault); err != nil {
		http.Error(w, "fault: "+err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (f *faults) apply(fault Fault) error {
	switch fault.Kind {
	case "pool_leak":
		if f.leak == nil {
			return errors.New("this service has no connection pool")
		}
		return f.leak(fault.Connections)
	case "memory_leak":
		if fault.Bytes <= 0 || fault.Bytes > 16<<20 {
			return fmt.Errorf("bytes is %d, expected more than 0 and at most 16 MiB", fault.Bytes)
		}
		f.reset()
		f.keeps.Store(fault.Bytes)
	case "deadlock":
		f.jam()
	case "torn_write":
		if f.tear == nil {
			return errors.New("this service has no ledger")
		}
		return f.tear()
	case "latency":
		delay, err := time.ParseDuration(fault.Delay)
		if err != nil || delay <= 0 || delay > time.Minute {
			return fmt.Errorf("delay is %q, expected more than 0 and at most 1m", fault.Delay)
		}
		f.reset()
		f.delay.Store(int64(delay))
	case "errors":
		if fault.Ratio <= 0 || fault.Ratio > 1 {
			return fmt.Errorf("ratio is %v, expected more than 0 and at most 1", fault.Ratio)
		}
		f.reset()
		f.ratio.Store(uint64(fault.Ratio * million))
	default:
		return fmt.Errorf("kind is %q, expected pool_leak, memory_leak, deadlock, torn_write, latency or errors", fault.Kind)
	}
	return nil
}

func (f *faults) clear(w http.ResponseWriter, _ *http.Request) {
	f.reset()
	w.WriteHeader(http.StatusNoContent)
}

func (f *faults) reset() {
	f.delay.Store(0)
	f.ratio.Store(0)
	f.keeps.Store(0)
}

// wrap runs into what is wrong before the handler does its work.
func (f *faults) wrap(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if delay := time.Duration(f.delay.Load()); delay > 0 {
			select {
			case <-time.After(delay):
			case <-r.Context().Done():
				return
			}
		}
		if ratio := f.ratio.Load(); ratio > 0 && rand.Uint64N(million) < ratio {
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		if bytes := f.keeps.Load(); bytes > 0 {
			f.keep(bytes)
		}
		h(w, r)
	}
}
