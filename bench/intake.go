package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"
)

// measureIntake sends alerts as fast as they are acknowledged: first ones never
// seen, then the same again. An acknowledged alert is on disk; how fast the
// stages behind keep up is told apart.
func measureIntake(ctx context.Context, o *options, r *report) (err error) {
	dir := filepath.Join(o.dir, "intake")
	s, err := up(ctx, o, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	rows, err := openRows(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()

	startsAt := time.Now().UTC().Format(time.RFC3339Nano)
	body := func(group int) []byte { return groupBody(group*groupSize, startsAt) }
	fresh, err := phase(ctx, s, rows, o, r, "fresh", 1<<30, body)
	if err != nil {
		return err
	}
	groups := fresh / groupSize
	repeated, err := phase(ctx, s, rows, o, r, "repeated", 1<<30, func(group int) []byte { return body(group % groups) })
	if err != nil {
		return err
	}
	now, peak := s.memoryMB()
	r.add("resident memory after intake", now, "MB", fmt.Sprintf("highest %.0f MB", peak))
	return rows.complete(ctx, fresh, fresh+repeated)
}

// phase sends for a while, then waits until everything is processed.
func phase(ctx context.Context, s *server, rows *rows, o *options, r *report, name string, groups int, body func(int) []byte) (alerts int, err error) {
	began, used := time.Now(), s.cpu()
	out, err := post(ctx, s, o.conns, o.duration, groups, body)
	if err != nil {
		return 0, err
	}
	waiting, err := rows.count(ctx, "delivery")
	if err != nil {
		return 0, err
	}
	acknowledging := s.cpu() - used
	during := float64(out.alerts-waiting*groupSize) / out.took.Seconds()
	if err := rows.drained(ctx); err != nil {
		return 0, err
	}
	all := time.Since(began)
	lag := all - out.took
	each := float64((s.cpu() - used).Microseconds()) / float64(out.alerts)
	note := fmt.Sprintf("%d alerts, %d connections", out.alerts, o.conns)
	if out.busy > 0 {
		note += fmt.Sprintf(", %d calls told to come later", out.busy)
	}
	r.atLeast(20_000, name+" alerts acknowledged, durable", out.perSecond(), "alerts/s", note)
	r.add(name+" alerts, POST of 50 p50", quantile(out.posts, 0.50), "ms", "")
	r.add(name+" alerts, POST of 50 p99", quantile(out.posts, 0.99), "ms", "")
	r.add(name+" alerts through the alert stage", float64(out.alerts)/all.Seconds(), "alerts/s", fmt.Sprintf("%s/s while sending", short(during)))
	r.add(name+" alerts, backlog gone after the last POST", lag.Seconds(), "s", fmt.Sprintf("%d deliveries waited", waiting))
	r.add(name+" alerts, processor time from POST to case", each, "us/alert", fmt.Sprintf("of all cores; %s s while sending", short(acknowledging.Seconds())))
	return out.alerts, nil
}

// rows reads the server's file beside it.
type rows struct{ db *sql.DB }

func openRows(dir string) (*rows, error) {
	u := url.URL{Scheme: "file", OmitHost: true, Path: filepath.Join(dir, "homeostat.db"), RawQuery: "mode=ro&_pragma=busy_timeout(5000)"}
	db, err := sql.Open("sqlite", u.String()) // the driver of store/sqlite
	return &rows{db}, err
}

func (r *rows) Close() error { return r.db.Close() }

func (r *rows) count(ctx context.Context, table string) (n int, err error) {
	err = r.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM "`+table+`"`).Scan(&n)
	return n, err
}

// drained waits until no delivery waits.
func (r *rows) drained(ctx context.Context) error {
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		n, err := r.count(ctx, "delivery")
		if err != nil || n == 0 {
			return err
		}
		if time.Since(began) > 3*time.Minute {
			return fmt.Errorf("%d deliveries still wait after 3 minutes", n)
		}
	}
}

// complete checks that nothing acknowledged was lost or counted twice.
func (r *rows) complete(ctx context.Context, alerts, deliveries int) error {
	kept, err := r.count(ctx, "alert")
	if err != nil {
		return err
	}
	events, err := r.count(ctx, "alert_event")
	if err != nil {
		return err
	}
	if kept != alerts || events != deliveries {
		return fmt.Errorf("%d alerts with %d events are kept, %d and %d were acknowledged", kept, events, alerts, deliveries)
	}
	return nil
}
