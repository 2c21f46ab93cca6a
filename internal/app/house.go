package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/store"
)

// How long what only repeats or answers is kept. Cases, runs, decisions and
// their journals are the record and stay.
const (
	keepRequests = 24 * time.Hour      // idempotency keys
	keepEvents   = 30 * 24 * time.Hour // history of alerts
	keepRefusals = 90 * 24 * time.Hour // of guards; the audit has them too
	keepChanges  = loop.KeepChanges
	keepDeleted  = 100_000 // revisions over which deletions are remembered for watches
	houseEvery   = 10 * time.Minute
	houseBatch   = 500
)

// keepHouse removes what is past its time.
func (s *Server) keepHouse(ctx context.Context) error {
	ticker := time.NewTicker(houseEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			now := s.clock.Now()
			s.sweep(ctx, store.Requests, now.Add(-keepRequests))
			s.sweep(ctx, store.AlertEvents, now.Add(-keepEvents))
			s.sweep(ctx, store.Refusals, now.Add(-keepRefusals))
			s.sweep(ctx, store.Changes, now.Add(-keepChanges))
			if err := s.store.Compact(ctx, keepDeleted); err != nil && ctx.Err() == nil {
				s.log.Warn("compact the store", slog.Any("error", err))
			}
		}
	}
}

// sweep deletes the records of a table from before a time, in small
// transactions that nobody has to wait for.
func (s *Server) sweep(ctx context.Context, table store.Table, before time.Time) {
	for ctx.Err() == nil {
		deleted := 0
		err := s.store.Update(ctx, func(tx store.Tx) error {
			page, err := tx.List(store.Query{Table: table, Order: "at", Limit: houseBatch, Where: []store.Cond{{Column: "at", Op: store.Lt, Value: store.Nanos(before)}}})
			if err != nil {
				return err
			}
			for _, r := range page.Records {
				if err := tx.Delete(table, r.Key); err != nil {
					return err
				}
			}
			deleted = len(page.Records)
			return nil
		})
		if err != nil && ctx.Err() == nil {
			s.log.Warn("remove old records", slog.String("table", string(table)), slog.Any("error", err))
		}
		if err != nil || deleted < houseBatch {
			return
		}
	}
}
