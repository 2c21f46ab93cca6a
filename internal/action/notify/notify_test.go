package notify_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/action/actiontest"
	driver "github.com/homeostat/homeostat/internal/action/notify"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/notify"
)

func call(params map[string]any) action.Call {
	return action.Call{Key: heal.StepKey{Run: "r", Task: "tell", Attempt: 1}, Action: driver.Webhook, Params: params}
}

// receiver keeps the ids of what it got.
func receiver(t *testing.T) (notify.Channel, func() any) {
	t.Helper()
	var mu sync.Mutex
	ids := []string{}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		ids = append(ids, r.Header.Get(notify.HeaderDelivery))
	}))
	t.Cleanup(s.Close)
	c, err := notify.NewWebhook(notify.WebhookOptions{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	return c, func() any {
		mu.Lock()
		defer mu.Unlock()
		return append([]string{}, ids...)
	}
}

func slow(t *testing.T) notify.Channel {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server see the client leave
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	c, err := notify.NewWebhook(notify.WebhookOptions{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestContract(t *testing.T) {
	params := map[string]any{"message": "hello", "severity": "warning"}
	t.Run("prompt receiver", func(t *testing.T) {
		actiontest.Run(t, func(t *testing.T) actiontest.Subject {
			c, world := receiver(t)
			return actiontest.Subject{Driver: driver.New(c), Previewer: driver.NewPreviewer(), World: world, Calls: []action.Call{call(params)}}
		})
	})
	t.Run("slow receiver", func(t *testing.T) {
		actiontest.Deadline(t, driver.New(slow(t)), call(params))
	})
}

func TestRepetitionsCarryOneID(t *testing.T) {
	c, world := receiver(t)
	d := driver.New(c)
	for range 2 {
		if _, err := d.Do(t.Context(), call(map[string]any{"message": "hello"})); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(world(), any([]string{"r/tell/1", "r/tell/1"})); diff != "" {
		t.Errorf("got(-) want(+):\n%s", diff)
	}
}

func TestRefuses(t *testing.T) {
	c, _ := receiver(t)
	for _, tc := range []struct {
		name    string
		channel notify.Channel
		params  map[string]any
		want    string
	}{
		{"unknown severity", c, map[string]any{"message": "x", "severity": "loud"}, "info, warning or critical"},
		{"empty message", c, map[string]any{"message": ""}, "empty"},
		{"no webhook", nil, map[string]any{"message": "x"}, "no webhook is configured"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := driver.New(tc.channel).Do(t.Context(), call(tc.params))
			if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want kind invalid with %q", err, tc.want)
			}
		})
	}
}
