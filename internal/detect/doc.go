// Package detect turns what was noticed into faults: what is wrong, with which
// entity, since when. And it notices: it judges series and vectors of metrics.
//
// FromAlert makes a fault of an alert. Series judges any one series without a
// setting, Joint and Forest the metrics of a service together. EWMA, ThreeSigma,
// Robust, Season, ChangePoint and Rate are one method each, for who wants that
// one; Trend says where a series is heading and when it gets there.
//
// Its one invariant: the same input gives the same judgement. Every alert gives
// exactly one fault with a valid entity and one of the fault types of package
// heal; every point gives a finite score, whatever its value and its time. It is
// not for grouping faults into cases (see incident) nor for finding their cause
// (see cause).
package detect
