package detect_test

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/detect"
)

func TestSeriesGoesOnAfterItWasRestored(t *testing.T) {
	x := daily(2, 3000)
	x[2000] += 80
	for _, cut := range []int{0, 1, 50, 1000, 2001} {
		var whole, first detect.Series
		want := observe(&whole, x)
		observe(&first, x[:cut])
		second, err := detect.RestoreSeries(first.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range x[cut:] {
			got := second.Observe(now.Add(time.Duration(cut+i)*step), v)
			if got != want[cut+i] {
				t.Fatalf("cut at %d: point %d: got %+v, want %+v", cut, cut+i, got, want[cut+i])
			}
		}
		if diff := cmp.Diff(second.Reasons(), whole.Reasons()); diff != "" {
			t.Errorf("cut at %d: reasons: got -, want +:\n%s", cut, diff)
		}
	}
}

func TestSeriesStateIsSmall(t *testing.T) {
	var s detect.Series
	observe(&s, daily(1, 5000))
	if got := len(s.Append(nil)); got > 3000 {
		t.Errorf("got %d bytes, want at most 3000", got)
	}
}

func TestRestoreSeriesRefusesWhatIsNone(t *testing.T) {
	var s detect.Series
	observe(&s, daily(1, 100))
	good := s.Append(nil)
	for _, tc := range []struct {
		name, want string
		state      []byte
	}{
		{"nothing", "version 1", nil},
		{"another version", "version 1", append([]byte{2}, good[1:]...)},
		{"half", "too little", good[:len(good)/2]},
		{"more", "more than a series", append(append([]byte{}, good...), 0)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := detect.RestoreSeries(tc.state)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error that says %q", err, tc.want)
			}
		})
	}
}

// FuzzRestoreSeries wants no panic, and of what it accepts, that it can be used
// and saved again.
func FuzzRestoreSeries(f *testing.F) {
	var s detect.Series
	f.Add(s.Append(nil))
	observe(&s, daily(1, 700))
	f.Add(s.Append(nil))
	f.Fuzz(func(t *testing.T, state []byte) {
		s, err := detect.RestoreSeries(state)
		if err != nil {
			return
		}
		for i, v := range []float64{1, -1e300, 0, 5} {
			sane(t, s.Observe(now.Add(time.Duration(i)*time.Hour), v))
		}
		s.Reasons()
		if _, err := detect.RestoreSeries(s.Append(nil)); err != nil {
			t.Errorf("got %v of a state of our own, want none", err)
		}
	})
}

// FuzzSeries takes points as they come, 16 bytes each: a time and a value.
func FuzzSeries(f *testing.F) {
	point := func(b []byte, at int64, v float64) []byte {
		b = binary.LittleEndian.AppendUint64(b, uint64(at))
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	var calm, wild []byte
	for i := range int64(200) {
		calm = point(calm, i*300e9, float64(i%12))
	}
	for i, v := range []float64{math.NaN(), math.Inf(1), -math.MaxFloat64, math.MaxFloat64, 5e-324, 0} {
		wild = point(wild, int64(i%3)*math.MaxInt64/2, v)
		wild = point(wild, math.MinInt64, -v)
	}
	f.Add(calm)
	f.Add(wild)
	f.Fuzz(func(t *testing.T, b []byte) {
		var s detect.Series
		for ; len(b) >= 16; b = b[16:] {
			at := time.Unix(0, int64(binary.LittleEndian.Uint64(b)))
			sane(t, s.Observe(at, math.Float64frombits(binary.LittleEndian.Uint64(b[8:]))))
		}
		s.Reasons()
		if _, err := detect.RestoreSeries(s.Append(nil)); err != nil {
			t.Errorf("got %v of a state of our own, want none", err)
		}
	})
}

func sane(t *testing.T, v detect.Verdict) {
	t.Helper()
	if !(v.Score >= 0 && v.Score <= 1) || !(v.Surprise >= 0) || math.IsInf(v.Surprise, 0) {
		t.Errorf("got %+v, want finite numbers in range", v)
	}
}
