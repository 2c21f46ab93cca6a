package wait_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/action/actiontest"
	"github.com/homeostat/homeostat/internal/action/wait"
)

func pause(d string) action.Call {
	return action.Call{Action: wait.For, Params: map[string]any{"duration": d}}
}

func TestContract(t *testing.T) {
	actiontest.Run(t, func(*testing.T) actiontest.Subject {
		return actiontest.Subject{
			Driver:    wait.New(),
			Previewer: wait.New(),
			Calls:     []action.Call{pause("1ms")},
			World:     func() any { return nil },
			Slow:      []action.Call{pause("1h")},
		}
	})
}

func TestWaitsAsLongAsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if _, err := wait.New().Do(t.Context(), pause("90s")); err != nil {
			t.Fatal(err)
		}
		if got, want := time.Since(began), 90*time.Second; got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
