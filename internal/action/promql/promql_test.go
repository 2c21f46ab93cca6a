package promql_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/action/actiontest"
	"github.com/homeostat/homeostat/internal/action/promql"
	"github.com/homeostat/homeostat/internal/heal"
)

// script is a source whose answers change with the time since it began.
type script struct {
	began time.Time
	at    func(elapsed time.Duration) (float64, bool, error)
}

func (s script) Value(ctx context.Context, _ string) (float64, bool, error) {
	if err := ctx.Err(); err != nil {
		return 0, false, err
	}
	return s.at(time.Since(s.began))
}

func steady(v float64) script {
	return script{at: func(time.Duration) (float64, bool, error) { return v, true, nil }}
}

func check(op string, value float64, hold, timeout string) action.Call {
	return action.Call{Action: promql.Check, Params: map[string]any{
		"expr": "up", "op": op, "value": value, "for": hold, "timeout": timeout,
	}}
}

func TestContract(t *testing.T) {
	actiontest.Run(t, func(*testing.T) actiontest.Subject {
		d := promql.New(steady(1), promql.Options{})
		return actiontest.Subject{
			Driver:    d,
			Previewer: d,
			Calls:     []action.Call{check("==", 1, "0s", "1m")},
			World:     func() any { return nil },
			Slow:      []action.Call{check("==", 2, "0s", "1h")},
		}
	})
}

func TestCheck(t *testing.T) {
	none := func(time.Duration) (float64, bool, error) { return 0, false, nil }
	upAfter := func(after time.Duration) func(time.Duration) (float64, bool, error) {
		return func(e time.Duration) (float64, bool, error) {
			if e >= after {
				return 1, true, nil
			}
			return 0, true, nil
		}
	}
	for _, tc := range []struct {
		name   string
		at     func(time.Duration) (float64, bool, error)
		call   action.Call
		took   time.Duration
		kind   heal.Kind
		failed bool
	}{
		{name: "holds at once", at: upAfter(0), call: check("==", 1, "0s", "1m")},
		{name: "holds later", at: upAfter(7 * time.Second), call: check(">=", 1, "0s", "1m"), took: 8 * time.Second},
		{name: "holds for a while", at: upAfter(3 * time.Second), call: check(">", 0.5, "5s", "1m"), took: 10 * time.Second},
		{
			name: "a break starts the wait again", call: check("==", 1, "5s", "1m"), took: 14 * time.Second,
			at: func(e time.Duration) (float64, bool, error) {
				if e > 3*time.Second && e < 8*time.Second {
					return 0, true, nil
				}
				return 1, true, nil
			},
		},
		{name: "never holds", at: upAfter(time.Hour), call: check("==", 1, "0s", "30s"), took: 30 * time.Second, failed: true, kind: heal.Transient},
		{name: "asked once", at: upAfter(time.Hour), call: check("==", 1, "0s", "0s"), failed: true, kind: heal.Transient},
		{name: "no data never holds", at: none, call: check("!=", 1, "0s", "4s"), took: 4 * time.Second, failed: true, kind: heal.Transient},
		{
			name: "not a number never holds", call: check("!=", 1, "0s", "4s"), took: 4 * time.Second, failed: true, kind: heal.Transient,
			at: func(time.Duration) (float64, bool, error) { return math.NaN(), true, nil },
		},
		{
			name: "bad expression", call: check("==", 1, "0s", "1m"), failed: true, kind: heal.Invalid,
			at: func(time.Duration) (float64, bool, error) {
				return 0, false, heal.Errorf(heal.Invalid, "parse", "unexpected end")
			},
		},
		{
			name: "an error is asked again", call: check("==", 1, "0s", "1m"), took: 6 * time.Second,
			at: func(e time.Duration) (float64, bool, error) {
				if e < 5*time.Second {
					return 0, false, heal.Errorf(heal.Transient, "ask", "connection refused")
				}
				return 1, true, nil
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				d := promql.New(script{began: began, at: tc.at}, promql.Options{})
				_, err := d.Do(t.Context(), tc.call)
				if (err != nil) != tc.failed || tc.failed && !heal.Is(err, tc.kind) {
					t.Errorf("got %v, want failed %v with kind %v", err, tc.failed, tc.kind)
				}
				if took := time.Since(began); took != tc.took {
					t.Errorf("got %v, want %v", took, tc.took)
				}
			})
		})
	}
}

func TestRefuses(t *testing.T) {
	d := promql.New(steady(1), promql.Options{})
	for _, tc := range []struct {
		name string
		call action.Call
		want string
	}{
		{"unknown operator", check("=~", 1, "0s", "1m"), "> < >= <= == !="},
		{"longer than the timeout", check("==", 1, "2m", "1m"), "could never hold"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := d.Do(t.Context(), tc.call)
			if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want kind invalid with %q", err, tc.want)
			}
		})
	}
}
