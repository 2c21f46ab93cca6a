package otlp

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/homeostat/homeostat/internal/heal"
)

// Logs converts log records. observed is the time of receipt; it is also the
// event time of a record whose source gave neither an event nor an observed
// time. A record without a body has its exception or event name as text.
func Logs(ld plog.Logs, observed time.Time) []heal.LogRecord {
	out := make([]heal.LogRecord, 0, ld.LogRecordCount())
	for _, rl := range ld.ResourceLogs().All() {
		id := identityOf(rl.Resource())
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				out = append(out, toLog(id, record, observed))
			}
		}
	}
	return out
}

func toLog(id identity, record plog.LogRecord, observed time.Time) heal.LogRecord {
	at := observed
	switch {
	case record.Timestamp() != 0:
		at = record.Timestamp().AsTime()
	case record.ObservedTimestamp() != 0:
		at = record.ObservedTimestamp().AsTime()
	}
	attributes := id.join(record.Attributes(), record.DroppedAttributesCount())
	if name := record.EventName(); name != "" {
		if attributes == nil {
			attributes = map[string]string{}
		}
		attributes["event.name"] = clean(name, maxValue)
	}
	body := text(record.Body(), maxBody)
	if body == "" {
		body = stand(attributes)
	}
	return heal.LogRecord{
		Time:       at,
		Observed:   observed,
		Service:    id.service,
		Instance:   id.instance,
		Host:       id.host,
		Severity:   severity(record),
		Body:       body,
		TraceID:    record.TraceID().String(),
		SpanID:     record.SpanID().String(),
		Attributes: attributes,
	}
}

// stand is the text of a record that has no body.
func stand(attributes map[string]string) string {
	kind, message := attributes["exception.type"], attributes["exception.message"]
	switch {
	case kind != "" && message != "":
		return kind + ": " + message
	case kind != "" || message != "":
		return kind + message
	}
	return attributes["event.name"]
}

// severity is the number of a record, or what its text stands for by the
// mapping of the OpenTelemetry log data model; 0 if neither is known.
func severity(record plog.LogRecord) int {
	if n := int(record.SeverityNumber()); n >= 1 && n <= 24 {
		return n
	}
	switch strings.ToLower(strings.TrimSpace(record.SeverityText())) {
	case "trace":
		return int(plog.SeverityNumberTrace)
	case "debug":
		return int(plog.SeverityNumberDebug)
	case "info", "information", "informational", "notice":
		return int(plog.SeverityNumberInfo)
	case "warn", "warning":
		return int(plog.SeverityNumberWarn)
	case "error", "err", "severe":
		return int(plog.SeverityNumberError)
	case "fatal", "critical", "crit", "alert", "emerg", "emergency", "panic":
		return int(plog.SeverityNumberFatal)
	}
	return 0
}
