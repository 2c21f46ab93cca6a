package embedded

import (
	"context"
	"database/sql"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/telemetry"
)

// Logs implements telemetry.Store.
func (s *Store) Logs(ctx context.Context, q telemetry.LogQuery) ([]heal.LogRecord, error) {
	q, err := q.Normalise()
	if err != nil {
		return nil, err
	}
	logs, err := newest(ctx, s, q.From, q.To, q.Limit, logText(q), scanLog)
	return logs, heal.Wrap("query logs", err)
}

const logColumns = "log.id, shift, lag, severity, service, instance, host, trace, span, attributes, log.body"

func logText(q telemetry.LogQuery) sqlText {
	t := sqlText{selects: "SELECT " + logColumns + " FROM log", order: "log.id DESC", limit: q.Limit}
	words := parseKeyword(q.Keyword)
	if words.match != "" {
		// Driven from the index of words, which is in time order too.
		t.selects = "SELECT " + logColumns + " FROM log_words CROSS JOIN log ON log.id = log_words.rowid"
		t.order = "log_words.rowid DESC"
		t.and("log_words MATCH ?", words.match)
		t.within("log_words.rowid", q.From, q.To)
	} else {
		t.within("log.id", q.From, q.To)
	}
	for _, part := range words.contains {
		t.and("instr(log.body, ?) > 0", part)
	}
	for _, c := range []struct{ column, value string }{
		{"service", q.Service}, {"host", q.Host}, {"instance", q.Instance},
	} {
		if c.value != "" {
			t.and(c.column+" = ?", c.value)
		}
	}
	if q.TraceID != "" {
		t.and("trace = ?", packID(q.TraceID))
	}
	if q.MinSeverity > 0 {
		t.and("severity >= ?", q.MinSeverity)
	}
	return t
}

func scanLog(rows *sql.Rows) (found[heal.LogRecord], error) {
	var f found[heal.LogRecord]
	var shift, lag int64
	var trace, span any
	var instance, host, attributes sql.NullString
	r := &f.record
	err := rows.Scan(&f.id, &shift, &lag, &r.Severity, &r.Service, &instance, &host, &trace, &span, &attributes, &r.Body)
	if err != nil {
		return f, err
	}
	r.Time = timeOf(f.id + shift)
	r.Observed = r.Time.Add(time.Duration(lag))
	r.Instance, r.Host = instance.String, host.String
	r.TraceID, r.SpanID = unpackID(trace), unpackID(span)
	return f, unpackJSON(attributes, &r.Attributes)
}
