// Package unary serves unary methods of gRPC over HTTP/2: whole messages in as
// bytes, whole answers out, with few system calls and goroutines.
//
// Its one invariant: whatever a peer sends, what is kept for it is bounded, by
// Options.Memory as far as messages go, and every stream, connection and write
// has an end in time. A message is handed over only when all of it is there.
//
// It is not for streaming methods, not for clients, and knows nothing of what
// messages mean or how they are compressed.
package unary
