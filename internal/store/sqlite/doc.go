// Package sqlite keeps the store in one SQLite file: the embedded default.
//
// Its one invariant is the store's own: Update returns nil only after the
// commit that holds its writes is synced to disk, and an error means that
// nothing was written. One connection writes, a pool of read-only connections
// serves snapshots, and a lock file beside the database keeps a second process
// out. Concurrent updates share a commit: each runs in its caller's goroutine
// under a savepoint of its own, hands the open transaction to the next in line,
// and the last one commits for all, so that a panic or a failed test stays with
// its caller. The one goroutine of the package copies SQLite's log into the file.
//
// It is not for several servers on one database (a shared engine is), and not
// for telemetry.
package sqlite
