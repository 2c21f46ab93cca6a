// Package probe asks services, ports and processes whether they are well, at
// intervals down to 50 ms, and tells when the answer changes.
//
// Its one invariant: a change of state reaches the sink, or is superseded by a
// newer one that does; it is never lost while Run runs. It is not for judging
// what a failure means (see incident and cause) nor for metrics (see series).
package probe
