// Package alert takes alerts in from other tools, brings them into one form
// and keeps their life: deduplicated, updated in place, acknowledged, resolved
// and reopened.
//
// Its one invariant: every alert of a body comes out, in the order of the
// body, either normalised or as Skipped with the reason; nothing vanishes. It
// is pure: no I/O, no clock, no randomness. It is not for receiving requests
// (see api), storing alerts (see store) nor grouping them (see incident).
package alert
