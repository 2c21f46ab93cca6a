package watch

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// missing stands for a value that is not there.
var missing = math.NaN()

// quote writes a label value as PromQL reads it.
func quote(value string) string { return strconv.Quote(strings.ToValidUTF8(value, "\uFFFD")) }

// gathered joins the samples of many metrics over the instances of a service:
// counters become rates and are summed, states are averaged. The caller holds
// mu.
func (w *Watcher) gathered(s Signal, samples []heal.Sample) []heal.Sample {
	type sum struct {
		sample heal.Sample
		n      float64
	}
	sums := map[string]*sum{}
	var key, whole strings.Builder
	for i := range samples {
		v := &samples[i]
		key.Reset()
		whole.Reset()
		key.WriteString(v.Metric)
		whole.WriteString(v.Metric)
		var labels []heal.Label
		for _, l := range v.Labels {
			text := "\x00" + l.Name + "\x00" + l.Value
			whole.WriteString(text)
			if l.Name == s.Entity || !instanceLabel(l.Name) {
				key.WriteString(text)
				labels = append(labels, l)
			}
		}
		value, counted := v.Value, grows(v.Metric)
		if counted {
			var ok bool
			if value, ok = w.rate(whole.String(), v); !ok {
				continue
			}
		}
		at := sums[key.String()]
		if at == nil {
			at = &sum{sample: heal.Sample{Metric: v.Metric, Labels: labels, At: v.At}}
			sums[key.String()] = at
		}
		at.sample.Value += value
		if at.n++; counted {
			at.n = 1
		}
	}
	out := make([]heal.Sample, 0, len(sums))
	for _, k := range slices.Sorted(maps.Keys(sums)) {
		at := sums[k]
		at.sample.Value /= at.n
		out = append(out, at.sample)
	}
	return out
}

// rate is by how much a counter of one instance grows in a second.
func (w *Watcher) rate(key string, v *heal.Sample) (float64, bool) {
	c := w.counters[key]
	if c == nil {
		if len(w.counters) >= cmp.Or(w.opts.MaxSeries, 1) {
			w.stats.Dropped++
			return 0, false
		}
		c = &counter{}
		w.counters[key] = c
	}
	c.seen = v.At
	return c.Observe(v.At, v.Value)
}
