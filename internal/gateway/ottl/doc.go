// Package ottl changes telemetry by statements in the OpenTelemetry
// Transformation Language: removes what must not leave, renames, shortens.
//
// Its one invariant: what it gives back can be decoded by any receiver and holds as
// many items as what it was given. A statement that fails for an item leaves that
// item as the statements before it left it, and is counted.
//
// It is not for deciding what is kept: that is done before, on bytes.
package ottl
