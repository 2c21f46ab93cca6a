package topology_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/topology"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// graphOf builds a graph of services from pairs "caller callee".
func graphOf(t testing.TB, pairs ...[2]string) *topology.Graph {
	t.Helper()
	m := topology.New(topology.Options{})
	for _, p := range pairs {
		o := topology.Observation{From: heal.ServiceID(p[0]), To: heal.ServiceID(p[1]), Source: "spans", Calls: 1}
		if tally := m.Observe([]topology.Observation{o}, noon); tally.First != nil {
			t.Fatal(tally.First)
		}
	}
	return m.Snapshot()
}

func names(ids []heal.EntityID) []string {
	var out []string
	for _, id := range ids {
		out = append(out, id.Name())
	}
	return out
}

func TestWalks(t *testing.T) {
	shop := [][2]string{
		{"front", "cart"}, {"front", "pay"}, {"cart", "stock"}, {"pay", "bank"}, {"stock", "db"}, {"bank", "db"}, {"admin", "stock"},
	}
	ring := [][2]string{{"a", "b"}, {"b", "c"}, {"c", "a"}, {"a", "a"}}
	tests := []struct {
		name     string
		edges    [][2]string
		from, to string
		path     []string
		reach    []string // from, without limit
		near     []string // from, one step
		blast    []string // of to
	}{
		{"empty graph", nil, "a", "b", nil, nil, nil, nil},
		{"equally short ways", shop, "front", "db", []string{"front", "cart", "stock", "db"}, []string{"cart", "pay", "bank", "stock", "db"}, []string{"cart", "pay"}, []string{"bank", "stock", "admin", "cart", "pay", "front"}},
		{"against the direction", shop, "db", "front", nil, nil, nil, nil},
		{"to itself", shop, "cart", "cart", []string{"cart"}, []string{"stock", "db"}, []string{"stock"}, []string{"front"}},
		{"unknown start", shop, "ghost", "cart", nil, nil, nil, []string{"front"}},
		{"unknown end", shop, "cart", "ghost", nil, []string{"stock", "db"}, []string{"stock"}, nil},
		{"cycle with self edge", ring, "a", "c", []string{"a", "b", "c"}, []string{"b", "c"}, []string{"b"}, []string{"b", "a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := graphOf(t, tt.edges...)
			from, to := heal.ServiceID(tt.from), heal.ServiceID(tt.to)
			path, ok := g.Path(from, to)
			if ok != (tt.path != nil) {
				t.Errorf("Path: got found %v, want %v", ok, tt.path != nil)
			}
			check(t, "Path", names(path), tt.path)
			check(t, "Reachable without limit", names(g.Reachable(from, 0)), tt.reach)
			check(t, "Reachable in one step", names(g.Reachable(from, 1)), tt.near)
			check(t, "BlastRadius", names(g.BlastRadius(to)), tt.blast)
		})
	}
}

func check(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("%s (-got +want):\n%s", what, diff)
	}
}

func TestNeighbours(t *testing.T) {
	g := graphOf(t, [2]string{"b", "z"}, [2]string{"b", "a"}, [2]string{"b", "b"}, [2]string{"c", "b"})
	var down, up []string
	for _, e := range g.Downstream("service/b") {
		down = append(down, e.To.Name())
	}
	for _, e := range g.Upstream("service/b") {
		up = append(up, e.From.Name())
	}
	check(t, "Downstream", down, []string{"a", "b", "z"})
	check(t, "Upstream", up, []string{"b", "c"})
	if _, ok := g.Edge("service/c", "service/b"); !ok {
		t.Error("Edge c to b: got none")
	}
	if _, ok := g.Edge("service/b", "service/c"); ok {
		t.Error("Edge b to c: got one, want none")
	}
}

func TestZeroGraphIsEmpty(t *testing.T) {
	var g topology.Graph
	if n := len(g.Entities()) + len(g.Edges()) + len(g.BlastRadius("service/a")); n != 0 {
		t.Errorf("zero graph: got %d things, want none", n)
	}
}

// FuzzWalks checks on random graphs, cycles included, that a path is a path
// and that it exists exactly where Reachable and BlastRadius say so.
func FuzzWalks(f *testing.F) {
	f.Add([]byte{0, 1, 1, 2, 2, 0}, byte(0), byte(2))
	f.Add([]byte{3, 3, 3, 4}, byte(3), byte(3))
	f.Fuzz(func(t *testing.T, pairs []byte, a, b byte) {
		m := topology.New(topology.Options{})
		for i := 0; i+1 < len(pairs) && i < 400; i += 2 {
			m.Observe([]topology.Observation{{From: number(pairs[i]), To: number(pairs[i+1]), Source: "spans"}}, noon)
		}
		g, from, to := m.Snapshot(), number(a), number(b)
		path, ok := g.Path(from, to)
		for i := 0; i+1 < len(path); i++ {
			if _, linked := g.Edge(path[i], path[i+1]); !linked {
				t.Errorf("path %v: no edge from %s to %s", path, path[i], path[i+1])
			}
		}
		if ok && (path[0] != from || path[len(path)-1] != to) {
			t.Errorf("path %v does not lead from %s to %s", path, from, to)
		}
		if from == to {
			return
		}
		if got := slices.Contains(g.Reachable(from, 0), to); got != ok {
			t.Errorf("Reachable(%s) contains %s: got %v, want %v as Path says", from, to, got, ok)
		}
		if got := slices.Contains(g.BlastRadius(to), from); got != ok {
			t.Errorf("BlastRadius(%s) contains %s: got %v, want %v as Path says", to, from, got, ok)
		}
		if ok && !slices.Contains(g.Reachable(from, len(path)-1), to) {
			t.Errorf("Reachable within %d steps misses %s, path %v", len(path)-1, to, path)
		}
		if len(path) > 2 && slices.Contains(g.Reachable(from, len(path)-2), to) {
			t.Errorf("path %v is not the shortest", path)
		}
	})
}

func number(b byte) heal.EntityID { return heal.ServiceID(fmt.Sprint(b % 24)) }

// bigMap holds 5,000 services with 20,000 edges.
func bigMap(tb testing.TB) *topology.Map {
	tb.Helper()
	m := topology.New(topology.Options{})
	random := rand.New(rand.NewPCG(1, 2))
	var batch []topology.Observation
	for range 20_000 {
		from, to := random.IntN(5000), random.IntN(5000)
		batch = append(batch, topology.Observation{From: heal.ServiceID(fmt.Sprint(from)), To: heal.ServiceID(fmt.Sprint(to)), Source: "spans", Calls: 1})
	}
	if tally := m.Observe(batch, noon); tally != (topology.Tally{}) {
		tb.Fatalf("Observe: got %+v, want all taken", tally)
	}
	return m
}

func BenchmarkBlastRadius5000(b *testing.B) {
	g := bigMap(b).Snapshot()
	for b.Loop() {
		g.BlastRadius("service/17")
	}
}

func BenchmarkPath5000(b *testing.B) {
	g := bigMap(b).Snapshot()
	for b.Loop() {
		g.Path("service/17", "service/4711")
	}
}

func BenchmarkSnapshot5000(b *testing.B) {
	m := bigMap(b)
	change := []topology.Observation{{From: "service/1", To: "service/2", Source: "spans", Calls: 1}}
	for b.Loop() {
		m.Observe(change, noon)
		m.Snapshot()
	}
}
