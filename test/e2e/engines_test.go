//go:build e2e

package e2e_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/homeostat/homeostat/internal/store/pgtest"
)

// engine is a store that the server keeps its record in, and how a trace of its
// system calls shows what it writes there.
type engine struct {
	name  string
	calls string // to trace
	delay string // what a thread is kept from after a durable write, while the server is killed

	store   func(t *testing.T) settings // in homeostat.yaml; nil: the default
	durable func(*syscallEvent) bool    // a write is durable, and the server has just heard of it
}

// embedded is durable once its log is synced; the thread that did it goes on
// 30 ms later.
var embedded = engine{
	name: "SQLite", calls: "read,pwrite64,fsync,fdatasync", delay: "inject=fsync,fdatasync:delay_exit=30000",
	durable: func(e *syscallEvent) bool { return strings.HasSuffix(e.name, "sync") && e.result == "0" },
}

// database is durable once the database has answered a COMMIT; whatever the
// server does with that, it does by a write, a connection or a process, and
// these begin 20 ms later.
var database = engine{
	name: "PostgreSQL", calls: "read,write,connect,clone3,clone", delay: "inject=write,connect,clone3,clone:delay_enter=5000",
	store:   func(t *testing.T) settings { return settings{"dsn": newDatabase(t)} },
	durable: func(e *syscallEvent) bool { return e.name == "read" && strings.Contains(e.args, `COMMIT\0`) },
}

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
