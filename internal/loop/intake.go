package loop

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// delivery is a batch of alerts that was accepted and waits for the alert
// stage.
type delivery struct {
	ID       heal.DeliveryID `json:"id"`
	Source   string          `json:"source"`
	Received time.Time       `json:"received"`
	Alerts   []heal.Alert    `json:"alerts"`
}

var deliveryKind = store.Kind[delivery]{
	Table: store.Deliveries, Version: 1,
	Key:     func(d *delivery) string { return string(d.ID) },
	Columns: func(d *delivery) []any { return []any{d.Source, store.Nanos(d.Received)} },
	Append:  appendDelivery,
	Read:    readDelivery,
}

// appendDelivery writes a delivery as encoding/json would, the alerts last.
func appendDelivery(b []byte, d *delivery) ([]byte, error) {
	head, err := json.Marshal(deliveryHead{ID: d.ID, Source: d.Source, Received: d.Received})
	if err != nil {
		return nil, err
	}
	b = slices.Grow(b, len(d.Alerts)*alertSize)
	b = append(append(b, head[:len(head)-1]...), `,"alerts":[`...)
	for i := range d.Alerts {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = d.Alerts[i].AppendJSON(b); err != nil {
			return nil, err
		}
	}
	return append(b, `]}`...), nil
}

// alertSize is about what an alert takes when it is written, in bytes.
const alertSize = 1536

type deliveryHead struct {
	ID       heal.DeliveryID `json:"id"`
	Source   string          `json:"source"`
	Received time.Time       `json:"received"`
}

// readDelivery reads what appendDelivery wrote.
func readDelivery(data []byte) (d delivery, ok bool) {
	d.Alerts, ok = alert.ReadList(data, "alerts", func(name, value string) bool {
		switch name {
		case "id":
			return json.Unmarshal([]byte(value), &d.ID) == nil
		case "source":
			return json.Unmarshal([]byte(value), &d.Source) == nil
		case "received":
			return json.Unmarshal([]byte(value), &d.Received) == nil
		}
		return false
	})
	return d, ok
}

// backlog counts the deliveries that wait.
type backlog struct{ n atomic.Int64 }

func (b *backlog) set(n int64)  { b.n.Store(n) }
func (b *backlog) add(n int64)  { b.n.Add(n) }
func (b *backlog) count() int64 { return b.n.Load() }

// reserve takes a place among limit, false if all are taken.
func (b *backlog) reserve(limit int64) bool {
	if b.n.Add(1) <= limit {
		return true
	}
	b.n.Add(-1)
	return false
}

// Backlog is the number of accepted deliveries that wait for the alert stage.
func (l *Loop) Backlog() int64 { return l.backlog.count() }

// Accept makes alerts durable; when it returns nil they are on disk and will be
// handled, whatever happens. Above the bound on what may wait it answers with
// kind Transient: the sender is asked to try again. An alert that could not be
// stored later is refused now, with kind Invalid, and the others with it.
func (l *Loop) Accept(ctx context.Context, source string, alerts []heal.Alert) (err error) {
	if len(alerts) == 0 {
		return nil
	}
	defer func() { l.opts.Counters.taken(ctx, source, len(alerts), err) }()
	alerts = slices.Clone(alerts)
	for i := range alerts {
		if err := checkAlert(&alerts[i]); err != nil {
			return heal.Errorf(heal.Invalid, "accept alerts", "alert %d of %d from %s: %w", i+1, len(alerts), source, err)
		}
		l.place(&alerts[i].Scope)
	}
	d := delivery{ID: heal.DeliveryID(l.newID()), Source: source, Received: l.now(), Alerts: alerts}
	rec, err := deliveryKind.Encode(&d, store.Absent)
	if err != nil {
		return err
	}
	l.intake.RLock()
	defer l.intake.RUnlock()
	if !l.backlog.reserve(int64(l.opts.Backlog)) {
		return heal.Errorf(heal.Transient, "accept alerts", "%d deliveries wait already, which is the limit", l.opts.Backlog)
	}
	err = l.parts.Store.Update(ctx, func(tx store.Tx) error {
		_, err := tx.Put(store.Deliveries, rec)
		return err
	})
	if err != nil {
		l.backlog.add(-1)
		return heal.Wrap("accept alerts", err)
	}
	nudge(l.alerts)
	return nil
}

// maxIdentity bounds what alerts are found by, in bytes: every store can index
// so much beside a key.
const maxIdentity = 1500

// checkAlert refuses what no store could keep: one such alert would stop the
// alert stage for good.
func checkAlert(a *heal.Alert) error {
	for _, f := range []struct{ what, text string }{
		{"fingerprint", a.Fingerprint},
		{"source system", a.SourceSystem},
		{"name", a.Name},
		{"service", a.ServiceName},
		{"entity", string(a.Entity)},
		{"service of the scope", a.Scope.Service},
	} {
		switch {
		case len(f.text) > maxIdentity:
			return fmt.Errorf("the %s has %d bytes, at most %d are taken", f.what, len(f.text), maxIdentity)
		case strings.ContainsRune(f.text, 0):
			return fmt.Errorf("the %s has a NUL character", f.what)
		}
	}
	if a.Fingerprint == "" {
		return fmt.Errorf("it has no fingerprint, so nothing tells it from others")
	}
	return nil
}

// place fills in what a scope leaves open.
func (l *Loop) place(s *heal.Scope) {
	s.Tenant = cmp.Or(s.Tenant, l.opts.Scope.Tenant)
	s.Env = cmp.Or(s.Env, l.opts.Scope.Env)
	s.Cluster = cmp.Or(s.Cluster, l.opts.Scope.Cluster)
}
