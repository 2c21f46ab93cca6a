// Package watch looks at the series of every service without a rule being
// written. Every interval it asks for them, judges each by package detect, and
// tells two things: which series are out of the ordinary (Anomalies, evidence for
// cases that are open), and which services suffer (Finding, which opens a case).
//
// It is quiet by default. A single odd series opens nothing. A service suffers if
// its users notice: its errors or its latency are far above all it has shown, or
// clearly above while other signals of it are out of the ordinary too, and that
// for several looks on end. A finding holds the limit it was made by, so that
// whether it is over can be asked of anyone, and ends when the signal is back
// under it.
//
// Its one invariant: memory is bounded whatever comes, and what finds no place is
// counted. It is not for causes (see cause), nor for rules somebody wrote (see
// series).
package watch
