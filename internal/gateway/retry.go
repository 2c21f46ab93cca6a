package gateway

import "time"

// RetryOptions say how a call is tried again; a zero field takes its default.
type RetryOptions struct {
	Tries  int           // 3, the first one included
	First  time.Duration // 100 ms before the second try
	Most   time.Duration // 10 s between two tries
	Factor float64       // 2
	Jitter float64       // 0.1: the share by which a wait is longer or shorter
}

func (o RetryOptions) withDefaults() RetryOptions {
	if o.Tries <= 0 {
		o.Tries = 3
	}
	if o.First <= 0 {
		o.First = 100 * time.Millisecond
	}
	if o.Most <= 0 {
		o.Most = 10 * time.Second
	}
	if o.Factor < 1 {
		o.Factor = 2
	}
	if o.Jitter <= 0 || o.Jitter > 1 {
		o.Jitter = 0.1
	}
	return o
}

// wait is how long to wait after so many failures, at least one; chance is
// between 0 and 1.
func (o RetryOptions) wait(failures int, chance float64) time.Duration {
	wait := float64(o.First)
	for range failures - 1 {
		if wait *= o.Factor; wait >= float64(o.Most) {
			wait = float64(o.Most)
			break
		}
	}
	return time.Duration(wait * (1 + o.Jitter*(2*chance-1)))
}
