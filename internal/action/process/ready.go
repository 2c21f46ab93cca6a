package process

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// readyEvery is the pause between two questions to a process that starts; it
// is what a restart can lose at most.
const readyEvery = 50 * time.Millisecond

// awaitReady returns once the instance answers; at once if nothing is
// configured to ask. Kind Transient if it ends or does not answer in time,
// Unknown if ctx ends first.
func (r *reader) awaitReady(ctx context.Context, p *Process, in instance) error {
	op := fmt.Sprintf("wait for process %s (instance %d, pid %d)", p.Name, in.N, in.PID)
	within, cancel := context.WithTimeout(ctx, p.ReadyTimeout)
	defer cancel()
	again := time.NewTicker(readyEvery)
	defer again.Stop()
	for {
		err := probe(within, p, in.N)
		switch {
		case !in.alive(r.boot): // whatever answered was not this process
			return heal.Errorf(heal.Transient, op, "it ended before it was ready, see %s", p.at(p.LogFile, in.N))
		case err == nil:
			return nil
		}
		select {
		case <-again.C:
		case <-within.Done():
			if ctx.Err() != nil {
				return heal.Errorf(heal.Unknown, op, "the time of the call was over before it was ready: %w", err)
			}
			return heal.Errorf(heal.Transient, op, "not ready within %s: %w", p.ReadyTimeout, err)
		}
	}
}

// probe asks once.
func probe(ctx context.Context, p *Process, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if p.ReadyTCP != "" {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", p.at(p.ReadyTCP, n))
		if err != nil {
			return err
		}
		_ = conn.Close() // it accepted, that is the answer
	}
	if p.ReadyURL == "" {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.at(p.ReadyURL, n), nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 4<<10) // politeness to the server; the status is the answer
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("it answers %s", res.Status)
	}
	return nil
}
