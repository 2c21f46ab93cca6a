package wire

import (
	"math"
	"math/bits"
	"strconv"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// bounds are the upper bounds of the duration histograms, in seconds: those
// OpenTelemetry advises for http.server.request.duration, and two above for
// calls that hang until a timeout.
var bounds = [...]float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60}

// limits are the bounds as durations.
var limits = func() (l [len(bounds)]time.Duration) {
	for i, seconds := range bounds {
		l[i] = time.Duration(math.Round(seconds * float64(time.Second)))
	}
	return l
}()

// firstBucket is, for the number of bits of a duration, the first bucket it can
// be in.
var firstBucket = func() (first [65]uint8) {
	for n := range first {
		least := time.Duration(0)
		if n > 0 && n < 64 {
			least = 1 << (n - 1)
		}
		for int(first[n]) < len(limits) && least > limits[first[n]] {
			first[n]++
		}
	}
	return first
}()

// histogram counts durations; the last bucket is everything above the bounds.
type histogram struct {
	counts [len(bounds) + 1]uint64 // not cumulative
	count  uint64
	sum    float64 // seconds
}

func (h *histogram) observe(d time.Duration) {
	d = max(d, 0)
	i := int(firstBucket[bits.Len64(uint64(d))])
	for i < len(limits) && d > limits[i] {
		i++
	}
	h.counts[i]++
	h.count++
	h.sum += d.Seconds()
}

// family is the names and label sets of one histogram's series, made once.
type family struct {
	bucket, sum, count string
	labels             []heal.Label
	le                 [len(bounds) + 1][]heal.Label
}

func newFamily(name string, labels []heal.Label) *family {
	f := &family{bucket: name + "_bucket", sum: name + "_sum", count: name + "_count", labels: labels}
	for i := range f.le {
		le := "+Inf"
		if i < len(bounds) {
			le = strconv.FormatFloat(bounds[i], 'f', -1, 64)
		}
		f.le[i] = sortedLabels(append([]heal.Label{{Name: "le", Value: le}}, labels...)...)
	}
	return f
}

func (h *histogram) samples(f *family, at time.Time, out []heal.Sample) []heal.Sample {
	var below uint64
	for i, n := range h.counts {
		below += n
		out = append(out, heal.Sample{Metric: f.bucket, Labels: f.le[i], At: at, Value: float64(below)})
	}
	return append(
		out,
		heal.Sample{Metric: f.sum, Labels: f.labels, At: at, Value: h.sum},
		heal.Sample{Metric: f.count, Labels: f.labels, At: at, Value: float64(h.count)},
	)
}
