package notify_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/notify"
)

func TestHeartbeatFallsSilent(t *testing.T) {
	beats := make(chan struct{}, 100)
	watcher := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/secret" || r.Method != http.MethodPost {
			w.WriteHeader(http.StatusNotFound)
		}
		beats <- struct{}{}
	}))
	defer watcher.Close()
	well := make(chan error) // each question waits for its answer
	var log bytes.Buffer
	h, err := notify.NewHeartbeat(notify.HeartbeatOptions{
		URL: watcher.URL + "/secret", Every: time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Well: func(ctx context.Context) error {
			select {
			case err := <-well:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	well <- nil
	<-beats
	for range 3 {
		well <- errors.New("the store is full")
	}
	well <- nil // only now does it beat again
	<-beats
	well <- errors.New("the store is full again") // asked once the beat was taken
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := h.Stats(); got.Sent != 2 || got.Failed != 0 || got.Held < 4 {
		t.Errorf("stats: got %+v, want 2 sent, none failed, 4 held back or more", got)
	}
	if got := strings.Count(log.String(), `error="the store is full"`); got != 1 || len(beats) != 0 {
		t.Errorf("told %d times, %d beats too many; want it told once:\n%s", got, len(beats), log.String())
	}
}

func TestHeartbeatHidesItsAddress(t *testing.T) {
	lines, log := io.Pipe()
	h, err := notify.NewHeartbeat(notify.HeartbeatOptions{
		URL: "http://127.0.0.1:1/secret", Well: func(context.Context) error { return nil }, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	text, err := bufio.NewReader(lines).ReadString('\n')
	stop()
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "refused") || strings.Contains(text, "secret") || h.Stats().Failed != 1 {
		t.Errorf("got %q, want why, without the address", text)
	}
	for _, bad := range []string{"", "example.com", "ftp://x/y", "http://"} {
		if _, err := notify.NewHeartbeat(notify.HeartbeatOptions{URL: bad}); err == nil {
			t.Errorf("URL %q: got no error", bad)
		}
	}
}
