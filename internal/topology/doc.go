// Package topology knows which entity depends on which: what sources such as
// spans, configuration files and platform APIs said, merged into one graph.
//
// An edge leads from the one that depends to the one it depends on: caller to
// callee, service to the host it runs on. Every edge and entity keeps, per
// source, when it was first and last seen.
//
// Its one invariant: a Graph never changes once handed out and answers in the
// same order for the same content, so that a diagnosis can be repeated. It
// performs no I/O and reads no clock; Map is the only holder of a lock. It is
// not for judging health (see cause) and not for finding edges in spans (see
// wire).
package topology
