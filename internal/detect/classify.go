package detect

import (
	"strings"
	"unicode"

	"github.com/homeostat/homeostat/internal/heal"
)

// typeOf is the fault type an alert names, or the one its words speak of.
func typeOf(a heal.Alert) heal.FaultType {
	if t := heal.FaultType(a.Labels[FaultTypeLabel]); known(t) {
		return t
	}
	// From what was named on purpose to what was written freely: a description
	// often mentions more than the alert is about.
	for _, text := range []string{a.Name, a.MetricName, a.RuleID, a.Description} {
		if t := Classify(text); t != heal.UnknownFault {
			return t
		}
	}
	if a.Condition.Kind == heal.ConditionProbe {
		return heal.Unavailable
	}
	return heal.UnknownFault
}

func known(t heal.FaultType) bool {
	switch t {
	case heal.PerformanceDegradation, heal.ResourceExhaustion, heal.ConnectionFailure,
		heal.DataCorruption, heal.Deadlock, heal.MemoryLeak, heal.ErrorsRaised,
		heal.Unavailable, heal.UnknownFault:
		return true
	}
	return false
}

// rule gives a type to texts in which each group has a word. A word that ends
// in * stands for every word that begins so.
type rule struct {
	is     heal.FaultType
	groups [][]string
}

// rules are asked in order: the specific before the general.
var rules = []rule{
	{heal.Deadlock, [][]string{{"deadlock*", "livelock*"}}},
	{heal.MemoryLeak, [][]string{{"leak*"}, {"memory", "mem", "heap"}}},
	{heal.DataCorruption, [][]string{{"corrupt*", "checksum*", "inconsistent", "inconsistency"}}},
	{heal.ResourceExhaustion, [][]string{{"pool*", "thread*", "descriptor*", "fd", "fds", "inode*", "quota*", "connections"}, {"exhaust*", "full", "saturat*", "limit*", "usage", "used", "pending", "high", "max", "many", "exceed*"}}},
	{heal.ResourceExhaustion, [][]string{{"exhaust*", "oom", "oomkilled", "saturat*", "starv*", "throttl*", "backlog*", "overload*"}}},
	{heal.ResourceExhaustion, [][]string{{"out"}, {"of"}, {"memory", "space", "disk", "connections", "descriptors"}}},
	{heal.Unavailable, [][]string{{"down", "unavailable", "unavailability", "crash*", "dead", "died", "outage*", "missing", "absent", "unhealthy", "stopped", "gone"}}},
	{heal.Unavailable, [][]string{{"not"}, {"ready", "running", "responding", "available", "healthy"}}},
	{heal.ConnectionFailure, [][]string{{"refused", "unreachable", "econnrefused", "econnreset", "handshake*", "dns", "certificate*", "tls"}}},
	{heal.ConnectionFailure, [][]string{{"connection*", "connect", "connectivity", "network"}, {"fail*", "error*", "lost", "reset*", "timeout*", "drop*", "abort*", "closed"}}},
	{heal.ErrorsRaised, [][]string{{"error*", "5xx", "4xx", "exception*", "fail*", "panic*", "fatal*", "availability"}}},
	{heal.PerformanceDegradation, [][]string{{"latency", "latencies", "duration*", "slow*", "response", "delay*", "lag", "apdex", "timeout*", "p50", "p90", "p95", "p99", "p999", "degrad*", "hang*", "stuck"}}},
	{heal.ResourceExhaustion, [][]string{{"cpu", "memory", "mem", "heap", "disk*", "filesystem*", "storage", "swap", "volume*", "queue*", "bandwidth", "iowait", "load", "network", "pool*", "inode*"}}},
	{heal.ConnectionFailure, [][]string{{"connection*", "connect", "connectivity"}}},
	{heal.Unavailable, [][]string{{"up", "heartbeat*", "healthcheck*", "probe*", "liveness", "readiness", "restart*"}}},
}

// Classify gives the fault type the words of a text speak of, UnknownFault if
// they speak of none. It reads CamelCase, snake_case and sentences.
func Classify(text string) heal.FaultType {
	words := split(text)
	for _, r := range rules {
		if r.matches(words) {
			return r.is
		}
	}
	return heal.UnknownFault
}

func (r rule) matches(words []string) bool {
	for _, group := range r.groups {
		if !anyWord(words, group) {
			return false
		}
	}
	return true
}

func anyWord(words, group []string) bool {
	for _, want := range group {
		stem, open := strings.CutSuffix(want, "*")
		for _, w := range words {
			if w == stem || open && strings.HasPrefix(w, stem) {
				return true
			}
		}
	}
	return false
}

// maxText bounds how much of a text is read, in bytes.
const maxText = 4096

// split gives the lower-case words of a text: HTTP5xxRate is http, 5xx, rate.
func split(text string) []string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	var words []string
	runes := []rune(text)
	start := 0
	flush := func(end int) {
		if end > start {
			words = append(words, strings.ToLower(string(runes[start:end])))
		}
		start = end
	}
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush(i)
			start = i + 1
		case i > start && boundary(runes, start, i):
			flush(i)
		}
	}
	flush(len(runes))
	return words
}

// boundary reports whether a new word begins at i inside a run of letters and
// digits that began at start.
func boundary(runes []rune, start, i int) bool {
	before, at := runes[i-1], runes[i]
	switch {
	case unicode.IsUpper(at) && unicode.IsLower(before): // diskFull
		return true
	case unicode.IsUpper(at) && unicode.IsUpper(before): // CPUHigh: before the H
		return i+1 < len(runes) && unicode.IsLower(runes[i+1])
	case unicode.IsUpper(at) && unicode.IsDigit(before): // p99High
		return true
	case unicode.IsDigit(at) && unicode.IsLetter(before): // HTTP5xx, but not p99
		return i-start > 1
	}
	return false
}
