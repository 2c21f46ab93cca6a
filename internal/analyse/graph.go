package analyse

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/topology"
)

// readGraph reads who calls whom: "from to", "from -> to" or CSV a line, or one
// JSON object {"edges": [{"from": "a", "to": "b"}]}. A name without a kind is a
// service. A line that begins with # is a remark.
func (d *Data) readGraph(f *file) error {
	first, ok := f.next()
	if ok && strings.HasPrefix(strings.TrimSpace(first), "{") {
		return d.eachJSON(f, first, d.jsonEdges)
	}
	for line := first; ok; line, ok = f.next() {
		if strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.FieldsFunc(strings.ReplaceAll(line, "->", " "), func(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == '\t' })
		if f.line == 1 && len(parts) >= 2 && (strings.EqualFold(parts[0], "from") || strings.EqualFold(parts[0], "source") || strings.EqualFold(parts[0], "caller")) {
			continue // a header
		}
		if len(parts) < 2 {
			return f.wrong("%q is no edge, expected \"from to\", \"from -> to\" or \"from,to\"", line)
		}
		if err := d.edge(f, parts[0], parts[1]); err != nil {
			return err
		}
	}
	return nil
}

func (d *Data) jsonEdges(f *file, data json.RawMessage) error {
	var in struct {
		Edges []struct {
			From   string `json:"from"`
			Source string `json:"source"`
			To     string `json:"to"`
			Target string `json:"target"`
		} `json:"edges"`
	}
	if err := json.Unmarshal(data, &in); err != nil || in.Edges == nil {
		return f.wrong(`the JSON object has no list of edges, expected {"edges": [{"from": "a", "to": "b"}]}`)
	}
	for _, e := range in.Edges {
		if err := d.edge(f, e.From+e.Source, e.To+e.Target); err != nil {
			return err
		}
	}
	return nil
}

func (d *Data) edge(f *file, from, to string) error {
	edge := [2]heal.EntityID{entityOf(from), entityOf(to)}
	for _, id := range edge {
		if err := id.Validate(); err != nil {
			return f.wrong("%v", err)
		}
	}
	if len(d.Edges) >= maxRecords {
		return f.wrong("there are more than %d edges, expected fewer", maxRecords)
	}
	d.Edges = append(d.Edges, edge)
	return nil
}

// entityOf takes a name for that of a service unless it names its kind.
func entityOf(name string) heal.EntityID {
	switch id := heal.EntityID(name); id.Kind() {
	case heal.KindService, heal.KindProcess, heal.KindHost, heal.KindPod, heal.KindDatabase, heal.KindCache, heal.KindQueue, heal.KindExternal:
		if strings.Contains(name, "/") {
			return id
		}
	}
	return heal.ServiceID(name)
}

// graph joins the edges of the file with those that spans show.
func (d *Data) graph(at time.Time) *topology.Graph {
	var seen []topology.Observation
	for _, e := range d.Edges {
		seen = append(seen, topology.Observation{From: e[0], To: e[1], Source: "file", At: at})
	}
	services := make(map[[2]string]string, len(d.Spans))
	for i := range d.Spans {
		s := &d.Spans[i]
		services[[2]string{s.TraceID, s.SpanID}] = s.Service
	}
	known := map[[2]string]bool{}
	for i := range d.Spans {
		s := &d.Spans[i]
		caller := services[[2]string{s.TraceID, s.ParentID}]
		edge := [2]string{caller, s.Service}
		if caller != "" && caller != s.Service && !known[edge] {
			known[edge] = true
			seen = append(seen, topology.Observation{From: heal.ServiceID(caller), To: heal.ServiceID(s.Service), Source: "spans", At: at})
		}
	}
	m := topology.New(topology.Options{})
	m.Observe(seen, at)
	return m.Snapshot()
}
