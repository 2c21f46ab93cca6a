package analyse

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// readTraces reads spans: a JSON object a line, OTLP as JSON, or CSV.
func (d *Data) readTraces(f *file) error {
	first, ok := f.next()
	if !ok {
		return nil
	}
	if strings.HasPrefix(strings.TrimSpace(first), "{") {
		return d.eachJSON(f, first, d.otlpSpans)
	}
	header, err := fields(first)
	if err != nil {
		return f.wrong("%v", err)
	}
	return d.rows(f, header, d.span)
}

// rows reads the rows of a CSV file, each by the plain names of its columns.
func (d *Data) rows(f *file, header []string, take func(*file, map[string]string) error) error {
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
		if err := take(f, record); err != nil {
			return err
		}
	}
}

// first gives the first of the fields that is set.
func first(r map[string]string, names ...string) string {
	for _, n := range names {
		if v := strings.TrimSpace(r[n]); v != "" {
			return v
		}
	}
	return ""
}

// span takes one span by the usual names of its fields.
func (d *Data) span(f *file, r map[string]string) error {
	s := heal.Span{
		TraceID: first(r, "traceid", "trace"), SpanID: first(r, "spanid", "span", "id"), ParentID: first(r, "parentspanid", "parentid", "parentspan", "parent"),
		Service: first(r, "servicename", "service", "localservice", "podname", "pod", "cmdbid"), Instance: first(r, "instance", "podname"),
		Operation: first(r, "operationname", "operation", "spanname", "name"), Kind: kindOf(first(r, "kind", "spankind")),
		StatusMessage: first(r, "statusmessage"),
	}
	if s.ParentID == "root" || len(s.ParentID) >= 8 && strings.Trim(s.ParentID, "0") == "" {
		s.ParentID = ""
	}
	if s.Service == "" {
		s.Service = f.service()
	}
	if s.TraceID == "" || s.SpanID == "" {
		return f.wrong("the span has no trace_id or no span_id, expected both")
	}
	begin := first(r, "starttimeunixnano", "starttime", "start", "timestamp", "time")
	var ok bool
	if s.Start, ok = readTime(begin); !ok {
		return f.wrong("the start of the span is %q, %s", begin, timesExpected)
	}
	if s.Duration, ok = duration(r, s.Start); !ok {
		return f.wrong("the span has neither an end nor a duration that can be read, expected end_time, duration_ms, duration_us, duration_ns or duration (s, or with a unit)")
	}
	switch status := strings.ToLower(first(r, "error", "status", "statuscode", "otelstatuscode")); {
	case status == "" || status == "false" || strings.Contains(status, "ok") || strings.Contains(status, "unset"):
	case strings.Contains(status, "err") || status == "true" || strings.Contains(status, "fail"):
		s.Error = true
	default:
		n, err := strconv.Atoi(status)
		s.Error = err == nil && (n == 1 || n == 2 || n >= 500) // a flag, OTLP's code, or HTTP's
	}
	return d.addSpan(f, s)
}

func (d *Data) addSpan(f *file, s heal.Span) error {
	if len(d.Spans) >= maxRecords {
		return f.wrong("there are more than %d spans, expected fewer", maxRecords)
	}
	d.Spans = append(d.Spans, s)
	return nil
}

func duration(r map[string]string, start time.Time) (time.Duration, bool) {
	if end, ok := readTime(first(r, "endtimeunixnano", "endtime", "end")); ok {
		return max(end.Sub(start), 0), true
	}
	for name, unit := range map[string]time.Duration{"durationms": time.Millisecond, "durationus": time.Microsecond, "durationns": 1, "durationnano": 1, "elapsedtime": time.Millisecond} {
		if n, err := strconv.ParseFloat(r[name], 64); err == nil && n >= 0 {
			return time.Duration(n * float64(unit)), true
		}
	}
	text := first(r, "duration")
	if n, err := strconv.ParseFloat(text, 64); err == nil && n >= 0 {
		return time.Duration(n * float64(time.Second)), true
	}
	took, err := time.ParseDuration(text)
	return took, err == nil && took >= 0
}

func kindOf(text string) heal.SpanKind {
	text = strings.ToLower(strings.TrimPrefix(strings.ToUpper(text), "SPAN_KIND_"))
	switch kind := heal.SpanKind(text); kind {
	case heal.SpanServer, heal.SpanClient, heal.SpanProducer, heal.SpanConsumer, heal.SpanInternal:
		return kind
	}
	numbers := map[string]heal.SpanKind{"1": heal.SpanInternal, "2": heal.SpanServer, "3": heal.SpanClient, "4": heal.SpanProducer, "5": heal.SpanConsumer}
	return numbers[text]
}

// kinds sets the kinds of spans that name none, by who calls whom: a request
// enters a service with a span whose parent is elsewhere, and leaves it with one
// that has a child elsewhere.
func (d *Data) kinds() {
	at := make(map[[2]string]*heal.Span, len(d.Spans))
	var unsaid []*heal.Span
	for i := range d.Spans {
		s := &d.Spans[i]
		at[[2]string{s.TraceID, s.SpanID}] = s
		if s.Kind == "" {
			unsaid = append(unsaid, s)
		}
	}
	for _, s := range unsaid {
		s.Kind = heal.SpanInternal
	}
	for _, s := range unsaid {
		parent := at[[2]string{s.TraceID, s.ParentID}]
		if parent == nil || parent.Service != s.Service {
			s.Kind = heal.SpanServer
		}
	}
	for _, s := range unsaid {
		parent := at[[2]string{s.TraceID, s.ParentID}]
		if parent != nil && parent.Service != s.Service && parent.Kind == heal.SpanInternal {
			parent.Kind = heal.SpanClient
		}
	}
}

// eachJSON reads a file of JSON: an object a line, or one over many lines. OTLP
// is told by its outermost field and read by otlp; other objects are records.
func (d *Data) eachJSON(f *file, line string, otlp func(*file, json.RawMessage) error) error {
	var whole []byte
	for ok := true; ok; line, ok = f.next() {
		data := []byte(line)
		if len(whole) > 0 {
			whole = append(append(whole, '\n'), data...)
			data = whole
		}
		if !json.Valid(data) {
			if len(data) > maxFileBytes/8 {
				return f.wrong("the JSON object is larger than %d bytes", maxFileBytes/8)
			}
			if len(whole) == 0 {
				whole = bytes.Clone(data)
			}
			continue
		}
		if err := otlp(f, data); err != nil {
			return err
		}
		whole = whole[:0]
	}
	if len(whole) > 0 {
		return f.wrong("it ends within a JSON object, or the object is malformed: %v", json.Unmarshal(whole, new(json.RawMessage)))
	}
	return nil
}

// flat gives the fields of a JSON object as text, by their plain names.
func flat(data json.RawMessage) (map[string]string, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, err
	}
	out := make(map[string]string, len(object))
	for name, value := range object {
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		if text != "null" {
			out[plain(name)] = text
		}
	}
	return out, nil
}
