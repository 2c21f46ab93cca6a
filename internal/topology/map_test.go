package topology_test

import (
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/topology"
)

func TestObserveMergesSources(t *testing.T) {
	m := topology.New(topology.Options{})
	m.Observe([]topology.Observation{
		{From: "service/cart", To: "database/orders", Source: "spans", Calls: 10, Errors: 1, At: noon.Add(-time.Minute)},
		{From: "service/cart", To: "database/orders", Source: "file", At: noon.Add(-time.Hour)},
	}, noon)
	before := m.Snapshot()
	m.Observe([]topology.Observation{
		{From: "service/cart", To: "database/orders", Source: "spans", Calls: 5, Errors: 2, At: noon.Add(time.Hour)}, // a clock ahead
	}, noon)

	got, _ := m.Snapshot().Edge("service/cart", "database/orders")
	check(t, "Edge", got, topology.Edge{
		From: "service/cart", To: "database/orders",
		Sources: []topology.Sighting{
			{Source: "file", FirstSeen: noon.Add(-time.Hour), LastSeen: noon.Add(-time.Hour)},
			{Source: "spans", FirstSeen: noon.Add(-time.Minute), LastSeen: noon, Calls: 15, Errors: 3},
		},
	})
	if calls, errors := got.Traffic(); calls != 15 || errors != 3 {
		t.Errorf("Traffic: got %d, %d, want 15, 3", calls, errors)
	}
	check(t, "FirstSeen", got.FirstSeen(), noon.Add(-time.Hour))
	check(t, "Age", got.Age(noon.Add(time.Minute)), time.Minute)

	old, _ := before.Edge("service/cart", "database/orders")
	if calls, _ := old.Traffic(); calls != 10 {
		t.Errorf("the older snapshot changed: got %d calls, want 10", calls)
	}
}

func TestObserveRefuses(t *testing.T) {
	ok := topology.Observation{From: "service/a", To: "service/b", Source: "spans"}
	with := func(change func(*topology.Observation)) topology.Observation {
		o := ok
		change(&o)
		return o
	}
	tests := []struct {
		name string
		o    topology.Observation
	}{
		{"wildcard", with(func(o *topology.Observation) { o.To = "service/*" })},
		{"empty id", with(func(o *topology.Observation) { o.From = "" })},
		{"no source", with(func(o *topology.Observation) { o.Source = "" })},
		{"negative calls", with(func(o *topology.Observation) { o.Calls = -1 })},
		{"more errors than calls", with(func(o *topology.Observation) { o.Errors = 1 })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := topology.New(topology.Options{})
			tally := m.Observe([]topology.Observation{tt.o, ok}, noon)
			if tally.Invalid != 1 || !heal.Is(tally.First, heal.Invalid) {
				t.Errorf("Observe: got %+v, want one invalid", tally)
			}
			if got := len(m.Snapshot().Edges()); got != 1 {
				t.Errorf("edges: got %d, want the valid one", got)
			}
		})
	}
}

func TestCountsDoNotWrap(t *testing.T) {
	m := topology.New(topology.Options{})
	o := []topology.Observation{{From: "service/a", To: "service/b", Source: "spans", Calls: math.MaxInt64}}
	m.Observe(o, noon)
	m.Observe(o, noon)
	e, _ := m.Snapshot().Edge("service/a", "service/b")
	if calls, _ := e.Traffic(); calls != math.MaxInt64 {
		t.Errorf("calls: got %d, want the largest number", calls)
	}
}

func TestPutMergesDescriptions(t *testing.T) {
	m := topology.New(topology.Options{})
	shop := heal.Scope{Tenant: "acme", Env: "prod", Cluster: "eu", Service: "cart"}
	m.Put("file", []heal.Entity{{ID: "service/cart", Scope: shop, Attributes: map[string]string{"owner": "team a", "port": "80"}}}, noon)
	m.Put("spans", []heal.Entity{{ID: "service/cart", Scope: shop, Attributes: map[string]string{"port": "8080"}}}, noon.Add(time.Minute))
	m.Put("file", []heal.Entity{{ID: "service/cart", Scope: shop, Attributes: map[string]string{"owner": "team b"}}}, noon)
	m.Observe([]topology.Observation{{From: "service/cart", To: "host/one", Source: "spans"}}, noon)

	g := m.Snapshot()
	check(t, "Entities", g.Entities(), []heal.Entity{
		{ID: "host/one", Scope: heal.DefaultScope},
		{ID: "service/cart", Scope: shop, Attributes: map[string]string{"owner": "team b", "port": "8080"}},
	})
	if _, ok := g.Entity("service/ghost"); ok {
		t.Error("Entity(service/ghost): got one, want none")
	}
	if tally := m.Put("", []heal.Entity{{ID: "service/cart"}}, noon); tally.Invalid != 1 {
		t.Errorf("Put without source: got %+v, want one invalid", tally)
	}
}

