package incident_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/topology"
)

var rewrite = flag.Bool("rewrite", false, "write what happens into the scripts")

var start = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// TestScripts plays testdata/*.txt. A line is a command; the lines below it
// that begin with "  " are what it must answer. The commands:
//
//	topology A->B ...           edges; replaces the former ones
//	fault TIME TYPE@ENTITY [probe] [service=S] [cluster=C] [alert=A]
//	past N EVERY TYPE@ENTITY+LAG ...   N cases of each long ago, so far apart, each begun so much later
//	clear TIME TYPE@ENTITY
//	detach TIME TYPE@ENTITY
//	state CASE STATE
//	cause CASE ENTITY
//	show                        every open case with its members
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("scripts: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := string(data)
			onsets := incident.NewOnsets(incident.OnsetOptions{})
			w := world{t: t, set: incident.NewSet(incident.Options{Onsets: onsets}), onsets: onsets, cases: map[heal.IncidentID]heal.Incident{}}
			got := w.play(want)
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(got, "\n"), strings.Split(want, "\n")); diff != "" {
				t.Errorf("got -, want +:\n%s", diff)
			}
		})
	}
}

type world struct {
	t      *testing.T
	set    *incident.Set
	onsets *incident.Onsets
	graph  incident.Graph
	cases  map[heal.IncidentID]heal.Incident
	order  []heal.IncidentID
}

func (w *world) play(script string) string {
	var out strings.Builder
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue
		}
		out.WriteString(line + "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for _, answer := range w.do(strings.Fields(line)) {
			out.WriteString("  " + answer + "\n")
		}
	}
	return out.String()
}

func (w *world) do(words []string) []string {
	switch words[0] {
	case "topology":
		w.graph = graphOf(w.t, words[1:]...)
	case "fault":
		return w.fault(words[1:])
	case "past":
		w.past(words[1:])
	case "clear":
		f := w.parse(words[1:])
		id, ok := w.set.Find(f.Scope, f.Key)
		if !ok {
			return []string{"no case"}
		}
		inc, changed := incident.Clear(w.cases[id], f.Key, "", f.Began)
		w.keep(inc)
		return []string{fmt.Sprintf("%s changed=%v", id, changed)}
	case "detach":
		f := w.parse(words[1:])
		id, _ := w.set.Find(f.Scope, f.Key)
		inc, gone, ok := incident.Detach(w.cases[id], f.Key, f.Began)
		w.keep(inc)
		return []string{fmt.Sprintf("%s %s %v", id, gone.Key, ok)}
	case "state":
		inc := w.cases[heal.IncidentID(words[1])]
		inc.State = heal.CaseState(words[2])
		w.keep(inc)
	case "cause":
		inc := w.cases[heal.IncidentID(words[1])]
		inc.Cause = heal.EntityID(words[2])
		w.keep(inc)
	case "show":
		return w.show()
	default:
		w.t.Fatalf("unknown command %q", words[0])
	}
	return nil
}

func (w *world) keep(inc heal.Incident) {
	w.cases[inc.ID] = inc
	w.set.Put(inc)
}

func (w *world) fault(words []string) []string {
	f := w.parse(words)
	now := f.Began
	a := w.set.Assign(f, w.graph, now)
	verb := "joins " + string(a.Join)
	if a.Join == "" {
		id := heal.IncidentID(fmt.Sprintf("case%d", len(w.order)+1))
		w.order = append(w.order, id)
		w.keep(incident.New(id, f, now))
		verb = "opens " + string(id)
	} else {
		w.keep(incident.Join(w.cases[a.Join], f, a, now))
	}
	var codes []string
	for _, r := range a.Reasons {
		codes = append(codes, r.Code)
	}
	answer := []string{fmt.Sprintf("%s as %s, %.2f: %s", verb, a.Role, a.Score, strings.Join(codes, " "))}
	if a.Reasons[0].Code == incident.BeganTogether {
		answer = append(answer, a.Reasons[0].Text)
	}
	return answer
}

// past notes what began before the script does.
func (w *world) past(words []string) {
	n, err := strconv.Atoi(words[0])
	if err != nil {
		w.t.Fatal(err)
	}
	every, err := time.ParseDuration(words[1])
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range n {
		for _, word := range words[2:] {
			what, lag, _ := strings.Cut(word, "+")
			f := w.parse([]string{lag, what})
			f.Began = f.Began.Add(-time.Duration(i+1) * every)
			w.onsets.Note(&f)
		}
	}
}

func (w *world) parse(words []string) heal.Fault {
	after, err := time.ParseDuration(words[0])
	if err != nil {
		w.t.Fatal(err)
	}
	typ, entity, _ := strings.Cut(words[1], "@")
	at := start.Add(after)
	f := heal.Fault{
		Key:   heal.FaultKey{Type: heal.FaultType(typ), Entity: heal.EntityID(entity)},
		Scope: heal.DefaultScope, Severity: heal.Warning, Began: at, Detected: at, LastSeen: at,
	}
	if f.Key.Entity.Kind() == heal.KindService {
		f.Scope = f.Scope.WithService(f.Key.Entity.Name())
	}
	for _, word := range words[2:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "probe":
			f.Condition.Kind = heal.ConditionProbe
		case "service":
			f.Scope.Service = value
		case "alert":
			f.AlertName = value
		case "cluster":
			f.Scope.Cluster = value
		default:
			w.t.Fatalf("unknown option %q", word)
		}
	}
	return f
}

func (w *world) show() []string {
	var lines []string
	for _, id := range w.order {
		inc := w.cases[id]
		lines = append(lines, fmt.Sprintf("%s %s %.2f", id, inc.State, inc.Score))
		for _, m := range inc.Members {
			mark := ""
			if !m.Fault.ClearedAt.IsZero() {
				mark = " cleared"
			}
			lines = append(lines, fmt.Sprintf("  %s %s%s", m.Role, m.Fault.Key, mark))
		}
	}
	return lines
}

func graphOf(t testing.TB, edges ...string) *topology.Graph {
	t.Helper()
	m := topology.New(topology.Options{})
	var seen []topology.Observation
	for _, e := range edges {
		from, to, _ := strings.Cut(e, "->")
		seen = append(seen, topology.Observation{From: entity(from), To: entity(to), Source: "test", At: start})
	}
	if tally := m.Observe(seen, start); tally.Invalid > 0 {
		t.Fatalf("edges %v: %v", edges, tally.First)
	}
	return m.Snapshot()
}

func entity(name string) heal.EntityID {
	if strings.Contains(name, "/") {
		return heal.EntityID(name)
	}
	return heal.ServiceID(name)
}
