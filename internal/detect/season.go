package detect

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// seasonMemory is what a point weighs at least in what is usual at its time: of
// 20 days if there is one an hour.
const seasonMemory = 0.05

// Season compares a point with what the series usually is at that hour, of the
// day or of the week, in units of how far it usually is from that.
type Season struct {
	weekly bool
	hour   [7 * 24]struct{ level, spread average }
	spread average // over all hours
	value  float64
	usual  float64
	z      float64
}

// NewSeason takes each hour of the day for itself, or of the week if weekly is
// set, in UTC. A weekly one says nothing in its first two weeks.
func NewSeason(weekly bool) *Season { return &Season{weekly: weekly} }

// Observe implements Detector.
func (s *Season) Observe(at time.Time, v float64) float64 {
	if !finite(v) {
		return 0
	}
	v = bounded(v)
	h := &s.hour[s.at(at)]
	s.value, s.usual, s.z = v, h.level.mean, 0
	d := abs(v - s.usual)
	if h.level.n >= 2 && s.spread.n >= warm {
		// An hour has few points. Its spread is half that of all hours.
		s.z = units(v-s.usual, h.spread.mean/2+s.spread.mean/2)
	}
	if h.level.n > 0 {
		h.spread.add(d, seasonMemory)
		s.spread.add(d, longMemory)
	}
	h.level.add(v, seasonMemory)
	return abs(s.z)
}

func (s *Season) at(t time.Time) int {
	t = t.UTC()
	if s.weekly {
		return int(t.Weekday())*24 + t.Hour()
	}
	return t.Hour()
}

// Bar implements Detector.
func (s *Season) Bar() float64 { return 6 }

// Reason implements Detector.
func (s *Season) Reason() heal.Reason {
	return reason(MethodSeason, s.value, s.z, fmt.Sprintf("%s is %s usual deviations from %s, the usual at this hour",
		decimal(s.value), decimal(s.z), decimal(s.usual)))
}
