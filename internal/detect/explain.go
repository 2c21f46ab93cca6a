package detect

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/homeostat/homeostat/internal/heal"
)

// Reasons say which members were surprised by the last point and by what, the
// loudest first; none if nothing was unusual.
func (s *Series) Reasons() []heal.Reason {
	var spoke []member
	for m := range members {
		if s.voice[m] > 0 {
			spoke = append(spoke, m)
		}
	}
	slices.SortStableFunc(spoke, func(a, b member) int {
		switch {
		case s.voice[a] > s.voice[b]:
			return -1
		case s.voice[a] < s.voice[b]:
			return 1
		}
		return 0
	})
	var out []heal.Reason
	for _, m := range spoke {
		points := math.Exp(min(s.voice[m], math.Log(1e9)))
		out = append(out, heal.Reason{
			Code: string(memberMethods[m]),
			Text: fmt.Sprintf("%s: as unusual as once in %s points.", s.say(m), roughly(points)),
			Data: map[string]any{"value": s.last, "surprise": s.voice[m], "once_in_points": points},
		})
	}
	return out
}

// say is what a member saw, as the beginning of a sentence.
func (s *Series) say(m member) string {
	switch m {
	case memberDay:
		lo, hi := s.day.bounds(dayShape, int(s.bin))
		return fmt.Sprintf("%s is new at this time of day, now seen from %s to %s within two hours of it",
			decimal(s.last), decimal(s.raw(lo)), decimal(s.raw(hi)))
	case memberMonth:
		return decimal(s.last) + " is out of what the last weeks had at this time of day"
	case memberLevel:
		older, newer := s.level.halves()
		return fmt.Sprintf("the mean of the last %d points, %s, is far from the usual %s",
			levelWindow, decimal(s.raw(older/2+newer/2)), decimal(s.raw(s.level.long.mean)))
	case memberChange:
		older, newer := s.level.halves()
		return fmt.Sprintf("the mean of the last %d points, %s, is far from %s of the %d before",
			levelWindow/2, decimal(s.raw(newer)), decimal(s.raw(older)), levelWindow/2)
	case memberValue:
		return decimal(s.last) + " is a value not seen for long, or never"
	case memberShort:
		return fmt.Sprintf("the mean of the last %d points is one not seen for long, or never", shortWindow)
	case members:
	}
	return "unknown"
}

// raw puts a value back into the units of the series.
func (s *Series) raw(x float64) float64 { return s.origin + x*s.unit }

// decimal writes a number with four digits that matter.
func decimal(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

// roughly writes a count with one digit that matters, for people.
func roughly(n float64) string {
	if n < 1 {
		n = 1
	}
	scale := math.Pow(10, math.Floor(math.Log10(n)))
	return strconv.FormatFloat(math.Round(n/scale)*scale, 'f', 0, 64)
}
