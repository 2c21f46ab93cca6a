package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// step is one thing an update did and what it was told.
type step struct {
	do     string // what, with the key
	key    string
	value  string // written, or a condition's
	expect store.Revision
	told   string
	given  store.Revision // of a put that was not refused
}

// trace is one update that succeeded.
type trace struct {
	steps []step
	last  store.Revision // its newest; the order of updates
}

// testSerial lets many updates read and write the same few records at once,
// some of which fail, and then does those that succeeded one after the other in
// the order of their revisions on a model: each must have been told the same.
func testSerial(t *testing.T, s *suite) { serial(t, s, []store.Store{s.s}) }

func serial(t *testing.T, s *suite, stores []store.Store) {
	const writers, each = 12, 40
	var mu sync.Mutex
	var traces []trace
	together(writers, func(w int) {
		random := rand.New(rand.NewPCG(uint64(w), 1))
		for range each {
			seed := random.Uint64()
			var done trace
			err := stores[w%len(stores)].Update(t.Context(), func(tx store.Tx) error {
				var err error
				done, err = wander(tx, rand.New(rand.NewPCG(seed, 2)))
				return err
			})
			switch {
			case err == nil:
				mu.Lock()
				traces = append(traces, done)
				mu.Unlock()
			case !errors.Is(err, errUndo):
				t.Errorf("update: got %v, want no error but the test's own", err)
				return
			}
		}
	})
	slices.SortFunc(traces, func(a, b trace) int { return cmp.Compare(a.last, b.last) })
	m := model{records: map[string]modelRecord{}, aside: map[string]bool{}}
	for i, tr := range traces {
		want := m.repeat(tr.steps)
		if diff := gocmp.Diff(want, tr.steps, gocmp.AllowUnexported(step{})); diff != "" {
			t.Fatalf("update %d of %d in the order of revisions (-as if alone +as it was):\n%s", i, len(traces), diff)
		}
	}
	got := []string{}
	s.view(func(v store.Reader) error {
		page, err := v.List(store.Query{Table: store.Alerts}) // fewer than a page
		for _, r := range page.Records {
			got = append(got, fmt.Sprintf("%s=%v@%d", r.Key, r.Columns[0], r.Revision))
		}
		return err
	})
	if diff := gocmp.Diff(m.all(), got); diff != "" {
		t.Errorf("records in the end (-model +store):\n%s", diff)
	}
}

var errUndo = errors.New("take it back")

// wander does a few things at random with few keys and few values of the
// unique column.
func wander(tx store.Tx, random *rand.Rand) (trace, error) {
	var tr trace
	for range 1 + random.IntN(6) {
		st := step{key: fmt.Sprintf("k%d", random.IntN(6)), value: fmt.Sprintf("f%d", random.IntN(8))}
		st.do = []string{"get", "put", "put", "swap", "swap", "create", "delete", "list", "count", "put aside", "create aside", "count aside"}[random.IntN(12)]
		if far, ok := tx.(store.Far); ok && random.IntN(3) == 0 {
			all := listed()
			if err := far.Ahead(store.Read{Table: store.Alerts, Key: st.key}, store.Read{Page: &all}, store.Read{Table: store.Settings, Key: st.key}); err != nil {
				return tr, err
			}
		}
		switch st.do {
		case "create":
			st.expect = store.Absent
		case "swap":
			if r, err := tx.Get(store.Alerts, st.key); err == nil && random.IntN(4) > 0 {
				st.expect = r.Revision
			} else {
				st.expect = tx.Revision() + 1000 // never there
			}
		}
		st.perform(tx)
		tr.steps = append(tr.steps, st)
	}
	last := step{do: "put", key: fmt.Sprintf("only%d", random.Uint64()), value: fmt.Sprintf("own%d", random.Uint64())}
	last.perform(tx)
	tr.steps, tr.last = append(tr.steps, last), last.given
	if random.IntN(4) == 0 {
		return tr, errUndo
	}
	return tr, nil
}

