// Package series keeps metrics and asks them: an embedded Prometheus TSDB, the
// PromQL engine over it, and Prometheus alerting rules evaluated in process.
//
// Its one invariant: no type of Prometheus leaves it, because those packages
// promise no stable API; and no sample is dropped without being counted and
// reported to who sent it.
//
// Pushed series do not say when they end. Run notices it, so that a process
// that is gone does not go on to answer with its last words.
//
// It is not for logs and spans, nor for judging whether a fault has cleared:
// it answers whether a condition holds and how fresh its evidence is.
package series
