package series

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/homeostat/homeostat/internal/heal"
)

// Series is one element of a query's result.
type Series struct {
	Labels map[string]string `json:"labels"`
	Points []Point           `json:"points"` // one for an instant query
}

// Point is one value at one time.
type Point struct {
	At    time.Time `json:"at"`
	Value float64   `json:"value"`
}

// maxExpr is the length of the longest expression taken, in bytes.
const maxExpr = 64 << 10

// maxPoints is how many steps a range query may have, as in Prometheus.
const maxPoints = 11_000

// Check says what is wrong with a PromQL expression, with line and column.
func (db *DB) Check(expr string) error {
	_, err := db.parse(expr)
	return err
}

func (db *DB) parse(expr string) (parser.Expr, error) {
	const op = "parse PromQL"
	if len(expr) > maxExpr {
		return nil, heal.Errorf(heal.Invalid, op, "the expression has %d bytes, at most %d are taken", len(expr), maxExpr)
	}
	parsed, err := db.parser.ParseExpr(expr)
	if err != nil {
		return nil, heal.Errorf(heal.Invalid, op, "%w", err)
	}
	return parsed, nil
}

// Instant evaluates expr at one time. A scalar is one element without labels.
func (db *DB) Instant(ctx context.Context, expr string, at time.Time) ([]Series, error) {
	if err := db.Check(expr); err != nil {
		return nil, err
	}
	query, err := db.engine.NewInstantQuery(ctx, db.asked, nil, expr, at)
	if err != nil {
		return nil, queryError(expr, err)
	}
	return db.run(ctx, expr, query)
}

// Range evaluates expr at every step from from to to.
func (db *DB) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) ([]Series, error) {
	if err := db.Check(expr); err != nil {
		return nil, err
	}
	switch {
	case step <= 0:
		return nil, heal.Errorf(heal.Invalid, "query range", "the step is %s, it must be above zero", step)
	case to.Before(from):
		return nil, heal.Errorf(heal.Invalid, "query range", "the end %s is before the start %s", to, from)
	case to.Sub(from)/step >= maxPoints:
		return nil, heal.Errorf(heal.Invalid, "query range", "a step of %s makes more than %d points; take a longer one", step, maxPoints)
	}
	query, err := db.engine.NewRangeQuery(ctx, db.asked, nil, expr, from, to, step)
	if err != nil {
		return nil, queryError(expr, err)
	}
	return db.run(ctx, expr, query)
}

// Holds reports whether the result of expr at a time has an element that is
// the one match speaks of. Labels of match that an element does not have were
// added by the rule, not by its expression, and do not count against it: in
// doubt a condition holds.
func (db *DB) Holds(ctx context.Context, expr string, match map[string]string, at time.Time) (bool, error) {
	result, err := db.Instant(ctx, expr, at)
	if err != nil {
		return false, err
	}
	for _, s := range result {
		if agrees(s.Labels, match) {
			return true, nil
		}
	}
	return false, nil
}

func agrees(element, match map[string]string) bool {
	for name, want := range match {
		if got, ok := element[name]; ok && got != want && name != labels.AlertName {
			return false
		}
	}
	return true
}

// enter waits for a place among the running queries.
func (db *DB) enter(ctx context.Context) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, db.opts.QueryTimeout)
	defer cancel()
	select {
	case db.queries <- struct{}{}:
		return func() { <-db.queries }, nil
	case <-ctx.Done():
		return nil, heal.Errorf(heal.Transient, "query metrics", "%d queries are running, the most allowed", db.opts.MaxQueries)
	}
}

func (db *DB) run(ctx context.Context, expr string, query promql.Query) ([]Series, error) {
	defer query.Close()
	leave, err := db.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	result := query.Exec(ctx)
	if result.Err != nil {
		return nil, queryError(expr, result.Err)
	}
	db.missed(expr, result.Warnings)
	return toSeries(expr, result.Value)
}

func toSeries(expr string, v parser.Value) ([]Series, error) {
	switch v := v.(type) {
	case promql.Scalar:
		return []Series{{Labels: map[string]string{}, Points: []Point{{time.UnixMilli(v.T).UTC(), v.V}}}}, nil
	case promql.Vector:
		out := make([]Series, 0, len(v))
		for _, s := range v {
			if s.H != nil {
				return nil, rawHistogram(expr, s.Metric)
			}
			out = append(out, Series{Labels: s.Metric.Map(), Points: []Point{{time.UnixMilli(s.T).UTC(), s.F}}})
		}
		return out, nil
	case promql.Matrix:
		out := make([]Series, 0, len(v))
		for _, s := range v {
			if len(s.Histograms) > 0 {
				return nil, rawHistogram(expr, s.Metric)
			}
			points := make([]Point, 0, len(s.Floats))
			for _, p := range s.Floats {
				points = append(points, Point{time.UnixMilli(p.T).UTC(), p.F})
			}
			out = append(out, Series{Labels: s.Metric.Map(), Points: points})
		}
		return out, nil
	}
	return nil, heal.Errorf(heal.Invalid, "query metrics", "%s: the result is a %s, expected numbers", expr, v.Type())
}

func rawHistogram(expr string, metric labels.Labels) error {
	return heal.Errorf(heal.Invalid, "query metrics",
		"%s: %s is a native histogram; wrap it in histogram_quantile, histogram_count or histogram_sum", expr, metric)
}

func queryError(expr string, err error) error {
	kind := heal.Invalid
	var (
		timeout  promql.ErrQueryTimeout
		canceled promql.ErrQueryCanceled
		storage  promql.ErrStorage
	)
	switch {
	case errors.As(err, &timeout), errors.As(err, &canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		kind = heal.Transient
	case errors.As(err, &storage):
		kind = heal.Internal
	}
	return heal.Errorf(kind, "query metrics", "%s: %w", expr, err)
}
