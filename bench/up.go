package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// starts is how many times the server is started cold.
const starts = 5

// idle is how long it rests before its memory is read.
const idle = 10 * time.Second

// measureUp starts the server on empty data directories. Starting it on a full
// one is part of measureLists.
func measureUp(ctx context.Context, o *options, r *report) error {
	if info, err := os.Stat(o.binary); err == nil {
		r.add("size of the binary", float64(info.Size())/(1<<20), "MB", "")
	}
	took := make([]time.Duration, starts)
	for i := range took {
		s, err := up(ctx, o, filepath.Join(o.dir, fmt.Sprintf("cold-%d", i)))
		if err != nil {
			return err
		}
		took[i] = s.took
		if i == starts-1 {
			select {
			case <-time.After(idle):
			case <-ctx.Done():
			}
			now, peak := s.memoryMB()
			r.atMost(150, "resident memory, idle for 10 s", now, "MB", fmt.Sprintf("highest %.0f MB", peak))
		}
		if err := s.stop(); err != nil {
			return err
		}
	}
	slowest := quantile(took, 1) / 1000
	r.atMost(2, "ready on an empty data directory", slowest, "s", fmt.Sprintf("slowest of %d from exec to 200 of /readyz, p50 %s s", starts, short(quantile(took, 0.5)/1000)))
	return nil
}
