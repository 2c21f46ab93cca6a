package watch

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// someState is what a watcher that has seen a little keeps.
func someState(t testing.TB) (series, judges []byte) {
	t.Helper()
	dir := t.TempDir()
	w := New(nil, nil, Options{Dir: dir})
	e := w.entityOf("service/a")
	e.judges[Latency] = &judge{Memory: memory{Values: []float64{1, 2}}}
	e.remember(Anomaly{Entity: e.id, Signal: "x", Since: time.Unix(1, 0).UTC()})
	for i := range 5 {
		w.point(e, Signal{Name: "x"}, "q=\"1\",", time.Unix(int64(i)*15, 0), float64(i))
	}
	if err := w.Save(); err != nil {
		t.Fatal(err)
	}
	series, err := os.ReadFile(filepath.Join(dir, seriesFile))
	if err != nil {
		t.Fatal(err)
	}
	judges, err = os.ReadFile(filepath.Join(dir, judgesFile))
	if err != nil {
		t.Fatal(err)
	}
	return series, judges
}

func FuzzTakeUp(f *testing.F) {
	series, judges := someState(f)
	f.Add(series, judges)
	f.Add(series[:len(series)-1], judges[:len(judges)-1])
	f.Add([]byte(seriesMagic), []byte(`{"version":1,"entities":[{"entity":"service/a","judges":{"latency":null,"x":{}},"anomalies":[null]}]}`))
	f.Fuzz(func(t *testing.T, series, judges []byte) {
		w := New(nil, nil, Options{MaxSeries: 10})
		seriesErr := w.readSeries(bufio.NewReader(bytes.NewReader(series)))
		if seriesErr != nil && heal.KindOf(seriesErr) != heal.Invalid {
			t.Errorf("error of kind %s: %v", heal.KindOf(seriesErr), seriesErr)
		}
		if err := w.takeUp(judges); err != nil && heal.KindOf(err) != heal.Invalid {
			t.Errorf("error of kind %s: %v", heal.KindOf(err), err)
		}
		// Whatever was taken up can be gone on with.
		at := time.Unix(1e9, 0)
		for id := range w.entities {
			e := w.entityOf(id)
			for range 3 {
				at = at.Add(15 * time.Second)
				w.point(e, Signal{Name: "x"}, "", at, 1)
				for g, j := range e.judges {
					j.look(g, patienceOf(15*time.Second), at, 1, 1, 100, 1)
				}
				e.others("")
			}
			w.suffering(e, at, nil)
		}
	})
}

// TestLostState learns anew where the state cannot be read, and says so.
func TestLostState(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"series cut short":  func(dir string) error { return os.Truncate(filepath.Join(dir, seriesFile), 40) },
		"series of another": func(dir string) error { return os.WriteFile(filepath.Join(dir, seriesFile), []byte("other"), 0o600) },
		"judges no JSON":    func(dir string) error { return os.WriteFile(filepath.Join(dir, judgesFile), []byte("{"), 0o600) },
		"judges of a future": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, judgesFile), []byte(`{"version":2}`), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			series, judges := someState(t)
			dir := t.TempDir()
			for file, data := range map[string][]byte{seriesFile: series, judgesFile: judges} {
				if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			w := &Watcher{opts: Options{Dir: dir, MaxSeries: 10}.withDefaults(), entities: map[heal.EntityID]*entity{}}
			if err := w.restore(); err == nil {
				t.Error("got no error, want a word on what is lost")
			}
		})
	}
}
