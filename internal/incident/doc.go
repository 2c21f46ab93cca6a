// Package incident groups faults into cases: one case for one thing that went
// wrong, however many alerts speak of it.
//
// A fault joins the case that already holds its key, whatever the age of the
// case. Within a window of time it also joins a case on its own entity, on
// something it depends on (then it is a symptom), or on something that depends
// on it (then it becomes the primary fault, as long as nothing was done yet).
// Where the topology does not know both entities, only faults of one service
// belong together. Two faults below a common caller stay two cases: neither
// depends on the other.
//
// What none of this ties may still be tied by what was learnt: two kinds of fault
// that began together again and again, more often than not and beyond chance, are
// one case where the topology knows no path between them. See Onsets.
//
// Its one invariant: a fault key is in at most one open case. Nothing here
// changes an incident in place; every function gives a new one. It is not for
// finding causes (see cause) nor for what happens to a case (see loop).
package incident
