package sqlite

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

func perSecond(b *testing.B, n int, what string) {
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), what+"/s")
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
	perSecond(b, b.N, "updates")
	reportDisk(b)
}

// BenchmarkPutTogether: 64 writers at once share commits.
func BenchmarkPutTogether(b *testing.B) {
	db := mustOpen(b, Options{})
	sample := sampleIncident(b, 0)
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(32) // times GOMAXPROCS, 2 where this was measured
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			record := sample
			record.Key = fmt.Sprintf("k%09d", n.Add(1))
			if err := putOne(b, db, record); err != nil {
				b.Error(err)
				return
			}
		}
	})
	perSecond(b, b.N, "updates")
	b.ReportMetric(float64(b.N)/float64(db.Stats().Commits), "updates/commit")
	reportDisk(b)
}

// BenchmarkPutBatch: one writer, 50 records a commit.
func BenchmarkPutBatch(b *testing.B) {
	db := mustOpen(b, Options{})
	record := sampleIncident(b, 0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		err := db.Update(b.Context(), func(tx store.Tx) error {
			for k := range 50 {
				record.Key = fmt.Sprintf("k%09d-%02d", i, k)
				if _, err := tx.Put(store.Incidents, record); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, 50*b.N, "puts")
	reportDisk(b)
}

// BenchmarkAt100k measures what people and the loop ask of a full store.
func BenchmarkAt100k(b *testing.B) {
	db := mustOpen(b, Options{})
	const size = 100_000
	for from := 0; from < size; from += 1000 {
		err := db.Update(b.Context(), func(tx store.Tx) error {
			for i := range 1000 {
				if _, err := tx.Put(store.Incidents, sampleIncident(b, from+i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	open := []store.Cond{{Column: "open", Op: store.Eq, Value: int64(1)}}
	page := store.Query{Table: store.Incidents, Order: "updated", Desc: true, Limit: 50}
	openPage := page
	openPage.Where = open
	view := func(f func(store.Reader) error) func(*testing.B) {
		return func(b *testing.B) {
			eachTimed(b, func(int) error { return db.View(b.Context(), f) })
		}
	}
	b.Run("newest 50", view(func(r store.Reader) error { _, err := r.List(page); return err }))
	b.Run("newest 50 open", view(func(r store.Reader) error { _, err := r.List(openPage); return err }))
	b.Run("count open", view(func(r store.Reader) error { _, err := r.Count(store.Incidents, open...); return err }))
	b.Run("get", view(func(r store.Reader) error {
		_, err := r.Get(store.Incidents, "01890000-0000-7000-8000-000000050000")
		return err
	}))
	b.Run("update one", func(b *testing.B) {
		eachTimed(b, func(i int) error { return putOne(b, db, sampleIncident(b, i*7919%size)) })
		reportDisk(b)
	})
}

// eachTimed runs f and reports its slowest hundredth too.
func eachTimed(b *testing.B, f func(i int) error) {
	b.Helper()
	b.ReportAllocs()
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		if err := f(i); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
}

func putOne(b *testing.B, db *DB, r store.Record) error {
	return db.Update(b.Context(), func(tx store.Tx) error {
		_, err := tx.Put(store.Incidents, r)
		return err
	})
}
