package logmine

import (
	"slices"
	"strings"
)

// Pattern names a known trouble.
type Pattern string

// The patterns, the more specific before the more general.
const (
	PoolExhausted     Pattern = "pool_exhausted"
	OutOfMemory       Pattern = "out_of_memory"
	DiskFull          Pattern = "disk_full"
	TooManyFiles      Pattern = "too_many_open_files"
	Deadlock          Pattern = "deadlock"
	NullPointer       Pattern = "null_pointer"
	Certificate       Pattern = "certificate"
	PermissionDenied  Pattern = "permission_denied"
	NameResolution    Pattern = "name_resolution"
	ConnectionRefused Pattern = "connection_refused"
	ConnectionReset   Pattern = "connection_reset"
	Timeout           Pattern = "timeout"
)

// rule is one wording of a pattern: phrases that stand near each other in a
// line, in any order, as words() writes them. A phrase that does not end with
// a space matches words that begin so.
type rule struct {
	pattern Pattern
	quiet   bool // counts only in warnings and errors: settings and help use these words too
	phrases []string
}

// near is how many bytes may lie between the phrases of a rule.
const near = 100

func loud(p Pattern, phrases ...string) rule  { return rule{pattern: p, phrases: phrases} }
func quiet(p Pattern, phrases ...string) rule { return rule{pattern: p, quiet: true, phrases: phrases} }

// general are patterns that only tell how another trouble was noticed: they
// do not count where a text has any other.
var general = map[Pattern]bool{Timeout: true}

// unless are phrases that, near a wording of the pattern, say that it is
// something else: a client that names its pool, and what the far end did.
var unless = map[Pattern][]string{
	PoolExhausted: {" read timed out ", " read timeout ", " connect timeout ", " max retries "},
}

// Match gives the troubles a text speaks of, the more specific first. serious
// says that the text comes from a warning or an error; words that calm texts
// use too count only then.
func Match(text string, serious bool) []Pattern {
	var lines []string
	for line := range strings.SplitSeq(clip(text), "\n") {
		lines = append(lines, words(line))
	}
	var found []Pattern
	for _, r := range rules {
		if r.quiet && !serious || len(found) > 0 && (found[len(found)-1] == r.pattern || general[r.pattern]) {
			continue
		}
		if slices.ContainsFunc(lines, r.in) {
			found = append(found, r.pattern)
		}
	}
	return found
}

// in reports whether the line has the rule's phrases near each other.
func (r rule) in(line string) bool {
	for from := 0; ; {
		at := strings.Index(line[from:], r.phrases[0])
		if at < 0 {
			return false
		}
		at += from
		around := line[max(0, at-near):min(len(line), at+len(r.phrases[0])+near)]
		if !denied(line[:at]) && containsAll(around, r.phrases[1:]) && !containsAny(around, unless[r.pattern]) {
			return true
		}
		from = at + 1
	}
}

func containsAll(text string, phrases []string) bool {
	for _, p := range phrases {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

func containsAny(text string, phrases []string) bool {
	for _, p := range phrases {
		if strings.Contains(text, p) {
			return true
		}
	}
	return false
}

// denied reports whether the words before a phrase say that there is none of
// it, as in "no deadlock detected".
func denied(before string) bool {
	for _, word := range []string{" no", " without", " 0", " never"} {
		if strings.HasSuffix(before, word) {
			return true
		}
	}
	return false
}
