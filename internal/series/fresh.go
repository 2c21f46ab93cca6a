package series

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/homeostat/homeostat/internal/heal"
)

// Freshness says how new the evidence of one part of an expression is.
type Freshness struct {
	Selector string    `json:"selector"` // PromQL, narrowed to the series that were looked at
	Series   int       `json:"series"`   // those with a sample in the time asked for
	Newest   time.Time `json:"newest"`   // zero if there is none
}

// Newest gives, for every vector selector of expr, the time of its newest
// sample from from to to. Selectors are narrowed to the series match speaks
// of, by those of its labels that their series have: others were made by an
// aggregation or by a rule. A selector with an offset is looked at that much
// earlier, and its answer moved to the time it stands for. One pinned to a
// fixed time with @ says nothing about now and is left out.
func (db *DB) Newest(ctx context.Context, expr string, match map[string]string, from, to time.Time) ([]Freshness, error) {
	parsed, err := db.parse(expr)
	if err != nil {
		return nil, err
	}
	leave, err := db.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, db.opts.QueryTimeout)
	defer cancel()

	out := []Freshness{}
	for _, s := range selectors(parsed) {
		fresh, err := db.newest(ctx, s, match, from, to)
		if err != nil {
			return nil, heal.Wrap("look for fresh samples of "+s.vector.String(), err)
		}
		if !slices.Contains(out, fresh) {
			out = append(out, fresh)
		}
	}
	return out, nil
}

// selector is a vector selector and how far back it looks from where it stands.
type selector struct {
	vector *parser.VectorSelector
	offset time.Duration
}

func selectors(expr parser.Expr) []selector {
	var out []selector
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		vector, ok := node.(*parser.VectorSelector)
		if !ok || vector.Timestamp != nil {
			return nil
		}
		s := selector{vector, vector.OriginalOffset}
		for _, above := range path {
			if sub, ok := above.(*parser.SubqueryExpr); ok {
				if sub.Timestamp != nil {
					return nil
				}
				s.offset += sub.OriginalOffset
			}
		}
		out = append(out, s)
		return nil
	})
	return out
}

func (db *DB) newest(ctx context.Context, s selector, match map[string]string, from, to time.Time) (Freshness, error) {
	low, high := from.Add(-s.offset).UnixMilli(), to.Add(-s.offset).UnixMilli()
	if from.UnixMilli() < 0 || low > high {
		return Freshness{}, heal.Errorf(heal.Invalid, "find samples", "the time from %s to %s is empty", from, to)
	}
	hints := &storage.SelectHints{Start: low, End: high}
	matchers, err := db.narrow(ctx, hints, s.vector.LabelMatchers, match)
	if err != nil {
		return Freshness{}, err
	}
	narrowed := *s.vector
	narrowed.LabelMatchers = matchers
	fresh := Freshness{Selector: narrowed.String()}

	set, done, err := db.find(ctx, hints, matchers)
	if err != nil {
		return Freshness{}, err
	}
	defer done()
	newest := int64(-1)
	for set.Next() {
		at := lastSample(set.At().Iterator(nil), low, high)
		if at >= 0 {
			fresh.Series++
		}
		newest = max(newest, at)
	}
	if newest >= 0 {
		fresh.Newest = time.UnixMilli(newest).Add(s.offset).UTC()
	}
	db.missed(fresh.Selector, set.Warnings())
	return fresh, set.Err()
}

// find gives the series that match; done must be called.
func (db *DB) find(ctx context.Context, hints *storage.SelectHints, matchers []*labels.Matcher) (_ storage.SeriesSet, done func(), err error) {
	q, err := db.asked.Querier(hints.Start, hints.End)
	if err != nil {
		return nil, nil, err
	}
	return q.Select(ctx, false, hints, matchers...), func() { _ = q.Close() }, nil // of a read: nothing is lost
}

// narrow adds to a selector's matchers those of match that apply to its series.
func (db *DB) narrow(ctx context.Context, hints *storage.SelectHints, matchers []*labels.Matcher, match map[string]string) ([]*labels.Matcher, error) {
	if len(match) == 0 {
		return matchers, nil
	}
	set, done, err := db.find(ctx, hints, matchers)
	if err != nil {
		return nil, err
	}
	defer done()
	names := map[string]bool{}
	for set.Next() {
		for name := range match {
			if set.At().Labels().Has(name) {
				names[name] = true
			}
		}
	}
	out := slices.Clone(matchers)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if name == labels.AlertName || name == model.MetricNameLabel {
			continue
		}
		m := labels.MustNewMatcher(labels.MatchEqual, name, match[name])
		if !slices.ContainsFunc(out, func(known *labels.Matcher) bool { return known.String() == m.String() }) {
			out = append(out, m)
		}
	}
	return out, set.Err()
}

// lastSample is the time of the newest sample from low to high, -1 if there is
// none. The mark a series gets when it ends is not a sample.
func lastSample(it chunkenc.Iterator, low, high int64) int64 {
	newest := int64(-1)
	var native *histogram.FloatHistogram // used again and again
	for kind := it.Seek(low); kind != chunkenc.ValNone && it.AtT() <= high; kind = it.Next() {
		v, at := 0.0, it.AtT()
		if kind == chunkenc.ValFloat {
			_, v = it.At()
			native = nil
		} else {
			_, native = it.AtFloatHistogram(native)
		}
		if !isMark(v, nil, native) {
			newest = at
		}
	}
	return newest
}
