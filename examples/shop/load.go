package shop

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// maxInFlight bounds the shoppers that wait at once; more are skipped, counted.
const maxInFlight = 200

// LoadStats counts what the shoppers saw since the start.
type LoadStats struct {
	Sent    int64 `json:"sent"`
	OK      int64 `json:"ok"`
	Failed  int64 `json:"failed"`
	Skipped int64 `json:"skipped"`    // not sent, because too many waited
	Slowest int64 `json:"slowest_ms"` // of the last second with an answer
}

// load is the shoppers: a steady rate whatever the answers, as the world is.
// They carry no instrumentation, as browsers of strangers do not.
func (p *process) load() {
	var stats loadCounts
	p.mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { answer(w, stats.read()) })
	p.work = append(p.work, func(ctx context.Context) error { return p.shop(ctx, &stats) })
}

type loadCounts struct {
	sent, ok, failed, skipped atomic.Int64

	mu      sync.Mutex
	second  int64
	slowest time.Duration
}

func (c *loadCounts) read() LoadStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return LoadStats{c.sent.Load(), c.ok.Load(), c.failed.Load(), c.skipped.Load(), c.slowest.Milliseconds()}
}

func (c *loadCounts) done(ok bool, took time.Duration) {
	if ok {
		c.ok.Add(1)
	} else {
		c.failed.Add(1)
	}
	second := time.Now().Unix()
	c.mu.Lock()
	defer c.mu.Unlock()
	if second != c.second {
		c.second, c.slowest = second, 0
	}
	c.slowest = max(c.slowest, took)
}

// shop sends requests at the rate until ctx ends; every fifth is a checkout.
func (p *process) shop(ctx context.Context, stats *loadCounts) error {
	rate := p.service.Rate
	if rate == 0 {
		rate = 20
	}
	client := &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: maxInFlight, IdleConnTimeout: 30 * time.Second},
	}
	defer client.CloseIdleConnections()
	places := make(chan struct{}, maxInFlight)
	var wait sync.WaitGroup
	defer wait.Wait()
	for n := 0; sleep(ctx, time.Duration(float64(time.Second)/rate)); n++ {
		select {
		case places <- struct{}{}:
		default:
			stats.skipped.Add(1)
			continue
		}
		method, path := http.MethodGet, "/"
		if n%5 == 4 {
			method, path = http.MethodPost, "/checkout"
		}
		stats.sent.Add(1)
		wait.Go(func() {
			defer func() { <-places }()
			began := time.Now()
			ok := visit(ctx, client, method, p.service.Upstreams[Frontend]+path)
			stats.done(ok, time.Since(began))
		})
	}
	return nil
}

func visit(ctx context.Context, client *http.Client, method, url string) bool {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return err == nil && resp.StatusCode == http.StatusOK
}
