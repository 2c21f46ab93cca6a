// Package spool is a queue of records on disk, bounded and checksummed, for one
// process: what Append took is there after any crash, and comes out of Next in
// the order it went in until Done says that it is no longer needed.
//
// Its one invariant: Append answers only after fdatasync, which all that wait
// share. After a crash records may come again, from the last Done that reached
// the disk; none is lost. What is damaged is skipped and counted.
//
// It is not for several readers, and not for finding a record again.
package spool
