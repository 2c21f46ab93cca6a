package analyse

import (
	"encoding/csv"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/cause"
)

var (
	timeNames    = []string{"timestamp", "time", "ts", "datetime", "date", "timeunixnano", "starttime", "start"}
	serviceNames = []string{"servicename", "service", "entity", "component", "app", "pod", "podname", "job", "instance", "cmdbid"}
)

// readMetrics reads CSV, long (time, service, metric, value) or wide (time and a
// column a metric), or OTLP as JSON.
func (d *Data) readMetrics(f *file) error {
	first, ok := f.next()
	if !ok {
		return nil
	}
	if strings.HasPrefix(strings.TrimSpace(first), "{") {
		return d.eachJSON(f, first, d.otlpMetrics)
	}
	header, err := fields(first)
	if err != nil {
		return f.wrong("%v", err)
	}
	at := named(header, timeNames...)
	if at < 0 {
		return f.wrong("the header has no column of times, expected one named %s, or OTLP as JSON", strings.Join(timeNames[:3], ", "))
	}
	service := named(header, serviceNames...)
	metric, value := named(header, "metric", "metricname", "name", "kpi", "kpiname"), named(header, "value", "val")
	for {
		line, ok := f.next()
		if !ok {
			return nil
		}
		row, err := fields(line)
		if err != nil || len(row) != len(header) {
			return f.wrong("the row has %d fields, expected %d as the header", len(row), len(header))
		}
		when, ok := readTime(row[at])
		if !ok {
			return f.wrong("%q is no time, %s", row[at], timesExpected)
		}
		who := f.service()
		if service >= 0 && row[service] != "" {
			who = row[service]
		}
		if metric >= 0 && value >= 0 {
			if err := d.number(f, who, row[metric], when, row[value], true); err != nil {
				return err
			}
			continue
		}
		for i, name := range header {
			if i == at || i == service {
				continue
			}
			owner, column := who, name
			if service < 0 { // as in cart:latency, cart/latency
				if a, b, ok := strings.Cut(name, ":"); ok {
					owner, column = a, b
				} else if a, b, ok := strings.Cut(name, "/"); ok {
					owner, column = a, b
				}
			}
			if err := d.number(f, owner, column, when, row[i], false); err != nil {
				return err
			}
		}
	}
}

func fields(line string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(line))
	r.LazyQuotes = true
	return r.Read()
}

// number takes one value. In a wide table a column of words is a label of the
// row and passed over; an empty field is a gap everywhere.
func (d *Data) number(f *file, service, name string, at time.Time, text string, must bool) error {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		if must {
			return f.wrong("%q is no number", text)
		}
		return nil
	}
	return d.sample(f, service, name, at, v)
}

func (d *Data) sample(f *file, service, name string, at time.Time, v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil // a gap
	}
	key := [2]string{service, name}
	c := d.columns[key]
	if c == nil {
		if len(d.columns) >= maxRecords/100 {
			return f.wrong("there are more than %d series, expected fewer", maxRecords/100)
		}
		c = &Column{Service: service, Name: name}
		d.columns[key] = c
		d.Columns = append(d.Columns, c)
	}
	if len(c.Samples) >= maxRecords {
		return f.wrong("%s of %s has more than %d samples, expected fewer", name, service, maxRecords)
	}
	c.Samples = append(c.Samples, cause.Sample{At: at, Value: v})
	return nil
}

// measureWord says that a metric with a word in its name measures something.
type measureWord struct {
	word    string
	measure cause.Measure
}

// measures are asked in order: the first word that occurs counts.
var measures = []measureWord{
	{"latency", cause.MeasureLatency},
	{"duration", cause.MeasureLatency},
	{"responsetime", cause.MeasureLatency},
	{"rt_", cause.MeasureLatency},
	{"error", cause.MeasureErrors},
	{"fail", cause.MeasureErrors},
	{"availab", cause.MeasureErrors},
	{"success", cause.MeasureErrors},
	{"cpu", cause.MeasureCPU},
	{"memory", cause.MeasureMemory},
	{"mem_", cause.MeasureMemory},
	{"heap", cause.MeasureMemory},
	{"network", cause.MeasureNetwork},
	{"disk", cause.MeasureDisk},
	{"filesystem", cause.MeasureDisk},
	{"request", cause.MeasureTraffic},
	{"workload", cause.MeasureTraffic},
	{"calls", cause.MeasureTraffic},
	{"qps", cause.MeasureTraffic},
	{"rps", cause.MeasureTraffic},
}

// measureOf says what a column measures and brings its values to the unit that
// goes with that: latency to seconds, failures to a share. What counts failures
// rather than their share is another measure.
func measureOf(c *Column) (cause.Measure, string) {
	name := strings.ToLower(c.Name)
	i := slices.IndexFunc(measures, func(m measureWord) bool { return strings.Contains(name, m.word) })
	if i < 0 {
		return cause.MeasureOther, ""
	}
	most := 0.0
	for _, s := range c.Samples {
		most = max(most, math.Abs(s.Value))
	}
	switch m := measures[i].measure; m {
	case cause.MeasureLatency:
		c.scale(secondsIn(name))
		return m, "s"
	case cause.MeasureErrors:
		switch {
		case strings.Contains(name, "%") || strings.Contains(name, "percent"):
			c.scale(0.01)
		case most > 1:
			return cause.MeasureOther, ""
		}
		if strings.Contains(name, "availab") || strings.Contains(name, "success") {
			for i := range c.Samples {
				c.Samples[i].Value = 1 - c.Samples[i].Value
			}
			c.Name += " (failing share)"
		}
		return m, "1"
	case cause.MeasureCPU, cause.MeasureMemory, cause.MeasureDisk:
		switch {
		case strings.Contains(name, "%") || strings.Contains(name, "percent"):
			return m, "%"
		case strings.Contains(name, "ratio") || strings.Contains(name, "utilization") || strings.Contains(name, "utilisation"):
			return m, "1"
		}
		return m, ""
	case cause.MeasureTraffic, cause.MeasureNetwork, cause.MeasureOther:
		return m, ""
	}
	return cause.MeasureOther, ""
}

func (c *Column) scale(by float64) {
	if by != 1 {
		for i := range c.Samples {
			c.Samples[i].Value *= by
		}
	}
}

// secondsIn is how many seconds the unit in a name has, 1 if it names none.
func secondsIn(name string) float64 {
	words := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("_-.() /", r) })
	for _, w := range words {
		switch w {
		case "ms", "millis", "milliseconds", "msec":
			return 1e-3
		case "us", "micros", "microseconds", "usec":
			return 1e-6
		case "ns", "nanos", "nanoseconds", "nsec":
			return 1e-9
		}
	}
	return 1
}
