//go:build e2e

package e2e_test

import (
	"database/sql"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to tamper with the file as somebody with access to it would

	"github.com/homeostat/homeostat/internal/api/form"
)

const auditPath = "/api/v1/audit"

// TestE2EAudit kills the server while it acts, and finds a record that tells
// everything and is intact; then the file is tampered with, and it shows.
func TestE2EAudit(t *testing.T) {
	h := newHouse(t, settings{}, playbook{"touch", "playbook_id: touch\nname: Touch\ntasks: [{id: one, action: wait.for, parameters: {duration: 10ms}}]\n"})
	h.start()
	run := h.started("touch", "service/cart")
	eventually(t, 20*time.Second, "the run has ended", func() bool { return h.run(run.ID).State == "succeeded" })
	h.do("PUT", "/api/v1/kill-switch", []byte(`{"on":true,"reason":"maintenance"}`))
	h.crash()
	h.start()

	var acts []string
	for _, e := range all[form.AuditEntry](h, auditPath) {
		acts = append(acts, strings.Join([]string{e.Actor, e.Act, e.Result}, " "))
	}
	for _, want := range []string{"operator run-playbook done", "operator began ", "homeostat acted succeeded", "homeostat ended succeeded", "operator turn-kill-switch done", "homeostat started done"} {
		if !slices.Contains(acts, want) {
			t.Errorf("the audit has no %q: %q", want, acts)
		}
	}
	var report form.AuditReport
	eventually(t, 10*time.Second, "every entry is sealed", func() bool {
		report = verified(h)
		return report.Unsealed == 0
	})
	if !report.Intact || report.Entries < 7 {
		t.Fatalf("after kill -9: got %+v, want it intact", report)
	}

	if code := h.stop(); code != 0 {
		t.Fatalf("stop: exit code %d", code)
	}
	db, err := sql.Open("sqlite", filepath.Join(h.dir, "data", "homeostat.db"))
	must(t, err)
	res, err := db.Exec(`UPDATE audit SET body = CAST(replace(body, 'maintenance', 'an accident') AS BLOB) WHERE act = 'turn-kill-switch'`)
	must(t, err)
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		t.Fatalf("tampered with %d rows, %v", n, err)
	}
	must(t, db.Close())
	h.start()
	if report := verified(h); report.Intact || len(report.Faults) != 1 || !strings.Contains(report.Faults[0].Text, "was changed") {
		t.Errorf("after tampering: got %+v, want one entry changed", report)
	}
}

func verified(h *house) form.AuditReport {
	h.t.Helper()
	var report form.AuditReport
	got := h.do("GET", auditPath+"/verify", nil)
	must(h.t, json.Unmarshal(got.body, &report))
	return report
}
