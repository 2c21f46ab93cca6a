package loop

import (
	"context"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/detect"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Everybody who writes waits while a transaction of the alert stage is under
// way, senders of alerts and people among them, so it is kept short: how many
// alerts it takes follows from how long the ones before took. A delivery is
// taken whole.
const (
	takeFor   = 5 * time.Millisecond
	firstTake = 100 // alerts
	mostTake  = 1000
)

// deliveryPage is how many deliveries are read at once.
const deliveryPage = 32

// takeDeliveries turns accepted deliveries into alerts with a life, and hands
// what began, changed or ended to the incident stage.
func (l *Loop) takeDeliveries(ctx context.Context) (rest time.Duration, err error) {
	if err := l.readDeliveries(ctx); err != nil {
		return 0, err
	}
	more, err := l.sweep(ctx)
	switch {
	case err != nil || more && len(l.waiting) == 0:
		return 0, err
	case len(l.waiting) == 0:
		return poll, nil
	}
	taken := l.waiting[:l.portion()]
	t, err := l.prepare(ctx, taken)
	if err != nil {
		return 0, err
	}
	var took time.Duration
	var revisions []store.Revision
	err = l.parts.Store.Update(ctx, func(tx store.Tx) error {
		began := l.now()
		if err := l.parts.Share.Fence(tx, dutySignals); err != nil {
			return err
		}
		revisions, err = t.write(tx)
		took = l.now().Sub(began)
		return err
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
	l.learnPace(took)
	l.waiting = l.waiting[len(taken):]
	l.remembers(t, revisions)
	l.backlog.add(-int64(len(taken)))
	l.opts.Counters.batch(ctx, "alerts", t.alerts)
	if t.signals > 0 {
		nudge(l.faults)
	}
	return 0, nil
}

// readDeliveries reads what waits, unless what was read is not taken yet.
func (l *Loop) readDeliveries(ctx context.Context) error {
	if len(l.waiting) > 0 {
		return nil
	}
	var waiting []store.Stored[delivery]
	err := l.parts.Store.View(ctx, func(r store.Reader) (err error) {
		if waiting, _, err = deliveryKind.List(r, store.Query{Order: "revision", Limit: deliveryPage}); err != nil {
			return err
		}
		return l.readSilences(r)
	})
	if err == nil {
		l.waiting = waiting
	}
	return err
}

// portion is how many of the waiting deliveries go into one transaction.
func (l *Loop) portion() (n int) {
	for alerts := 0; n < len(l.waiting); n++ {
		alerts += len(l.waiting[n].Value.Alerts)
		if n > 0 && alerts > l.pace {
			break
		}
	}
	return n
}

// learnPace fits the portion to the time that one took.
func (l *Loop) learnPace(took time.Duration) {
	switch {
	case took > takeFor:
		l.pace = max(1, l.pace*3/4)
	case took < takeFor/2:
		l.pace = min(mostTake, l.pace+l.pace/4+1)
	}
}

// taking is what one transaction of the alert stage writes, made before it
// begins so that nobody waits for it.
type taking struct {
	next    []*heal.Alert // as they are after it
	records []store.Record
	events  []store.Record
	handed  []store.Record
	taken   []string // keys of deliveries
	alerts  int
	signals int
}

func (t *taking) write(tx store.Tx) ([]store.Revision, error) {
	revisions := make([]store.Revision, len(t.records))
	for i, rec := range t.records {
		var err error
		if revisions[i], err = tx.Put(store.Alerts, rec); err != nil {
			return nil, err
		}
	}
	for _, part := range []struct {
		table   store.Table
		records []store.Record
	}{{store.AlertEvents, t.events}, {store.Faults, t.handed}} {
		for _, rec := range part.records {
			if _, err := tx.Put(part.table, rec); err != nil {
				return nil, err
			}
		}
	}
	for _, key := range t.taken {
		if err := tx.Delete(store.Deliveries, key); err != nil {
			return nil, err
		}
	}
	return revisions, nil
}

// prepare takes each alert of the deliveries into its life. Of an alert that is
// in them several times only the last state is written, and all its history.
func (l *Loop) prepare(ctx context.Context, deliveries []store.Stored[delivery]) (*taking, error) {
	before, err := l.former(ctx, deliveries)
	if err != nil {
		return nil, err
	}
	t := &taking{}
	now := map[string]*heal.Alert{}
	var were []store.Stored[heal.Alert] // what each takes the place of; Absent: nothing
	var events []heal.AlertEvent
	var signals []signal
	for i := range deliveries {
		d := &deliveries[i].Value
		t.taken = append(t.taken, string(d.ID))
		t.alerts += len(d.Alerts)
		for k := range d.Alerts {
			in := &d.Alerts[k]
			a := now[in.Fingerprint]
			if a == nil {
				a = &heal.Alert{}
				now[in.Fingerprint] = a
				t.next = append(t.next, a)
				were = append(were, store.Stored[heal.Alert]{Revision: store.Absent})
			}
			prev := a
			if a.ID == "" {
				prev = nil
				if known, ok := before[in.Fingerprint]; ok {
					were[len(were)-1] = known
					prev = &known.Value
				}
			}
			next, happened, kind := alert.Apply(prev, *in, d.Received, func() heal.AlertID { return heal.AlertID(l.newID()) })
			next, happened, kind = l.hush.silences.Hold(next, happened, kind, l.now())
			*a = next
			events = append(events, happened...)
			if kind != alert.SignalNone {
				signals = append(signals, signal{Kind: kind, Fault: detect.FromAlert(next, l.now())})
			}
		}
	}
	t.signals = len(signals)
	return t, t.encode(were, events, handOver(t.taken[0], signals))
}

func (t *taking) encode(were []store.Stored[heal.Alert], events []heal.AlertEvent, handed []handover) (err error) {
	t.records = make([]store.Record, len(t.next))
	for i, a := range t.next {
		if t.records[i], err = store.AlertKind.Replace(were[i], a); err != nil {
			return err
		}
	}
	t.events = make([]store.Record, len(events))
	for i := range events {
		if t.events[i], err = store.AlertEventKind.Encode(&events[i], store.Any); err != nil {
			return err
		}
	}
	t.handed = make([]store.Record, len(handed))
	for i := range handed {
		if t.handed[i], err = handoverKind.Encode(&handed[i], store.Any); err != nil {
			return err
		}
	}
	return nil
}

// former gives the alerts that the deliveries speak of, by fingerprint: as
// remembered, else as stored.
func (l *Loop) former(ctx context.Context, deliveries []store.Stored[delivery]) (map[string]store.Stored[heal.Alert], error) {
	out := map[string]store.Stored[heal.Alert]{}
	asked := map[string]bool{}
	var ask []string
	for i := range deliveries {
		for k := range deliveries[i].Value.Alerts {
			fingerprint := deliveries[i].Value.Alerts[k].Fingerprint
			if asked[fingerprint] {
				continue
			}
			asked[fingerprint] = true
			if known, ok := l.known.get(fingerprint); ok {
				out[fingerprint] = known
			} else {
				ask = append(ask, fingerprint)
			}
		}
	}
	if len(ask) == 0 {
		return out, nil
	}
	return out, l.parts.Store.View(ctx, func(r store.Reader) error {
		for some := range slices.Chunk(ask, store.MaxPage) {
			found, err := alertsBy(r, some)
			if err != nil {
				return err
			}
			for _, a := range found {
				out[a.Value.Fingerprint] = a
			}
		}
		return nil
	})
}

// alertKind is the store's, read fast.
var alertKind = func() store.Kind[heal.Alert] {
	k := store.AlertKind
	k.Read = alert.Read
	return k
}()

// alertsBy finds alerts by their fingerprints, at most a page of them.
func alertsBy(r store.Reader, fingerprints []string) ([]store.Stored[heal.Alert], error) {
	found, _, err := alertKind.List(r, store.Query{
		Where: []store.Cond{{Column: "fingerprint", Op: store.In, Value: fingerprints}}, Order: "fingerprint", Limit: len(fingerprints),
	})
	return found, err
}

// recentLimit bounds the alerts remembered as last written, in each of two
// generations, so that repeats need no reading. What others change meanwhile is
// found out by the revision.
const recentLimit = 20_000
