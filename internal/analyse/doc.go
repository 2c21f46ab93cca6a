// Package analyse makes the judgements of the loop on files, as in a
// post-mortem: what was wrong since when, where it began, how sure that is.
//
// The files are replayed: the watch looks at the series as it would have, what
// it found becomes faults and cases, and each case is diagnosed from the metrics,
// spans and logs of its time against those of before. The judgements are those of
// watch, detect, incident, cause and logmine; this package reads files and feeds
// them.
//
// Its one invariant: the same files give the same report, and a file that cannot
// be understood is an error that says where and what was expected, never left
// out. It is not for live systems (see loop).
package analyse
