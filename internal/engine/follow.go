package engine

import (
	"context"
	"log/slog"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// followRest bounds how often a busy store is looked into.
const followRest = 50 * time.Millisecond

// follow looks at the queue, and at what this engine has under way, whenever
// something was committed by whichever server, until ctx ends.
func (e *Engine) follow(ctx context.Context) {
	var seen store.Revision
	for ctx.Err() == nil {
		at, err := e.store.Wait(ctx, seen)
		if err == nil {
			seen = at
			e.Nudge()
			err = e.heed(ctx)
		}
		if err != nil && ctx.Err() == nil {
			e.opts.Logger.Error("follow what other servers do, will try again", slog.Any("error", err))
			e.postpone(ctx)
		}
		pause(ctx, followRest)
	}
}

// heed ends the calls under way here that another server was told to stop.
func (e *Engine) heed(ctx context.Context) error {
	mine := e.claimed()
	if len(mine) == 0 {
		return nil
	}
	return e.store.View(ctx, func(r store.Reader) error {
		for _, j := range mine {
			row, err := jobKind.Get(r, j.Key)
			if heal.Is(err, heal.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if row.Value.Stop && row.Value.Epoch == j.Epoch {
				e.interrupt(j.Run)
			}
		}
		return nil
	})
}
