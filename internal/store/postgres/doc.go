// Package postgres keeps the store in a PostgreSQL database, which several
// servers may share.
//
// Its one invariant is the store's own: Update returns nil only after the
// database has made the commit durable, and an error means that nothing was
// written. The one exception is an error of kind Unknown: the connection was
// lost during the commit and the database did not come back in time to say how
// it ended.
//
// Updates happen one after the other, over all servers: a transaction begins by
// locking the one row that holds the newest revision, so that revisions rise in
// the order of commits and a function given to Update sees nothing change under
// it. Within a server, updates that come together share one such transaction.
// Each runs in its caller's goroutine and hands the transaction to the next in
// line; what it puts is kept here until somebody has to see it, and sent
// together.
//
// It is not for connection poolers that change the connection between
// transactions, and not for telemetry.
package postgres
