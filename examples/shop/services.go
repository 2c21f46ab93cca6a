package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

func (p *process) frontend() {
	p.handle("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		cart, err := p.call(r.Context(), Cart, http.MethodGet, "/cart")
		p.reply(w, r, cart, err)
	})
	p.handle("POST /checkout", func(w http.ResponseWriter, r *http.Request) {
		if _, err := p.call(r.Context(), Cart, http.MethodPost, "/cart/reserve"); err != nil {
			p.reply(w, r, nil, err)
			return
		}
		receipt, err := p.call(r.Context(), Payment, http.MethodPost, "/pay")
		p.reply(w, r, receipt, err)
	})
}

func (p *process) cart() {
	p.handle("GET /cart", func(w http.ResponseWriter, r *http.Request) {
		stock, err := p.call(r.Context(), Inventory, http.MethodGet, "/stock")
		p.reply(w, r, stock, err)
	})
	p.handle("POST /cart/reserve", func(w http.ResponseWriter, r *http.Request) {
		stock, err := p.call(r.Context(), Inventory, http.MethodPost, "/stock/take")
		p.reply(w, r, stock, err)
	})
}

// accounts are the currencies payment keeps accounts in.
var accounts = []string{"EUR", "USD"}

func (p *process) payment() error {
	book, err := openLedger(p.file("ledger"))
	if err != nil {
		return err
	}
	p.ends = append(p.ends, book.close)
	set, err := openSettings(p.file("settings.json"), Settings{Currency: accounts[0]})
	if err != nil {
		return err
	}
	set.serve(p.admin)
	if err := p.watchSettings(set); err != nil {
		return err
	}
	p.handle("POST /pay", func(w http.ResponseWriter, r *http.Request) {
		currency := set.current().Value.Currency
		err := fmt.Errorf("there is no account in %s", currency)
		if slices.Contains(accounts, currency) {
			err = book.add("paid in " + currency)
		}
		p.reply(w, r, map[string]string{"receipt": "paid"}, err)
	})
	p.mux.HandleFunc("GET /readyz", p.desk.wrap(func(w http.ResponseWriter, _ *http.Request) {
		if err := book.check(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		answer(w, map[string]string{"status": "ok"})
	}))
	p.faults.tear = book.damage
	p.admin.HandleFunc("POST /ledger/repair", func(w http.ResponseWriter, _ *http.Request) {
		if err := book.repair(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, map[string]string{"ledger": "whole"})
	})
	return nil
}

// watchSettings measures when the settings were changed last.
func (p *process) watchSettings(set *settings) error {
	_, err := p.signals.meter.Float64ObservableGauge("service.config.change.time", metric.WithUnit("s"),
		metric.WithDescription("When the configuration was changed last, in seconds since 1970; 0: never."),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			seconds := 0.0
			if at := set.current().At; !at.IsZero() {
				seconds = float64(at.UnixNano()) / float64(time.Second)
			}
			o.Observe(seconds)
			return nil
		}))
	return err
}

// watchBoard measures which endpoints of upstreams with a backup are asked.
func (p *process) watchBoard() error {
	if len(p.service.Backups) == 0 {
		return nil
	}
	_, err := p.signals.meter.Int64ObservableGauge("upstream.endpoint.active", metric.WithUnit("{endpoint}"),
		metric.WithDescription("1 for the endpoint of an upstream that is asked, 0 for one that stands by."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for role, backup := range p.service.Backups {
				for _, base := range []string{p.service.Upstreams[role], backup} {
					active := int64(0)
					if base == p.board.url(role) {
						active = 1
					}
					o.Observe(active, metric.WithAttributes(attribute.String("upstream", string(role)), attribute.String("endpoint.service", p.config.nameAt(base))))
				}
			}
			return nil
		}))
	return err
}

func (p *process) inventory() error {
	db, err := openStockDB()
	if err != nil {
		return err
	}
	conns := newPool(p.service.Pool, db.dial)
	if err := p.watchPool(conns); err != nil {
		return errors.Join(err, db.listener.Close())
	}
	p.work = append(p.work, func(ctx context.Context) error {
		// Connections are closed last, or the database would wait for them.
		defer conns.recycle()
		return db.run(ctx)
	})
	p.handle("GET /stock", p.query(conns, "GET"))
	p.handle("POST /stock/take", p.query(conns, "TAKE"))

	p.faults.leak = func(n int) error { return leak(conns, n) }
	p.admin.HandleFunc("POST /pool/recycle", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]int{"closed": conns.recycle()})
	})
	return nil
}

