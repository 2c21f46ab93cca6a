package loop

import (
	"context"
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/detect"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Everybody who writes waits while a transaction of the alert stage is under
// way, senders of alerts and people among them, so it is kept short: it begins
// no further delivery after this time. A delivery is taken whole.
const takeFor = 5 * time.Millisecond

// deliveryPage is how many deliveries are read at once.
const deliveryPage = 32

// signal is a fault handed from the alert stage to the incident stage.
type signal struct {
	Key   string        `json:"key"`
	Kind  alert.Signal  `json:"kind"`
	Fault heal.Fault    `json:"fault"`
	Wait  time.Duration `json:"wait,omitempty"` // before a case of its own is worked on
}

var signalKind = store.Kind[signal]{
	Table: store.Faults, Version: 1,
	Key:     func(s *signal) string { return s.Key },
	Columns: func(s *signal) []any { return []any{string(s.Fault.Key.Entity), store.Nanos(s.Fault.Detected)} },
}

// takeDeliveries turns accepted deliveries into alerts with a life, and hands
// what began, changed or ended to the incident stage.
func (l *Loop) takeDeliveries(ctx context.Context) (rest time.Duration, err error) {
	if len(l.waiting) == 0 {
		err = l.parts.Store.View(ctx, func(r store.Reader) error {
			l.waiting, _, err = deliveryKind.List(r, store.Query{Order: "revision", Limit: deliveryPage})
			return err
		})
	}
	if err != nil || len(l.waiting) == 0 {
		return poll, err
	}
	var seen map[string]store.Stored[heal.Alert]
	taken, alerts, signals := 0, 0, 0
	err = l.parts.Store.Update(ctx, func(tx store.Tx) error {
		seen, taken, alerts, signals = map[string]store.Stored[heal.Alert]{}, 0, 0, 0
		for began := l.now(); taken < len(l.waiting) && (taken == 0 || l.now().Sub(began) < takeFor); taken++ {
			d := &l.waiting[taken].Value
			n, err := l.takeDelivery(tx, d, seen)
			if err != nil {
				return err
			}
			alerts += len(d.Alerts)
			signals += n
			if err := tx.Delete(store.Deliveries, string(d.ID)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.waiting = nil
	}
	if heal.Is(err, heal.Conflict) { // a person changed an alert we remembered
		l.known.forget()
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	l.waiting = l.waiting[taken:]
	l.known.remember(seen)
	l.backlog.add(-int64(taken))
	l.opts.Counters.batch(ctx, "alerts", alerts)
	if signals > 0 {
		nudge(l.faults)
	}
	return 0, nil
}

func (l *Loop) takeDelivery(tx store.Tx, d *delivery, seen map[string]store.Stored[heal.Alert]) (signals int, err error) {
	for i, in := range d.Alerts {
		prev, err := l.previous(tx, in.Fingerprint, seen)
		if err != nil {
			return 0, err
		}
		next, events, sig := alert.Apply(prev.value(), in, d.Received, func() heal.AlertID { return heal.AlertID(l.newID()) })
		revision, err := store.AlertKind.Put(tx, &next, prev.expect())
		if err != nil {
			return 0, err
		}
		seen[in.Fingerprint] = store.Stored[heal.Alert]{Value: next, Revision: revision}
		for k := range events {
			if _, err := store.AlertEventKind.Put(tx, &events[k], store.Any); err != nil {
				return 0, err
			}
		}
		if sig == alert.SignalNone {
			continue
		}
		if err := l.handOver(tx, fmt.Sprintf("%s/%06d", d.ID, i), sig, next); err != nil {
			return 0, err
		}
		signals++
	}
	return signals, nil
}

func (l *Loop) handOver(tx store.Tx, key string, kind alert.Signal, a heal.Alert) error {
	s := signal{Key: key, Kind: kind, Fault: detect.FromAlert(a, l.now())}
	_, err := signalKind.Put(tx, &s, store.Any)
	return err
}

// previousAlert is the alert of a fingerprint as it is now, if there is one.
type previousAlert struct {
	stored store.Stored[heal.Alert]
	exists bool
}

func (p previousAlert) value() *heal.Alert {
	if !p.exists {
		return nil
	}
	return &p.stored.Value
}

func (p previousAlert) expect() store.Revision {
	if !p.exists {
		return store.Absent
	}
	return p.stored.Revision
}

func (l *Loop) previous(tx store.Tx, fingerprint string, seen map[string]store.Stored[heal.Alert]) (previousAlert, error) {
	if s, ok := seen[fingerprint]; ok {
		return previousAlert{s, true}, nil
	}
	if s, ok := l.known.get(fingerprint); ok {
		return previousAlert{s, true}, nil
	}
	found, err := alertBy(tx, fingerprint)
	if heal.Is(err, heal.NotFound) {
		return previousAlert{}, nil
	}
	return previousAlert{found, err == nil}, err
}

// alertBy finds an alert by its fingerprint; kind NotFound if there is none.
func alertBy(r store.Reader, fingerprint string) (store.Stored[heal.Alert], error) {
	rows, _, err := store.AlertKind.List(r, store.Query{Where: []store.Cond{{Column: "fingerprint", Op: store.Eq, Value: fingerprint}}, Limit: 1})
	if err != nil {
		return store.Stored[heal.Alert]{}, err
	}
	if len(rows) == 0 {
		return store.Stored[heal.Alert]{}, heal.Errorf(heal.NotFound, "find alert", "none has the fingerprint %s", fingerprint)
	}
	return rows[0], nil
}

// recentAlerts remembers alerts as last written, so that repeats need no
// reading. It belongs to the alert stage alone; what others change meanwhile is
// found out by the revision.
type recentAlerts struct {
	young, old map[string]store.Stored[heal.Alert]
}

// recentLimit bounds each of the two generations.
const recentLimit = 20_000

func newRecentAlerts() *recentAlerts {
	return &recentAlerts{young: map[string]store.Stored[heal.Alert]{}}
}

func (r *recentAlerts) get(fingerprint string) (store.Stored[heal.Alert], bool) {
	if s, ok := r.young[fingerprint]; ok {
		return s, true
	}
	s, ok := r.old[fingerprint]
	return s, ok
}

func (r *recentAlerts) remember(seen map[string]store.Stored[heal.Alert]) {
	for fingerprint, s := range seen {
		if len(r.young) >= recentLimit {
			r.young, r.old = map[string]store.Stored[heal.Alert]{}, r.young
		}
		r.young[fingerprint] = s
	}
}

func (r *recentAlerts) forget() { *r = *newRecentAlerts() }
