package heal

import (
	"fmt"
	"time"
)

// Label is one name and value of a metric series.
type Label struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Sample is one value of one metric series. Labels is shared between samples
// of one series and must not be changed by the receiver.
type Sample struct {
	Metric string    `json:"metric"` // Prometheus name, without labels
	Labels []Label   `json:"labels"` // sorted by name, no empty values
	At     time.Time `json:"at"`
	Value  float64   `json:"value"`
}

// Rejected says that part of a batch of telemetry was refused for good and the
// rest was taken. Its kind is Invalid for callers that cannot tell a part from
// the whole; those that can find it with errors.AsType.
type Rejected struct {
	Count  int    // spans, data points or log records, never negative
	Reason string // a plain sentence, for the sender
}

func (r *Rejected) Error() string {
	return fmt.Sprintf("%d rejected: %s", r.Count, r.Reason)
}

// As lets KindOf see an Error of kind Invalid.
func (r *Rejected) As(target any) bool {
	into, ok := target.(**Error)
	if ok {
		*into = &Error{Kind: Invalid, Err: r}
	}
	return ok
}