// leak takes connections and forgets them, as a code path without a close does.
func leak(conns *pool, n int) error {
	size := conns.options.Size
	if n < 0 || n > size {
		return fmt.Errorf("connections is %d, expected 1 to %d, or 0 for all", n, size)
	}
	if n == 0 {
		n = size
	}
	for range n {
		if _, err := conns.take(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

// query asks the stock database over a connection of the pool.
func (p *process) query(conns *pool, verb string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, span := p.signals.tracer.Start(r.Context(), "acquire connection")
		conn, err := conns.take(ctx)
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
		if err != nil {
			p.reply(w, r, nil, err)
			return
		}
		left, err := ask(r.Context(), conn, verb, "book")
		if err != nil {
			conns.drop(conn)
			p.reply(w, r, nil, err)
			return
		}
		conns.put(conn)
		p.reply(w, r, map[string]int{"left": left}, nil)
	}
}

// watchPool measures the pool in the semantic conventions of OpenTelemetry.
func (p *process) watchPool(conns *pool) error {
	m := p.signals.meter
	count, err1 := m.Int64ObservableUpDownCounter("db.client.connection.count", metric.WithUnit("{connection}"),
		metric.WithDescription("Connections by state."))
	limit, err2 := m.Int64ObservableUpDownCounter("db.client.connection.max", metric.WithUnit("{connection}"),
		metric.WithDescription("The most open connections allowed."))
	pending, err3 := m.Int64ObservableUpDownCounter("db.client.connection.pending_requests", metric.WithUnit("{request}"),
		metric.WithDescription("Requests that wait for a connection."))
	timeouts, err4 := m.Int64ObservableCounter("db.client.connection.timeouts", metric.WithUnit("{timeout}"),
		metric.WithDescription("Requests that got no connection in time."))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	name := attribute.String("db.client.connection.pool.name", "stock")
	state := func(s string) metric.MeasurementOption {
		return metric.WithAttributes(name, attribute.String("db.client.connection.state", s))
	}
	_, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := conns.stats()
		o.ObserveInt64(count, int64(s.idle), state("idle"))
		o.ObserveInt64(count, int64(s.used), state("used"))
		o.ObserveInt64(limit, int64(s.max), metric.WithAttributes(name))
		o.ObserveInt64(pending, int64(s.pending), metric.WithAttributes(name))
		o.ObserveInt64(timeouts, s.timeouts, metric.WithAttributes(name))
		return nil
	}, count, limit, pending, timeouts)
	return err
}

// call asks an upstream; an answer other than 2xx is an error.
func (p *process) call(ctx context.Context, to Role, method, path string) (json.RawMessage, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.board.url(to)+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", to, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("call %s: read the answer: %w", to, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("call %s: %s %s answered %s", to, method, path, resp.Status)
	}
	return body, nil
}

// reply answers a request, and logs what went wrong with it.
func (p *process) reply(w http.ResponseWriter, r *http.Request, body any, err error) {
	if err == nil {
		answer(w, body)
		return
	}
	trace.SpanFromContext(r.Context()).RecordError(err)
	status := http.StatusBadGateway
	detail := []slog.Attr{slog.String("route", r.Pattern), slog.Any("error", err)}
	switch {
	case errors.Is(err, errExhausted):
		status = http.StatusServiceUnavailable
		p.signals.logger.LogAttrs(r.Context(), slog.LevelError, "connection pool exhausted", detail...)
	case errors.Is(err, errMemory):
		status = http.StatusServiceUnavailable
		p.signals.logger.LogAttrs(r.Context(), slog.LevelError, "out of memory", detail...)
	default:
		p.signals.logger.LogAttrs(r.Context(), slog.LevelError, "request failed", detail...)
	}
	http.Error(w, http.StatusText(status), status)
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	// An error here means that the client is gone: nobody is left to tell.
	_ = json.NewEncoder(w).Encode(body)
}

// sleep waits for d or until ctx ends, and reports whether ctx goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
