// Package detect turns what was noticed into faults: what is wrong, with which
// entity, since when.
//
// Its one invariant: every alert gives exactly one fault with a valid entity
// and one of the fault types of package heal, the same fault for the same
// alert. It is not for grouping faults into cases (see incident) nor for
// finding their cause (see cause).
package detect
