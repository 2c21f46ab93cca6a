package logmine

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// maxText is how much of a record is read, in bytes.
const maxText = 32 << 10

// text is what a record says and how loudly.
type text struct {
	message string // the first line of what the program said
	full    string // all of it, with exception attributes
	failed  bool   // an error or worse
	warned  bool   // a warning
}

// The names under which structured logs of many libraries keep what was said
// and how loudly, most telling first.
var (
	messageKeys = []string{"message", "msg", "log", "event", "body", "text", "short_message"}
	errorKeys   = []string{"error", "err", "exception", "stack_trace", "stacktrace", "stack", "cause"}
	levelKeys   = []string{"level", "severity", "lvl", "loglevel", "log.level", "levelname", "@level"}
	attributes  = []string{"exception.type", "exception.message", "exception.stacktrace", "error", "err", "error.message"}
)

// read takes a record apart. A body that is a JSON object is read by its
// message, error and level.
func read(r heal.LogRecord) text {
	said := strings.ToValidUTF8(clip(r.Body), "\uFFFD")
	level := ""
	if fields, ok := jsonObject(said); ok {
		if message := pick(fields, messageKeys); message != "" {
			said = message
		}
		level = strings.ToLower(pick(fields, levelKeys))
		for _, k := range errorKeys {
			if v := fields[k]; v != "" {
				said += "\n" + v
			}
		}
	}
	t := text{full: said}
	for _, k := range attributes {
		if v := r.Attributes[k]; v != "" {
			t.full += "\n" + strings.ToValidUTF8(clip(v), "\uFFFD")
		}
	}
	t.full = clip(t.full)
	t.message, _, _ = strings.Cut(strings.TrimLeft(said, "\r\n"), "\n")
	t.message = strings.TrimSpace(t.message)
	t.failed, t.warned = loudness(r.Severity, level, t.message)
	return t
}

// The severity numbers of OpenTelemetry where warnings and errors begin.
const (
	severityWarn  = 13
	severityError = 17
)

// loudness trusts the severity number, then the level of a structured body,
// then a level written among the first words.
func loudness(severity int, level, message string) (failed, warned bool) {
	if severity > 0 {
		return severity >= severityError, severity >= severityWarn && severity < severityError
	}
	candidates := []string{level}
	if level == "" {
		candidates = strings.Fields(words(clipTo(message, 160)))
		candidates = candidates[:min(len(candidates), 12)]
	}
	for _, w := range candidates {
		switch w {
		case "error", "err", "fatal", "critical", "crit", "severe", "panic", "emerg", "alert", "exception":
			return true, false
		case "warn", "warning":
			return false, true
		case "info", "debug", "trace", "notice":
			return false, false
		}
	}
	return false, false
}

func jsonObject(said string) (map[string]string, bool) {
	if !strings.HasPrefix(strings.TrimSpace(said), "{") {
		return nil, false
	}
	var raw map[string]json.RawMessage
	if json.Unmarshal([]byte(said), &raw) != nil {
		return nil, false
	}
	fields := make(map[string]string, len(raw))
	for k, v := range raw {
		k = strings.ToLower(k)
		var s string
		if json.Unmarshal(v, &s) != nil {
			s = string(v) // a number or something nested: as it stands
		}
		// Of two names that differ in case only, the same one is taken always.
		if before, twice := fields[k]; !twice || s < before {
			fields[k] = s
		}
	}
	return fields, true
}

func pick(fields map[string]string, keys []string) string {
	i := slices.IndexFunc(keys, func(k string) bool { return fields[k] != "" })
	if i < 0 {
		return ""
	}
	return fields[keys[i]]
}

func clip(s string) string { return clipTo(s, maxText) }

// clipTo gives the first bytes of s; a character cut in two is made good
// where the text is read.
func clipTo(s string, most int) string { return s[:min(len(s), most)] }
