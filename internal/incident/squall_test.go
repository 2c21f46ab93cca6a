package incident_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/topology"
)

// squall is many alerts of few causes.
type squall struct {
	name   string
	graph  *topology.Graph
	faults []heal.Fault // in the order they come
	want   []heal.EntityID
	most   int // cases
}

// stormTypes are what alerts of one suffering service speak of.
var stormTypes = []heal.FaultType{heal.PerformanceDegradation, heal.ErrorsRaised, heal.ConnectionFailure, heal.ResourceExhaustion, heal.UnknownFault}

const stormSize = 10_000

// trees are services that call each other in trees of three callers each, one
// tree a root; everything calls what is nearer to its root.
func trees(roots, size int) (*topology.Graph, [][]heal.EntityID) {
	var seen []topology.Observation
	all := make([][]heal.EntityID, roots)
	for r := range roots {
		for i := range size {
			id := heal.ServiceID(fmt.Sprintf("r%d-%d", r, i))
			all[r] = append(all[r], id)
			if i > 0 {
				seen = append(seen, topology.Observation{From: id, To: all[r][(i-1)/3], Source: "test", At: stormBegan})
			}
		}
	}
	m := topology.New(topology.Options{})
	m.Observe(seen, stormBegan)
	return m.Snapshot(), all
}

var stormBegan = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func stormFault(typ heal.FaultType, id heal.EntityID, after time.Duration) heal.Fault {
	at := stormBegan.Add(after)
	return heal.Fault{Key: heal.FaultKey{Type: typ, Entity: id}, Source: "test", Severity: heal.Warning, Scope: heal.DefaultScope.WithService(id.Name()), Began: at, Detected: at, LastSeen: at}
}

// storms are the shapes in which thousands of alerts come.
func squalls() []squall {
	// Where symptoms come before their roots, branches below a common callee that
	// is not known to be faulty yet are cases of their own, as nothing ties them. At
	// most one in a hundred alerts may be: their diagnoses then join them.
	const mixed = stormSize / 100
	first, one := squall{name: "one root, then its symptoms", most: 3}, squall{name: "one root in the midst of its symptoms", most: mixed}
	three, flap := squall{name: "three roots in the midst of theirs", most: mixed}, squall{name: "flapping", most: 3}
	var ids [][]heal.EntityID
	one.graph, ids = trees(1, 400)
	one.want = []heal.EntityID{ids[0][0]}
	first.graph, first.want = one.graph, one.want
	for i := range stormSize {
		first.faults = append(first.faults, stormFault(stormTypes[i%len(stormTypes)], ids[0][(i*7919)%len(ids[0])], time.Duration(i)*10*time.Millisecond))
	}
	for i := range stormSize {
		// Symptoms come first and mixed, the root is noticed in their midst.
		at := (i * 7919) % len(ids[0])
		if at == 0 && i < stormSize/20 {
			at = 1
		}
		one.faults = append(one.faults, stormFault(stormTypes[i%len(stormTypes)], ids[0][at], time.Duration(i)*10*time.Millisecond))
	}
	three.graph, ids = trees(3, 200)
	for r := range ids {
		three.want = append(three.want, ids[r][0])
	}
	for i := range stormSize {
		tree := ids[i%3]
		three.faults = append(three.faults, stormFault(stormTypes[i/3%len(stormTypes)], tree[(i*7919)%len(tree)], time.Duration(i)*10*time.Millisecond))
	}
	flap.graph, ids = trees(1, 10)
	flap.want = []heal.EntityID{ids[0][0]}
	for i := range stormSize {
		f := stormFault(stormTypes[i%2], ids[0][i/2%10], time.Duration(i)*10*time.Millisecond)
		if i%4 >= 2 {
			f.ClearedAt = f.LastSeen
		}
		flap.faults = append(flap.faults, f)
	}
	return []squall{first, one, three, flap}
}

// weather brings a storm into cases, as the loop does.
func weather(s squall) map[heal.IncidentID]*incident.Change {
	set := incident.NewSet(incident.Options{})
	cases := map[heal.IncidentID]*incident.Change{}
	for _, f := range s.faults {
		at := f.LastSeen
		if !f.ClearedAt.IsZero() {
			if id, ok := set.Find(f.Scope, f.Key); ok {
				cases[id].Clear(f.Key, "", at)
				set.Put(cases[id].Incident)
			}
			continue
		}
		a := set.Assign(f, s.graph, at)
		c := cases[a.Join]
		if c == nil {
			a.Join = heal.IncidentID(fmt.Sprintf("case-%06d", len(cases)))
			c = incident.Begin(incident.New(a.Join, f, at))
			cases[a.Join] = c
		} else {
			c.Join(f, a, at)
		}
		set.Put(c.Incident)
	}
	return cases
}

// TestSqualls makes few cases of 10,000 alerts, one on each root of the symptoms.
func TestSqualls(t *testing.T) {
	for _, s := range squalls() {
		t.Run(s.name, func(t *testing.T) {
			stands := map[heal.EntityID]int{}
			cases := weather(s)
			for _, c := range cases {
				stands[c.PrimaryFault().Key.Entity]++
			}
			for _, root := range s.want {
				if stands[root] == 0 {
					t.Errorf("no case stands on %s, where it began", root)
				}
			}
			if len(cases) > s.most {
				t.Errorf("got %d cases of %d alerts, want at most %d", len(cases), len(s.faults), s.most)
			}
			t.Logf("%d cases of %d alerts", len(cases), len(s.faults))
		})
	}
}

// BenchmarkSqualls is 10,000 alerts an operation.
func BenchmarkSqualls(b *testing.B) {
	for _, s := range squalls() {
		b.Run(s.name, func(b *testing.B) {
			for b.Loop() {
				weather(s)
			}
		})
	}
}
