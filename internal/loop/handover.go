package loop

import (
	"fmt"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// signal is a fault handed from the alert stage to the incident stage.
type signal struct {
	Kind  alert.Signal  `json:"kind"`
	Fault heal.Fault    `json:"fault"`
	Wait  time.Duration `json:"wait,omitempty"` // before a case of its own is worked on
}

// handover is a batch of signals that waits for the incident stage, in the
// order they came.
type handover struct {
	Key     string   `json:"key"`
	Signals []signal `json:"signals"`
}

var handoverKind = store.Kind[handover]{
	Table: store.Faults, Version: 1,
	Key: func(h *handover) string { return h.Key },
	Columns: func(h *handover) []any {
		return []any{string(h.Signals[0].Fault.Key.Entity), store.Nanos(h.Signals[0].Fault.Detected)}
	},
}

// handoverSize bounds the signals of one batch.
const handoverSize = 50

// handOver puts signals into batches; what they come from names them.
func handOver(from string, signals []signal) (out []handover) {
	for some := range slices.Chunk(signals, handoverSize) {
		out = append(out, handover{Key: fmt.Sprintf("%s/%06d", from, len(out)), Signals: some})
	}
	return out
}

// handOverOne writes a batch of one signal.
func handOverOne(tx store.Tx, from string, s signal) error {
	_, err := handoverKind.Put(tx, &handover{Key: from, Signals: []signal{s}}, store.Any)
	return err
}
