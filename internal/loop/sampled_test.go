package loop

import (
	"context"
	"time"

	"github.com/homeostat/homeostat/internal/verify"
)

// sampled is metrics of which only the times of the samples of one selector
// matter.
type sampled struct {
	Metrics
	at []time.Time
}

func (s sampled) Fresh(_ context.Context, expr string, _ map[string]string, from, to time.Time) ([]verify.Freshness, error) {
	f := verify.Freshness{Selector: expr}
	for _, at := range s.at {
		if !at.Before(from) && !at.After(to) && at.After(f.Newest) {
			f.Newest = at
		}
	}
	return []verify.Freshness{f}, nil
}