// perform asks the store and notes the answer in words.
func (st *step) perform(tx store.Tx) {
	switch st.do {
	case "get":
		r, err := tx.Get(store.Alerts, st.key)
		st.told = words(err)
		if err == nil {
			st.told = fmt.Sprint(r.Columns[0])
		}
	case "delete":
		st.told = words(tx.Delete(store.Alerts, st.key))
	case "list":
		page, err := tx.List(listed())
		var out []string
		for _, r := range page.Records {
			out = append(out, r.Key+"="+fmt.Sprint(r.Columns[0]))
		}
		st.told = strings.Join(out, " ") + words(err)
	case "count":
		n, err := tx.Count(store.Alerts, store.Cond{Column: "fingerprint", Op: store.Eq, Value: st.value})
		st.told = fmt.Sprint(n) + words(err)
	case "put aside":
		_, err := tx.Put(store.Settings, setting(st.key, st.value))
		st.told = words(err)
	case "create aside":
		r := setting(st.key, st.value)
		r.Revision = store.Fresh
		_, err := tx.Put(store.Settings, r)
		st.told = words(err)
	case "count aside":
		n, err := tx.Count(store.Settings)
		st.told = fmt.Sprint(n) + words(err)
	default: // put, swap, create
		record := row(store.Alerts, st.key, map[string]any{"fingerprint": st.value})
		record.Revision = st.expect
		var err error
		st.given, err = tx.Put(store.Alerts, record)
		st.told = words(err)
	}
}

// listed is what the step of that name asks for, small enough to be remembered.
func listed() store.Query {
	return store.Query{Table: store.Alerts, Order: "fingerprint", Where: []store.Cond{{Column: "key", Op: store.Lt, Value: "l"}}, Limit: 20}
}

func words(err error) string {
	if err == nil {
		return ""
	}
	return heal.KindOf(err).String()
}

// model is the store in its smallest form: records of one table by key, and
// the keys of another.
type model struct {
	records map[string]modelRecord
	aside   map[string]bool
}

type modelRecord struct {
	value    string
	revision store.Revision
}

// repeat does the steps and gives them with the model's answers.
func (m model) repeat(steps []step) []step {
	out := slices.Clone(steps)
	for i := range out {
		out[i].told = m.perform(out[i])
	}
	return out
}

func (m model) all() []string {
	out := []string{}
	for key, r := range m.records {
		out = append(out, fmt.Sprintf("%s=%s@%d", key, r.value, r.revision))
	}
	slices.Sort(out)
	return out
}

func (m model) perform(st step) string {
	at, there := m.records[st.key]
	switch st.do {
	case "get":
		if !there {
			return heal.NotFound.String()
		}
		return at.value
	case "delete":
		if !there {
			return heal.NotFound.String()
		}
		delete(m.records, st.key)
		return ""
	case "list":
		var out []string
		for key, r := range m.records {
			if key < "l" {
				out = append(out, key+"="+r.value)
			}
		}
		slices.SortFunc(out, func(a, b string) int { return strings.Compare(a[2:], b[2:]) }) // by value, each there once
		return strings.Join(out, " ")
	case "put aside":
		m.aside[st.key] = true
		return ""
	case "create aside":
		if m.aside[st.key] {
			return heal.Conflict.String()
		}
		m.aside[st.key] = true
		return ""
	case "count aside":
		return fmt.Sprint(len(m.aside))
	case "count":
		n := 0
		for _, r := range m.records {
			if r.value == st.value {
				n++
			}
		}
		return fmt.Sprint(n)
	}
	return m.put(st, at, there)
}

func (m model) put(st step, at modelRecord, there bool) string {
	refused := st.do == "create" && there || st.do == "swap" && (!there || at.revision != st.expect)
	for key, r := range m.records {
		refused = refused || key != st.key && r.value == st.value
	}
	if refused {
		return heal.Conflict.String()
	}
	m.records[st.key] = modelRecord{value: st.value, revision: st.given}
	return ""
}
