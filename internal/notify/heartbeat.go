package notify

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// HeartbeatOptions configure a Heartbeat.
type HeartbeatOptions struct {
	URL     string                          // http or https; never shown, its path may be a secret
	Every   time.Duration                   // 30 s if zero
	Timeout time.Duration                   // of one beat; 10 s if zero
	Well    func(ctx context.Context) error // why the product does not do its work now, nil if it does
	Log     *slog.Logger
}

// Heartbeat is a dead man's switch: it tells a watcher outside that the product
// does its work, again and again, and falls silent when it does not. The
// watcher then tells a person; nothing here could.
type Heartbeat struct {
	opts   HeartbeatOptions
	client *http.Client

	sent, failed, held atomic.Uint64
}

// HeartbeatStats counts since the start.
type HeartbeatStats struct {
	Sent   uint64 // beats the watcher took
	Failed uint64 // beats it did not take
	Held   uint64 // beats held back because something was not well
}

// NewHeartbeat checks the options.
func NewHeartbeat(opts HeartbeatOptions) (*Heartbeat, error) {
	u, err := url.Parse(opts.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, heal.Errorf(heal.Invalid, "heartbeat", "its URL is not of the form https://host/path")
	}
	if opts.Every <= 0 {
		opts.Every = 30 * time.Second
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 10 * time.Second
	}
	return &Heartbeat{opts: opts, client: &http.Client{Timeout: opts.Timeout}}, nil
}

// Run beats until ctx ends, at once first.
func (h *Heartbeat) Run(ctx context.Context) error {
	ticker := time.NewTicker(h.opts.Every)
	defer ticker.Stop()
	quiet := false
	for {
		err := h.beat(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !quiet:
			h.opts.Log.Error("no heartbeat is sent", slog.Any("error", err))
		case err == nil && quiet:
			h.opts.Log.Info("the heartbeat goes on")
		}
		quiet = err != nil
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// beat sends one if all is well.
func (h *Heartbeat) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.opts.Timeout)
	defer cancel()
	if err := h.opts.Well(ctx); err != nil {
		h.held.Add(1)
		return err
	}
	if err := h.send(ctx); err != nil {
		h.failed.Add(1)
		return err
	}
	h.sent.Add(1)
	return nil
}

func (h *Heartbeat) send(ctx context.Context) error {
	const op = "send heartbeat"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.opts.URL, http.NoBody)
	if err != nil {
		return heal.Errorf(heal.Invalid, op, "%w", bare(err))
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return heal.Errorf(heal.Transient, op, "%w", bare(err))
	}
	if err := resp.Body.Close(); err != nil {
		return heal.Errorf(heal.Transient, op, "%w", err)
	}
	if kind, bad := judge(resp.StatusCode); bad {
		return heal.Errorf(kind, op, "the watcher answered %d, expected 2xx", resp.StatusCode)
	}
	return nil
}

// Stats gives the counts so far.
func (h *Heartbeat) Stats() HeartbeatStats {
	return HeartbeatStats{Sent: h.sent.Load(), Failed: h.failed.Load(), Held: h.held.Load()}
}
