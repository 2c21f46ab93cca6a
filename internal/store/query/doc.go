// Package query holds what every engine of the store does alike before it asks
// its database: it checks records and queries, says in which runs a page is
// read, and names the place where the next page begins.
//
// Its one invariant: what it lets through means the same in every engine, so
// that two engines given the same calls refuse the same ones and give the same
// pages. It is not for SQL, of which each engine has its own.
package query
