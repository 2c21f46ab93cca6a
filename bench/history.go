package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
)

// measureHistory sends the same alerts to an empty store and to one that has
// seen many: what came before must not slow down what comes.
func measureHistory(ctx context.Context, o *options, r *report) error {
	dir := o.historyDir
	if dir == "" {
		dir = filepath.Join(o.dir, "history")
	}
	if err := fillHistory(ctx, dir, o.history, r); err != nil {
		return err
	}
	empty, err := rateOf(ctx, o, r, filepath.Join(o.dir, "history-none"), "nothing before")
	if err != nil {
		return err
	}
	full, err := rateOf(ctx, o, r, dir, fmt.Sprintf("%d alerts before", o.history))
	if err != nil {
		return err
	}
	r.atLeast(0.9, "intake with history, of that without", full/empty, "", fmt.Sprintf("%s of %s alerts/s", short(full), short(empty)))
	return nil
}

// rateOf is how many alerts never seen a server takes in a second. Others come
// before, so that the cases they belong to are open, whatever the store held.
func rateOf(ctx context.Context, o *options, r *report, dir, name string) (rate float64, err error) {
	s, err := up(ctx, o, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	rows, err := openRows(dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var out sent
	var began time.Time
	var waiting int
	for _, lasts := range []time.Duration{o.duration / 5, o.duration} {
		began = time.Now()
		first := int(began.Unix()) * 1_000_000 // so that a store that is kept has not seen them
		startsAt := began.UTC().Format(time.RFC3339Nano)
		out, err = post(ctx, s, o.conns, lasts, 1<<30, func(group int) []byte { return groupBody(first+group*groupSize, startsAt) })
		if err != nil {
			return 0, err
		}
		if waiting, err = rows.count(ctx, "delivery"); err != nil {
			return 0, err
		}
		if err := rows.drained(ctx); err != nil {
			return 0, err
		}
	}
	now, peak := s.memoryMB()
	r.add("ready, "+name, s.took.Seconds(), "s", "from exec to 200 of /readyz")
	r.add("alerts acknowledged, "+name, out.perSecond(), "alerts/s", fmt.Sprintf("%d alerts, POST of 50 p99 %s ms", out.alerts, short(quantile(out.posts, 0.99))))
	r.add("alerts through the alert stage, "+name, float64(out.alerts)/time.Since(began).Seconds(), "alerts/s", fmt.Sprintf("%s/s while sending", short(float64(out.alerts-waiting*groupSize)/out.took.Seconds())))
	r.add("resident memory, "+name, now, "MB", fmt.Sprintf("highest %.0f MB", peak))
	return out.perSecond(), nil
}

// fillHistory writes alerts that were resolved, unless the store has so many
// already.
func fillHistory(ctx context.Context, dir string, total int, r *report) (err error) {
	db, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(dir, "homeostat.db")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var have int64
	if err := db.View(ctx, func(r store.Reader) (err error) { have, err = r.Count(store.Alerts); return err }); err != nil {
		return err
	}
	const batch, tell = 2000, 1_000_000
	for from := int(have); from < total; from += batch {
		if from%tell < batch {
			r.say("history: %d of %d alerts", from, total)
		}
		err := db.Update(ctx, func(tx store.Tx) error {
			for i := from; i < from+batch; i++ {
				if err := pastAlert(tx, i, total); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pastAlert is an alert of the year before. The events of its life are kept for
// a month.
func pastAlert(tx store.Tx, i, total int) error {
	const year, kept = 364 * 24 * time.Hour, 28 * 24 * time.Hour
	now := time.Now()
	began := now.Add(-year).Add(year / time.Duration(total) * time.Duration(i)).UTC()
	ended := began.Add(4 * time.Minute)
	service := fmt.Sprintf("service-%d", i%services)
	hash := fnv.New64a()
	_, _ = fmt.Fprint(hash, i) // a hash takes everything
	a := heal.Alert{
		ID: heal.AlertID(fmt.Sprintf("01880000-0000-7000-8000-%012d", i)), Fingerprint: fmt.Sprintf("%016x", hash.Sum64()), SourceSystem: "alertmanager", Name: "HighLatency",
		Severity: heal.Warning, Status: heal.Resolved, ServiceName: service, Entity: heal.ServiceID(service), Scope: heal.DefaultScope.WithService(service),
		Timestamp: began, ReceivedAt: began, ResolvedAt: ended,
		Labels:      map[string]string{"alertname": "HighLatency", "instance": fmt.Sprintf("host-%d.example:8080", i), "job": "shop", "team": "checkout"},
		Description: "p99 of requests is over 500 ms for 5 minutes", Context: map[string]string{"runbook_url": "https://wiki.example/runbooks/latency"},
		Count: 1, Opened: 1, Events: 2,
	}
	if _, err := store.AlertKind.Put(tx, &a, store.Absent); err != nil {
		return err
	}
	if now.Sub(began) > kept {
		return nil
	}
	for seq, e := range []heal.AlertEvent{{At: began, Change: heal.AlertOpened, By: "alertmanager"}, {At: ended, Change: heal.AlertResolved, By: "alertmanager"}} {
		e.AlertID, e.Seq = a.ID, seq
		if _, err := store.AlertEventKind.Put(tx, &e, store.Absent); err != nil {
			return err
		}
	}
	return nil
}
