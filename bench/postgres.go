package main

import (
	"context"
	"errors"

	"github.com/homeostat/homeostat/internal/store/pgtest"
	"github.com/homeostat/homeostat/internal/store/postgres"
)

// measurePostgres carries the same runs out on a PostgreSQL server of its own,
// with the settings Debian gives it.
func measurePostgres(ctx context.Context, o *options, r *report) (err error) {
	server, err := pgtest.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Remove()) }()
	name, err := server.Database(ctx)
	if err != nil {
		return err
	}
	open := func() (closing, error) {
		return postgres.Open(ctx, postgres.Options{DSN: postgres.DSN(server.DSN(name))})
	}
	return measureRuns(ctx, o, r, open, 500)
}
