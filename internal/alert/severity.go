package alert

import (
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// Severity reads the words monitoring tools use for how much an alert matters.
// What is not known is a warning: it is looked at, and wakes nobody.
func Severity(text string) heal.Severity {
	s, ok := severityWord(text)
	if !ok {
		return heal.Warning
	}
	return s
}

func severityWord(text string) (heal.Severity, bool) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "info", "information", "informational", "notice", "debug", "trace", "none", "ok", "low",
		"not classified", "not_classified", "p4", "p5", "sev4", "sev5":
		return heal.Info, true
	case "warning", "warn", "minor", "average", "medium", "moderate", "ticket", "p3", "sev3":
		return heal.Warning, true
	case "critical", "crit", "page", "error", "err", "high", "disaster", "fatal", "major", "severe",
		"urgent", "emergency", "emerg", "alert", "panic", "p0", "p1", "p2", "sev0", "sev1", "sev2":
		return heal.Critical, true
	}
	return "", false
}

// statusWord reads the words tools use for where an alert stands.
func statusWord(text string) (heal.AlertStatus, bool) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "firing", "fired", "alerting", "alarm", "alert", "open", "opened", "active", "activated",
		"triggered", "problem", "down", "failing":
		return heal.Firing, true
	case "acknowledged", "acked", "ack":
		return heal.Acknowledged, true
	case "resolved", "resolve", "ok", "closed", "close", "inactive", "deactivated", "recovered",
		"recovery", "cleared", "normal", "up":
		return heal.Resolved, true
	}
	return "", false
}
