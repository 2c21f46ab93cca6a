package notify_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/notify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var message = notify.Message{
	ID: "m-1", Phase: notify.Before, Severity: heal.Critical, Title: "cart is down", Text: "About to restart service/cart.",
	At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Entity: "service/cart",
}

func open(t *testing.T, opts notify.WebhookOptions) *notify.Webhook {
	t.Helper()
	w, err := notify.NewWebhook(opts)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWebhookDelivers(t *testing.T) {
	var body []byte
	var header http.Header
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
	}))
	defer s.Close()
	if err := open(t, notify.WebhookOptions{URL: s.URL, Secret: "hush"}).Send(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"version": 1.0, "id": "m-1", "phase": "before", "severity": "critical", "title": "cart is down",
		"text": "About to restart service/cart.", "at": "2026-01-02T03:04:05Z", "entity": "service/cart",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("body, got(-) want(+):\n%s", diff)
	}
	mac := hmac.New(sha256.New, []byte("hush"))
	fmt.Fprintf(mac, "%s.%s", header.Get("X-Homeostat-Timestamp"), body)
	if got, want := header.Get("X-Homeostat-Signature"), "sha256="+hex.EncodeToString(mac.Sum(nil)); got != want {
		t.Errorf("signature: got %s, want %s", got, want)
	}
	if got := header.Get("X-Homeostat-Delivery"); got != "m-1" {
		t.Errorf("delivery: got %s, want m-1", got)
	}
}

func TestWebhookAnswers(t *testing.T) {
	for status, want := range map[int]heal.Kind{
		301: heal.Invalid, 400: heal.Invalid, 401: heal.Denied, 404: heal.NotFound, 429: heal.Transient, 503: heal.Transient,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/elsewhere", status)
			}))
			defer s.Close()
			err := open(t, notify.WebhookOptions{URL: s.URL + "/secret-path"}).Send(t.Context(), message)
			if !heal.Is(err, want) || strings.Contains(fmt.Sprint(err), "secret-path") {
				t.Errorf("got %v (%v), want kind %v and no URL", err, heal.KindOf(err), want)
			}
		})
	}
}

func TestWebhookIsBounded(t *testing.T) {
	var size int
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		size = len(body)
	}))
	defer s.Close()
	big := message
	big.Text = strings.Repeat("x\xff", 10<<20)
	if err := open(t, notify.WebhookOptions{URL: s.URL}).Send(t.Context(), big); err != nil {
		t.Fatal(err)
	}
	if size == 0 || size > 64<<10 {
		t.Errorf("got a body of %d bytes, want at most 64 KiB", size)
	}
}

func TestWebhookRefusesBadURL(t *testing.T) {
	for _, url := range []string{"", "hooks.example.org/x", "ftp://x/", "http:///x", "http://\x00hush"} {
		_, err := notify.NewWebhook(notify.WebhookOptions{URL: url})
		if !heal.Is(err, heal.Invalid) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: got %v, want kind invalid and no URL", url, err)
		}
	}
}

// flaky is a channel that fails as scripted, then delivers.
type flaky struct {
	mu    sync.Mutex
	fails []error
	tries []time.Time
	got   []string
	block bool
}

func (f *flaky) Name() string { return "flaky" }

func (f *flaky) Send(ctx context.Context, m notify.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries = append(f.tries, time.Now())
	if f.block {
		<-ctx.Done()
		return heal.Errorf(heal.Transient, "flaky", "%w", ctx.Err())
	}
	if n := len(f.tries); n <= len(f.fails) {
		return f.fails[n-1]
	}
	f.got = append(f.got, m.ID)
	return nil
}

func TestRetry(t *testing.T) {
	again := heal.Errorf(heal.Transient, "send", "busy")
	never := heal.Errorf(heal.Denied, "send", "no")
	for _, tc := range []struct {
		name  string
		fails []error
		tries int
		want  error
	}{
		{"first try", nil, 1, nil},
		{"third try", []error{again, again}, 3, nil},
		{"useless", []error{never}, 1, never},
		{"given up", []error{again, again, again, again, again}, 4, again},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &flaky{fails: tc.fails}
				c := notify.Retry(f, notify.RetryOptions{Attempts: 4, First: 10 * time.Second, Most: 20 * time.Second})
				if err := c.Send(t.Context(), message); !errors.Is(err, tc.want) {
					t.Errorf("got %v, want %v", err, tc.want)
				}
				if len(f.tries) != tc.tries {
					t.Fatalf("got %d tries, want %d", len(f.tries), tc.tries)
				}
				for i, most := range []time.Duration{10 * time.Second, 20 * time.Second, 20 * time.Second}[:tc.tries-1] {
					if pause := f.tries[i+1].Sub(f.tries[i]); pause < most/2 || pause > most {
						t.Errorf("pause %d: got %v, want %v to %v", i+1, pause, most/2, most)
					}
				}
			})
		})
	}
}

func TestOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{fails: []error{heal.Errorf(heal.Denied, "send", "no")}}
		o := notify.NewOutbox(f, notify.OutboxOptions{Size: 3})
		for i := range 5 {
			m := message
			m.ID = fmt.Sprint(i)
			if got, want := o.Offer(m), i < 3; got != want {
				t.Errorf("offer %d: got %v, want %v", i, got, want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- o.Run(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(f.got, []string{"1", "2"}); diff != "" {
			t.Errorf("delivered, got(-) want(+):\n%s", diff)
		}
		if got, want := o.Stats(), (notify.Stats{Sent: 2, Failed: 1, Dropped: 2}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestOutboxEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := notify.NewOutbox(&flaky{block: true}, notify.OutboxOptions{Drain: 2 * time.Second})
		for range 3 {
			o.Offer(message)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		if err := o.Run(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("got %v, want 2s", took)
		}
		if got, want := o.Stats(), (notify.Stats{Failed: 1, Dropped: 2}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}
