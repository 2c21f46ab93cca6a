package series

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/homeostat/homeostat/internal/heal"
)

// Remote is another store of metrics with the query API of Prometheus, asked
// besides the embedded one: Prometheus, Mimir, Thanos, VictoriaMetrics. Rules
// are evaluated over the embedded store alone, since a remote has its own,
// unless RulesOptions say otherwise.
type Remote struct {
	URL     string        // the API is below it, at /api/v1
	Token   string        // sent as a bearer token; empty: none
	Timeout time.Duration // of one question; 5 s
}

// maxRemoteAnswer bounds an answer of a remote, in bytes.
const maxRemoteAnswer = 64 << 20

// remote is a Remote ready to be asked.
type remote struct {
	address string
	token   string
	client  *http.Client
}

func newRemote(r Remote) (*remote, error) {
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, heal.Errorf(heal.Invalid, "open metrics store", "remote %q is not an http or https URL", r.URL)
	}
	if r.Timeout <= 0 {
		r.Timeout = 5 * time.Second
	}
	return &remote{address: strings.TrimRight(u.String(), "/") + "/api/v1/query", token: r.Token, client: &http.Client{Timeout: r.Timeout}}, nil
}

// ask gives the raw samples of a selector after one time up to another.
func (r *remote) ask(ctx context.Context, selector string, from, to int64) (model.Matrix, error) {
	form := url.Values{
		"query": {fmt.Sprintf("%s[%dms]", selector, max(to-from, 1))},
		"time":  {strconv.FormatFloat(float64(to)/1000, 'f', 3, 64)},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxRemoteAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxRemoteAnswer {
		return nil, fmt.Errorf("the answer has more than %d bytes", maxRemoteAnswer)
	}
	var answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   struct {
			Type   string       `json:"resultType"`
			Result model.Matrix `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, fmt.Errorf("it answered %s with what is not the JSON of a Prometheus API: %w", resp.Status, err)
	}
	if answer.Status != "success" || answer.Data.Type != "matrix" {
		return nil, fmt.Errorf("it answered %s: %s", resp.Status, answer.Error)
	}
	return answer.Data.Result, nil
}

// everywhere reads the embedded store and the remotes as one. A remote that
// does not answer is a warning: what only it knows is missing then, and a
// verdict over what is missing is unknown.
type everywhere struct {
	local   storage.Queryable
	remotes []*remote
}

func (e *everywhere) Querier(mint, maxt int64) (storage.Querier, error) {
	local, err := e.local.Querier(mint, maxt)
	if err != nil {
		return nil, err
	}
	others := make([]storage.Querier, 0, len(e.remotes))
	for _, r := range e.remotes {
		others = append(others, &remoteQuerier{remote: r, from: mint, to: maxt})
	}
	return storage.NewMergeQuerier([]storage.Querier{local}, others, storage.ChainedSeriesMerge), nil
}

// gaps is a Queryable that remembers what could not be read: to a rule, what is
// missing must not look like what is well.
type gaps struct {
	storage.Queryable

	mu     sync.Mutex
	missed []error
}

func (g *gaps) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := g.Queryable.Querier(mint, maxt)
	if err != nil {
		return nil, err
	}
	return &gapQuerier{Querier: q, gaps: g}, nil
}

func (g *gaps) err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return errors.Join(g.missed...)
}

type gapQuerier struct {
	storage.Querier
	gaps *gaps
}

func (q *gapQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	return &gapSet{SeriesSet: q.Querier.Select(ctx, sorted, hints, matchers...), gaps: q.gaps}
}

type gapSet struct {
	storage.SeriesSet
	gaps *gaps
}

func (s *gapSet) Next() bool {
	if s.SeriesSet.Next() {
		return true
	}
	s.gaps.mu.Lock()
	defer s.gaps.mu.Unlock()
	for _, w := range s.SeriesSet.Warnings().AsErrors() {
		if strings.HasPrefix(w.Error(), "ask ") {
			s.gaps.missed = append(s.gaps.missed, w)
		}
	}
	return false
}

// remoteQuerier reads one remote over one stretch of time.
type remoteQuerier struct {
	remote   *remote
	from, to int64
}

func (q *remoteQuerier) Select(ctx context.Context, _ bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	from, to := q.from, q.to
	if hints != nil {
		from, to = hints.Start, hints.End
	}
	parts := make([]string, len(matchers))
	for i, m := range matchers {
		parts[i] = m.String()
	}
	matrix, err := q.remote.ask(ctx, "{"+strings.Join(parts, ",")+"}", from-1, to) // the API leaves the left end out
	if err != nil {
		return storage.ErrSeriesSet(fmt.Errorf("ask %s: %w", q.remote.address, err))
	}
	list := make([]storage.Series, 0, len(matrix))
	for _, stream := range matrix {
		list = append(list, seriesOf(stream))
	}
	return newSeriesList(list)
}

// seriesOf converts floats; histograms cannot be asked for as such and are left
// to their store's own rules.
func seriesOf(stream *model.SampleStream) storage.Series {
	builder := labels.NewScratchBuilder(len(stream.Metric))
	for name, value := range stream.Metric {
		builder.Add(string(name), string(value))
	}
	builder.Sort()
	points := make([]chunks.Sample, 0, len(stream.Values))
	for _, v := range stream.Values {
		points = append(points, remotePoint{int64(v.Timestamp), float64(v.Value)})
	}
	return storage.NewListSeries(builder.Labels(), points)
}

func (*remoteQuerier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil // names and values are not asked for
}

func (*remoteQuerier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (*remoteQuerier) Close() error { return nil }

// remotePoint is one sample of a remote.
type remotePoint struct {
	at    int64
	value float64
}

func (p remotePoint) ST() int64                     { return 0 } // not known
func (p remotePoint) T() int64                      { return p.at }
func (p remotePoint) F() float64                    { return p.value }
func (p remotePoint) H() *histogram.Histogram       { return nil }
func (p remotePoint) FH() *histogram.FloatHistogram { return nil }
func (p remotePoint) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (p remotePoint) Copy() chunks.Sample           { return p }

// seriesList is a storage.SeriesSet over series in memory, in order of labels.
type seriesList struct {
	list []storage.Series
	at   int
}

func newSeriesList(list []storage.Series) *seriesList {
	slices.SortFunc(list, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return &seriesList{list: list, at: -1}
}

func (s *seriesList) Next() bool                      { s.at++; return s.at < len(s.list) }
func (s *seriesList) At() storage.Series              { return s.list[s.at] }
func (*seriesList) Err() error                        { return nil }
func (*seriesList) Warnings() annotations.Annotations { return nil }

// missed counts and tells the warnings of a query: what a remote did not say.
func (db *DB) missed(expr string, warnings annotations.Annotations) {
	for _, w := range warnings.AsErrors() {
		if !strings.HasPrefix(w.Error(), "ask ") {
			continue
		}
		db.silent.Add(1)
		db.opts.Logger.Warn("a remote store of metrics did not answer", slog.String("query", expr), slog.Any("error", w))
	}
}
