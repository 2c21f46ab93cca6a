//go:build e2e

package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// TestE2EHeartbeat stops the server without warning: the beats end.
func TestE2EHeartbeat(t *testing.T) {
	var beats atomic.Int64
	watcher := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { beats.Add(1) }))
	t.Cleanup(watcher.Close)
	h := newHouse(t, settings{"notify": settings{"heartbeat_url": watcher.URL, "heartbeat_interval": "1s"}})
	h.start()
	eventually(t, 20*time.Second, "three beats", func() bool { return beats.Load() >= 3 })
	h.crash()
	last := beats.Load()
	h.start()
	eventually(t, 20*time.Second, "it beats again", func() bool { return beats.Load() > last })
}
