// Package heal is the vocabulary of Homeostat: the things every other package
// speaks about, from an Alert that came in to the Outcome of what was done.
//
// Its one invariant: it imports nothing but the standard library and performs
// no I/O, reads no clock and draws no randomness. It is not for behaviour; the
// verbs live in the packages that use these nouns.
package heal
