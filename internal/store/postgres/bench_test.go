//go:build postgres

package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// reportDisk says beside a durable figure what the disk itself takes to sync
// one page.
func reportDisk(b *testing.B) {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "probe"))
	if err != nil {
		b.Fatal(err)
	}
	page := make([]byte, 4096)
	took := make([]time.Duration, 200)
	for i := range took {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		took[i] = time.Since(start)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "fsync-p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "fsync-p99-ns")
}

// sampleIncident is a case with a body of about 1 KB.
func sampleIncident(b *testing.B, n int) store.Record {
	b.Helper()
	at := time.Unix(1_700_000_000, int64(n)*int64(time.Millisecond)).UTC()
	i := heal.Incident{
		ID: heal.IncidentID(fmt.Sprintf("01890000-0000-7000-8000-%012d", n)), Scope: heal.DefaultScope.WithService(fmt.Sprintf("service-%d", n%200)),
		State: heal.CaseOpen, Severity: heal.Critical, Title: "the latency of the service is high", UpdatedAt: at, BeganAt: at, DetectedAt: at,
	}
	if n%50 != 0 {
		i.State = heal.CaseClosed
	}
	for k := range 2 {
		i.Members = append(i.Members, heal.Member{Role: heal.Primary, Fault: heal.Fault{
			Key: heal.FaultKey{Type: heal.PerformanceDegradation, Entity: heal.ServiceID(fmt.Sprintf("service-%d", k))}, Source: "alertmanager",
			Severity: heal.Critical, Message: "p99 is 2.3 s, the objective is 0.5 s", Scope: i.Scope, Began: at, Detected: at, LastSeen: at,
		}})
	}
	r, err := store.IncidentKind.Encode(&i, store.Any)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// BenchmarkPut: one writer, one record a commit.
func BenchmarkPut(b *testing.B) {
	db := mustOpen(b, Options{})
	record := sampleIncident(b, 0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		record.Key = fmt.Sprintf("k%09d", i)
		if err := putOne(b, db, record); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
	reportDisk(b)
}

// BenchmarkTogether: many writers at once, one server and two on one database,
// with a short update: one put, and what a step of a run does, which is to read
// a record and count others, change the record where it was read, and add two.
func BenchmarkTogether(b *testing.B) {
	kinds := []struct {
		name string
		f    func(b *testing.B, db *DB, sample store.Record, n int64) error
	}{
		{"put", func(b *testing.B, db *DB, sample store.Record, n int64) error {
			sample.Key = fmt.Sprintf("k%09d", n)
			return putOne(b, db, sample)
		}},
		{"step", step},
	}
	for _, kind := range kinds {
		for _, writers := range []int{16, 64} {
			for servers := 1; servers <= 2; servers++ {
				b.Run(fmt.Sprintf("%s/writers=%d/servers=%d", kind.name, writers, servers), func(b *testing.B) {
					together(b, writers, servers, kind.f)
				})
			}
		}
	}
}

func step(b *testing.B, db *DB, sample store.Record, n int64) error {
	return db.Update(b.Context(), func(tx store.Tx) error {
		r := sample
		r.Key = fmt.Sprintf("case%d", n%500)
		got, err := tx.Get(store.Incidents, r.Key)
		switch {
		case heal.Is(err, heal.NotFound):
			r.Revision = store.Absent
		case err != nil:
			return err
		default:
			r.Revision = got.Revision
		}
		if _, err := tx.Count(store.Actions, store.Cond{Column: "target", Op: store.Eq, Value: r.Key}, store.Cond{Column: "at", Op: store.Gt, Value: n - 1000}); err != nil {
			return err
		}
		if _, err := tx.Put(store.Incidents, r); err != nil {
			return err
		}
		if _, err := tx.Put(store.Actions, store.Record{Key: fmt.Sprintf("a%09d", n), Columns: []any{r.Key, r.Key, r.Key, n}, Body: []byte(`{"v":1,"d":{}}`)}); err != nil {
			return err
		}
		_, err = tx.Put(store.Journal, store.Record{Key: fmt.Sprintf("j%09d", n), Columns: []any{r.Key, n}, Body: sample.Body[:200]})
		return err
	})
}

func together(b *testing.B, writers, servers int, f func(*testing.B, *DB, store.Record, int64) error) {
	o := Options{DSN: newDatabase(b, shared)}
	var dbs []*DB
	for range servers {
		dbs = append(dbs, mustOpen(b, o))
	}
	sample := sampleIncident(b, 0)
	var n atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	done := make(chan error, writers)
	for w := range writers {
		go func() {
			for {
				i := n.Add(1)
				if i > int64(b.N) {
					done <- nil
					return
				}
				if err := f(b, dbs[w%servers], sample, i); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	b.StopTimer()
	commits := uint64(0)
	for _, db := range dbs {
		commits += db.Stats().Commits
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
	b.ReportMetric(float64(b.N)/float64(commits), "updates/commit")
	reportDisk(b)
}

func putOne(b *testing.B, db *DB, r store.Record) error {
	return db.Update(b.Context(), func(tx store.Tx) error {
		_, err := tx.Put(store.Incidents, r)
		return err
	})
}
