package telemetry

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// LogQuery asks for log records. Every field that is set must be met.
type LogQuery struct {
	Service  string
	Host     string
	Instance string
	// Keyword asks for bodies that hold each of its words, in any order,
	// whatever the case; a word that ends in * stands for all that begin so.
	// Any text is allowed. A word of a script written without spaces, and a
	// keyword without any letter or digit, is found anywhere in the body.
	Keyword     string
	MinSeverity int // SeverityNumber of OpenTelemetry: 9 info, 13 warn, 17 error
	TraceID     string
	From        time.Time // inclusive; zero: from the oldest
	To          time.Time // exclusive; zero: to the newest
	Limit       int       // 0 or above MaxLimit: MaxLimit
}

// Normalise fills the defaults in; the kind is Invalid if the query makes no
// sense.
func (q LogQuery) Normalise() (LogQuery, error) {
	var err error
	if q.Limit, err = window("query logs", q.From, q.To, q.Limit); err != nil {
		return q, err
	}
	if q.MinSeverity < 0 || q.MinSeverity > 24 {
		return q, heal.Errorf(heal.Invalid, "query logs", "severity %d, expected 1 to 24 or 0 for any", q.MinSeverity)
	}
	if len(q.Keyword) > maxKeyword {
		return q, heal.Errorf(heal.Invalid, "query logs", "a keyword of %d bytes, expected at most %d", len(q.Keyword), maxKeyword)
	}
	return q, nil
}

const maxKeyword = 1024

// Order says which spans come first.
type Order string

// The orders of spans.
const (
	NewestFirst  Order = "newest"
	SlowestFirst Order = "slowest"
)

// SpanQuery asks for spans. Every field that is set must be met.
type SpanQuery struct {
	Service     string
	Operation   string
	Kind        heal.SpanKind
	OnlyErrors  bool
	MinDuration time.Duration
	From        time.Time // start time, inclusive; zero: from the oldest
	To          time.Time // start time, exclusive; zero: to the newest
	Order       Order     // NewestFirst if empty
	Limit       int       // 0 or above MaxLimit: MaxLimit
}

// Normalise fills the defaults in; the kind is Invalid if the query makes no
// sense.
func (q SpanQuery) Normalise() (SpanQuery, error) {
	var err error
	if q.Limit, err = window("query spans", q.From, q.To, q.Limit); err != nil {
		return q, err
	}
	switch q.Order {
	case "":
		q.Order = NewestFirst
	case NewestFirst, SlowestFirst:
	default:
		return q, heal.Errorf(heal.Invalid, "query spans", "order %q, expected %s or %s", q.Order, NewestFirst, SlowestFirst)
	}
	return q, nil
}

func window(op string, from, to time.Time, limit int) (int, error) {
	switch {
	case limit < 0:
		return 0, heal.Errorf(heal.Invalid, op, "limit %d, expected 1 to %d", limit, MaxLimit)
	case !from.IsZero() && !to.IsZero() && !from.Before(to):
		return 0, heal.Errorf(heal.Invalid, op, "from %s is not before to %s", from.Format(time.RFC3339Nano), to.Format(time.RFC3339Nano))
	case limit == 0 || limit > MaxLimit:
		return MaxLimit, nil
	}
	return limit, nil
}