func TestPruneBySource(t *testing.T) {
	m := topology.New(topology.Options{})
	m.Observe([]topology.Observation{
		{From: "service/a", To: "service/b", Source: "spans", At: noon.Add(-2 * time.Hour)},
		{From: "service/a", To: "service/b", Source: "file"},
		{From: "service/b", To: "service/c", Source: "spans", At: noon.Add(-2 * time.Hour)},
	}, noon)
	m.Put("file", []heal.Entity{{ID: "service/d"}}, noon.Add(-2*time.Hour))

	edges, entities := m.Prune(noon, time.Hour)
	if edges != 1 || entities != 2 {
		t.Errorf("Prune: got %d edges and %d entities gone, want 1 and 2", edges, entities)
	}
	g := m.Snapshot()
	e, _ := g.Edge("service/a", "service/b")
	check(t, "sources left", len(e.Sources), 1)
	check(t, "entities left", len(g.Entities()), 2)
}

func TestLimits(t *testing.T) {
	m := topology.New(topology.Options{MaxEntities: 3, MaxEdges: 2})
	edge := func(from, to heal.EntityID) topology.Observation {
		return topology.Observation{From: from, To: to, Source: "spans"}
	}
	tally := m.Observe([]topology.Observation{
		edge("service/a", "service/b"),
		edge("service/c", "service/d"), // a fourth entity
		edge("service/b", "service/b"),
		edge("service/b", "service/a"), // a third edge
		edge("service/a", "service/b"), // known: taken
	}, noon)
	check(t, "Observe", tally, topology.Tally{OverLimit: 2})
	check(t, "Put", m.Put("file", []heal.Entity{{ID: "service/c"}, {ID: "service/d"}, {ID: "service/a"}}, noon), topology.Tally{OverLimit: 1})
	check(t, "entities", len(m.Snapshot().Entities()), 3)
}

func TestStateRoundTrip(t *testing.T) {
	m := topology.New(topology.Options{})
	m.Observe([]topology.Observation{
		{From: "service/a", To: "service/b", Source: "spans", Calls: 4, Errors: 1, At: noon.Add(-time.Hour)},
		{From: "service/a", To: "service/b", Source: "file"},
	}, noon)
	m.Put("file", []heal.Entity{{ID: "service/lonely", Scope: heal.DefaultScope, Attributes: map[string]string{"k": "v"}}}, noon)
	want := m.Snapshot().State()

	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var stored topology.State
	if err := json.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	again := topology.New(topology.Options{})
	check(t, "Load", again.Load(stored), topology.Tally{})
	check(t, "state after Load", again.Snapshot().State(), want)
}

func TestLoadLeavesOutWhatIsWrong(t *testing.T) {
	m := topology.New(topology.Options{MaxEntities: 2})
	tally := m.Load(topology.State{
		Nodes: []topology.Node{{Entity: heal.Entity{ID: "nonsense"}, Sources: []topology.Account{{Source: "file"}}}},
		Edges: []topology.Edge{
			{From: "service/a", To: "service/b", Sources: []topology.Sighting{{Source: "spans", LastSeen: noon}}},
			{From: "service/a", To: "service/b", Sources: []topology.Sighting{{Source: "bad", Calls: -1}}},
			{From: "service/b", To: "service/c", Sources: []topology.Sighting{{Source: "spans"}}},
		},
	})
	if tally.Invalid != 2 || tally.OverLimit != 1 {
		t.Errorf("Load: got %+v, want 2 invalid and 1 over the limit", tally)
	}
	check(t, "edges", len(m.Snapshot().Edges()), 1)
}

func TestConcurrentUse(t *testing.T) {
	m := topology.New(topology.Options{})
	var wait sync.WaitGroup
	for k := range 4 {
		wait.Go(func() {
			for i := range 50 {
				id := heal.ServiceID(fmt.Sprint(k, "-", i))
				m.Observe([]topology.Observation{{From: "service/root", To: id, Source: "spans", Calls: 1}}, noon)
				m.Put("file", []heal.Entity{{ID: id}}, noon)
				m.Snapshot().BlastRadius(id)
				m.Prune(noon, time.Hour)
			}
		})
	}
	wait.Wait()
	check(t, "edges", len(m.Snapshot().Edges()), 200)
}
