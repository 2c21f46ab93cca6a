package web_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// TestFirstPaint holds the budget of what a browser loads before it can show
// the longest pages, with 10,000 open cases and as many changes.
func TestFirstPaint(t *testing.T) {
	const budget = 300 << 10
	h := open(t)
	h.manyCases(t, 10_000)
	h.manyChanges(t, 10_000)
	b := h.as(t, "admin")
	for _, path := range []string{"/", "/cases?open=true", "/changes"} {
		page := b.get(path)
		total := len(page.body)
		for _, found := range regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(page.body, -1) {
			asset := b.get(found[1], "Accept-Encoding", "gzip")
			if asset.status != 200 || asset.header.Get("Content-Encoding") != "gzip" || !strings.Contains(asset.header.Get("Cache-Control"), "immutable") {
				t.Errorf("%s: %d %v", found[1], asset.status, asset.header)
			}
			total += len(asset.body)
		}
		if total > budget {
			t.Errorf("%s needs %d bytes, want at most %d", path, total, budget)
		}
	}
}

// manyChanges are deploys, each the suspect of as many cases as are kept.
func (h *house) manyChanges(t testing.TB, n int) {
	t.Helper()
	for from := 0; from < n; from += 1000 {
		must(t, h.Store.Update(t.Context(), func(tx store.Tx) error {
			for i := from; i < min(n, from+1000); i++ {
				service := fmt.Sprint("service-", i)
				c := heal.Change{
					ID: heal.ChangeID(fmt.Sprint("ci-", i)), Kind: heal.ChangeDeploy, Entity: heal.ServiceID(service), Scope: heal.DefaultScope.WithService(service),
					At: h.now.Add(-time.Duration(i) * time.Second), By: "ci", Version: fmt.Sprint("1.", i), Link: fmt.Sprint("https://ci.example/", i), Source: heal.FromCaller,
				}
				for n := range heal.MaxSuspicions {
					c.Suspected = append(c.Suspected, heal.Suspicion{Incident: heal.IncidentID(fmt.Sprintf("case-%06d", n)), Scope: c.Scope, Title: "12.5% of the calls of it fail, the limit is 5 %"})
				}
				if _, err := store.ChangeKind.Put(tx, &c, store.Absent); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

func (h *house) manyCases(t testing.TB, n int) {
	t.Helper()
	states := []heal.CaseState{heal.CaseOpen, heal.CaseActing, heal.CaseVerifying, heal.CaseEscalated, heal.CaseWaiting}
	for from := 0; from < n; from += 1000 {
		must(t, h.Store.Update(t.Context(), func(tx store.Tx) error {
			for i := from; i < min(n, from+1000); i++ {
				at := h.now.Add(-time.Duration(i) * time.Second)
				c := heal.Incident{
					ID: heal.IncidentID(fmt.Sprintf("case-%06d", i)), Scope: heal.DefaultScope.WithService(fmt.Sprint("service-", i)), State: states[i%len(states)], Severity: heal.Warning,
					Title: fmt.Sprintf("service/service-%d: 12.5%% of the calls of it fail, the limit is 5 %%", i), Cause: heal.ServiceID(fmt.Sprint("service-", i)),
					BeganAt: at, DetectedAt: at, UpdatedAt: at,
				}
				if _, err := store.IncidentKind.Put(tx, &c, store.Absent); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// BenchmarkPages is how long the server takes for a page with 10,000 open cases.
func BenchmarkPages(b *testing.B) {
	h := open(b)
	h.manyCases(b, 10_000)
	who := h.as(b, "admin")
	for _, path := range []string{"/", "/cases?open=true"} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				if got := who.get(path); got.status != 200 {
					b.Fatal(got.status)
				}
			}
		})
	}
}

// TestVendored holds the files of others to the list of where they are from.
func TestVendored(t *testing.T) {
	const dir = "assets/vendor"
	list, err := os.ReadFile(filepath.Join(dir, "LIST"))
	must(t, err)
	licences, err := os.ReadFile(filepath.Join(dir, "LICENCES"))
	must(t, err)
	known := map[string]bool{"LIST": true, "LICENCES": true}
	for line := range strings.Lines(string(list)) {
		f := strings.Fields(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		if len(f) != 6 {
			t.Fatalf("%q has %d fields, want file, package, version, licence, sha256 and path", line, len(f))
		}
		known[f[0]] = true
		data, err := os.ReadFile(filepath.Join(dir, f[0]))
		must(t, err)
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != f[4] {
			t.Errorf("%s is not what the list says: %x", f[0], sum)
		}
		if !strings.Contains(string(licences), "== "+f[1]+"\n") {
			t.Errorf("LICENCES has nothing of %s", f[1])
		}
	}
	files, err := os.ReadDir(dir)
	must(t, err)
	for _, f := range files {
		if !known[f.Name()] {
			t.Errorf("%s is not in the list", f.Name())
		}
	}
}
