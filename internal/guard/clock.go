package guard

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Clock says whether the time can be trusted; store.Clock does.
type Clock interface {
	// Moved gives by how much the store's clock is ahead of the time that passed
	// (negative: behind), and since when; 0 if the two agree.
	Moved() (by time.Duration, since time.Time)
}

// Move is by how much a clock is ahead of the time that passed.
type Move struct {
	By    time.Duration // negative: it is behind
	Since time.Time
}

// String says it to the second: moved by +1h0m0s at ...
func (m Move) String() string {
	sign := ""
	if m.By > 0 {
		sign = "+"
	}
	return fmt.Sprintf("moved by %s%s at %s", sign, m.By.Round(time.Second), clock(m.Since))
}

// unmoved holds back what automation begins while nobody can say how late it
// is: a budget or a cool-down may be over by the clock and not by the time that
// passed. Runs under way end, and people may act.
func unmoved(q *question) Verdict {
	if q.Moved.By == 0 || !automated(&q.Request, &q.History) {
		return Verdict{}
	}
	v := refuse(RuleClock, q.now.Add(q.base.Recheck), map[string]any{"by_seconds": q.Moved.By.Seconds(), "since": q.Moved.Since},
		"the clock of the store %s: nothing is begun until it is back or proves steady", q.Moved)
	v.Page, v.Scope = true, heal.Scope{}
	return v
}

func unmovedClear(q *question) string {
	if q.Moved.By != 0 {
		return fmt.Sprintf("the clock of the store %s, which holds back what automation begins, and this is not", q.Moved)
	}
	return "the clock of the store agrees with the time that passed"
}
