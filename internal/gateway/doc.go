// Package gateway takes OTLP requests as bytes, keeps what is worth keeping, and
// sends it on: sample, clean, batch, export, for traces; clean, batch and export,
// for metrics and logs.
//
// Its one invariant: a request is acknowledged only when what the mode of its
// pipeline promises is true. In mode spool its kept items are on disk; in mode
// export the backend has them; in mode memory they are in a bounded queue, and
// lost if the process is killed. What cannot be taken is answered with an error
// that says whether to try again; nothing is buffered without a bound, and what
// is lost is counted.
//
// It is not for decoding telemetry (its folder ottl does, for what is kept, if there
// are statements), and not for serving it: otlp does that.
package gateway
