//go:build e2e

package e2e_test

import (
	"sync"
	"testing"

	"github.com/homeostat/homeostat/internal/store/pgtest"
)

// engine is a store that the server keeps its record in.
type engine struct {
	name string

	// strike carries the scene out on it and kills the server right after its
	// n-th durable write from the order on; killed is false if there was none.
	strike func(s *scene, n int) (killed bool, asked int)
}

var (
	embedded = engine{"SQLite", (*scene).strikeAtSync}
	database = engine{"PostgreSQL", (*scene).strikeAtCommit}
)

var engines = []engine{embedded, database}

// postgres is the database server of the tests, started by the first that needs
// it.
var postgres struct {
	once   sync.Once
	server *pgtest.Server
	err    error
}

// newDatabase gives the DSN of an empty database.
func newDatabase(t *testing.T) string {
	t.Helper()
	postgres.once.Do(func() { postgres.server, postgres.err = pgtest.New() })
	must(t, postgres.err)
	return databaseOf(t, postgres.server)
}

// newServer is a database server of a test's own.
func newServer(t *testing.T) *pgtest.Server {
	t.Helper()
	server, err := pgtest.New()
	must(t, err)
	t.Cleanup(func() { must(t, server.Remove()) })
	return server
}

// databaseOf gives the DSN of an empty database.
func databaseOf(t *testing.T, server *pgtest.Server) string {
	t.Helper()
	name, err := server.Database(t.Context())
	must(t, err)
	return server.DSN(name)
}

// removeDatabases stops the server of newDatabase.
func removeDatabases() error {
	if postgres.server == nil {
		return nil
	}
	return postgres.server.Remove()
}
