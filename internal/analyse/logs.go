package analyse

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// readLogs reads log records: a JSON object a line, OTLP as JSON, CSV with a
// header, or plain lines that begin with a time. A line without one goes on with
// the record before.
func (d *Data) readLogs(f *file) error {
	first, ok := f.next()
	if !ok {
		return nil
	}
	if strings.HasPrefix(strings.TrimSpace(first), "{") {
		return d.eachJSON(f, first, d.otlpLogs)
	}
	if header, err := fields(first); err == nil && f.kind == "csv" {
		return d.logTable(f, header)
	}
	return d.plainLogs(f, first)
}

func (d *Data) logTable(f *file, header []string) error {
	for {
		line, ok := f.next()
		if !ok {
			return nil
		}
		row, err := fields(line)
		if err != nil || len(row) != len(header) {
			return f.wrong("the row has %d fields, expected %d as the header", len(row), len(header))
		}
		record := make(map[string]string, len(header))
		for i, name := range header {
			record[plain(name)] = row[i]
		}
		if err := d.logRecord(f, record, ""); err != nil {
			return err
		}
	}
}

// logRecord takes one record by the usual names of its fields; body is what was
// said where no field holds it.
func (d *Data) logRecord(f *file, r map[string]string, body string) error {
	stamp := first(r, "timestamp", "time", "ts", "@timestamp", "datetime", "timeunixnano")
	at, ok := readTime(stamp)
	if !ok {
		return f.wrong("the time of the record is %q, %s", stamp, timesExpected)
	}
	l := heal.LogRecord{
		Time: at, Observed: at, Service: first(r, "servicename", "service", "app", "podname", "pod", "cmdbid", "logger"),
		Body: first(r, "message", "msg", "body", "log", "value", "event", "text"), TraceID: first(r, "traceid", "trace"), SpanID: first(r, "spanid", "span"),
		Severity: severity(first(r, "severitynumber", "severity", "level", "levelname", "lvl")),
	}
	if l.Service == "" {
		l.Service = f.service()
	}
	if l.Body == "" {
		l.Body = body
	}
	return d.addLog(f, l)
}

func (d *Data) addLog(f *file, l heal.LogRecord) error {
	if len(d.Logs) >= maxRecords {
		return f.wrong("there are more than %d log records, expected fewer", maxRecords)
	}
	d.Logs = append(d.Logs, l)
	return nil
}

// levels are OpenTelemetry's numbers of the words for how loud a record is.
var levels = map[string]int{
	"trace": 1, "debug": 5, "info": 9, "notice": 10, "warn": 13, "warning": 13, "error": 17, "err": 17, "severe": 17, "fatal": 21, "critical": 21, "panic": 21, "emerg": 21, "alert": 21,
}

func severity(word string) int {
	if n, ok := levels[strings.ToLower(strings.Trim(word, "[]: "))]; ok {
		return n
	}
	var n int
	if json.Unmarshal([]byte(word), &n) == nil && n >= 1 && n <= 24 {
		return n
	}
	return 0
}

// plainLogs reads lines that begin with a time.
func (d *Data) plainLogs(f *file, line string) error {
	var last *heal.LogRecord
	for ok := true; ok; line, ok = f.next() {
		at, rest, found := leadingTime(line)
		if !found {
			if last == nil {
				return f.wrong("the line begins with no time, %s", timesExpected)
			}
			if len(last.Body) < maxLineBytes/16 {
				last.Body += "\n" + line
			}
			continue
		}
		l := heal.LogRecord{Time: at, Observed: at, Service: f.service(), Body: rest}
		words := strings.Fields(rest)
		for _, word := range words[:min(4, len(words))] { // the level stands near the time
			if l.Severity = levels[strings.ToLower(strings.Trim(word, "[]:"))]; l.Severity > 0 {
				break
			}
		}
		if err := d.addLog(f, l); err != nil {
			return err
		}
		last = &d.Logs[len(d.Logs)-1]
	}
	return nil
}

// leadingTime reads the time a line begins with: one word, or two.
func leadingTime(line string) (at time.Time, rest string, ok bool) {
	line = strings.TrimLeft(line, "[ ")
	one, after, _ := strings.Cut(line, " ")
	if at, ok = readTime(strings.Trim(one, "[]")); ok {
		return at, strings.TrimLeft(after, "] "), true
	}
	two, after, _ := strings.Cut(after, " ")
	at, ok = readTime(strings.TrimRight(one+" "+two, "]:"))
	return at, strings.TrimLeft(after, "] "), ok
}
