//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/examples/shop"
)

// verdict is the last word of the demo on one case.
type verdict struct {
	Incident string  `json:"incident_id"`
	Cause    string  `json:"cause"`
	Pattern  string  `json:"pattern"`
	Playbook string  `json:"playbook"`
	Attempts int     `json:"attempts"`
	MTTD     float64 `json:"mttd_seconds"`
	MTTR     float64 `json:"mttr_seconds"`
	Verdict  string  `json:"verdict"`
}

// Promises of the README: a heal within a minute, the demo within two.
const (
	healWithin = 60 * time.Second
	demoWithin = 120 * time.Second
)

func TestE2EDemo(t *testing.T) {
	tests := []struct {
		name, fault string
		want        verdict
	}{
		{"crash", "crash", verdict{Cause: "service/payment", Pattern: "process_down", Playbook: "restart-crashed-service", Attempts: 1, Verdict: "cleared"}},
		{"slow", "slow", verdict{Cause: "service/inventory", Pattern: "pool_exhausted", Playbook: "relieve-exhausted-pool", Attempts: 1, Verdict: "cleared"}},
		{"leak", "leak", verdict{Cause: "service/cart", Pattern: "memory_pressure", Playbook: "restart-leaking-service", Attempts: 1, Verdict: "cleared"}},
		{"hang", "hang", verdict{Cause: "service/payment", Pattern: "deadlock", Playbook: "kill-hung-service", Attempts: 1, Verdict: "cleared"}},
		{"bad configuration", "badconfig", verdict{Cause: "service/payment", Pattern: "high_errors", Playbook: "roll-back-bad-setting", Attempts: 1, Verdict: "cleared"}},
		{"dependency", "dependency", verdict{Cause: "service/payment", Pattern: "high_errors", Playbook: "fail-over-to-backup", Attempts: 1, Verdict: "cleared"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := playDemo(t, "--fault", tt.fault)
			if diff := cmp.Diff(bare(got), []verdict{tt.want}); diff != "" {
				t.Errorf("verdicts, got (-) and want (+):\n%s", diff)
			}
		})
	}
}

// TestE2EDemoRenamed plays the faults in a shop in which nothing is called as in
// ours, on ports of its own: nothing may hang on names.
func TestE2EDemoRenamed(t *testing.T) {
	crash := verdict{Cause: "service/billing-eu", Pattern: "process_down", Playbook: "restart-crashed-service", Attempts: 1, Verdict: "cleared"}
	slow := verdict{Cause: "service/warehouse_7", Pattern: "pool_exhausted", Playbook: "relieve-exhausted-pool", Attempts: 1, Verdict: "cleared"}
	tests := []struct {
		name   string
		faults []string
		want   []verdict
	}{
		{"crash and slow at once", []string{"crash", "slow"}, []verdict{crash, slow}},
		{"leak", []string{"leak"}, []verdict{{Cause: "service/basket.v2", Pattern: "memory_pressure", Playbook: "restart-leaking-service", Attempts: 1, Verdict: "cleared"}}},
		{"hang", []string{"hang"}, []verdict{{Cause: "service/billing-eu", Pattern: "deadlock", Playbook: "kill-hung-service", Attempts: 1, Verdict: "cleared"}}},
		{"bad configuration", []string{"badconfig"}, []verdict{{Cause: "service/billing-eu", Pattern: "high_errors", Playbook: "roll-back-bad-setting", Attempts: 1, Verdict: "cleared"}}},
		{"dependency", []string{"dependency"}, []verdict{{Cause: "service/billing-eu", Pattern: "high_errors", Playbook: "fail-over-to-backup", Attempts: 1, Verdict: "cleared"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "shop.yaml")
			must(t, os.WriteFile(file, renamedShop(t), 0o600))
			args := []string{"--shop", file}
			for _, fault := range tt.faults {
				args = append(args, "--fault", fault)
			}
			if diff := cmp.Diff(bare(playDemo(t, args...)), tt.want); diff != "" {
				t.Errorf("verdicts, got (-) and want (+):\n%s", diff)
			}
		})
	}
}

// playDemo plays the demo to its end and gives its verdicts.
func playDemo(t *testing.T, args ...string) []verdict {
	t.Helper()
	dir := t.TempDir()
	began := time.Now()
	code, stdout, stderr := runIn(t, dir, demoWithin, append([]string{"demo", "--once", "--json"}, args...)...)
	took := time.Since(began)
	if left := holding(t, dir); len(left) > 0 {
		t.Errorf("processes left behind: %v", left)
	}
	if code != 0 {
		t.Fatalf("exit code: got %d, want 0\n%s%s", code, tail(stdout), tail(stderr))
	}
	found := verdicts(t, stdout)
	for _, v := range found {
		t.Logf("%s: MTTD %.1f s, MTTR %.1f s; the demo took %.1f s", v.Cause, v.MTTD, v.MTTR, took.Seconds())
		if limit := healWithin.Seconds(); v.MTTR <= 0 || v.MTTR > limit {
			t.Errorf("MTTR of %s: got %.1f s, want at most %.0f s", v.Cause, v.MTTR, limit)
		}
	}
	return found
}

// verdicts are the lines of the output that say how a case ended; every line
// must be JSON.
func verdicts(t *testing.T, stdout string) []verdict {
	t.Helper()
	var list []verdict
	for line := range strings.Lines(stdout) {
		var v verdict
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Errorf("line %q: %v", line, err)
		}
		if v.Incident != "" {
			list = append(list, v)
		}
	}
	return list
}

// bare are verdicts without what differs from run to run.
func bare(list []verdict) []verdict {
	out := make([]verdict, len(list))
	for i, v := range list {
		v.Incident, v.MTTD, v.MTTR = "", 0, 0
		out[i] = v
	}
	return out
}

func renamedShop(t *testing.T) []byte {
	t.Helper()
	ports := freePorts(t, shop.DefaultPorts)
	c := shop.Default("", func() int {
		_, port, err := net.SplitHostPort(ports[0])
		must(t, err)
		ports = ports[1:]
		n, err := strconv.Atoi(port)
		must(t, err)
		return n
	})
	names := map[string]string{
		"inventory": "warehouse_7", "payment": "billing-eu", "payment-backup": "billing-us", "cart": "basket.v2", "frontend": "Www", "load": "people",
	}
	for i := range c.Services {
		name, ok := names[c.Services[i].Name]
		if !ok {
			t.Fatalf("the shop has a service %q that this test does not rename", c.Services[i].Name)
		}
		c.Services[i].Name = name
	}
	text, err := c.Marshal()
	must(t, err)
	return text
}

// TestE2EQuickstart does what the README tells a newcomer, in a clean copy.
func TestE2EQuickstart(t *testing.T) {
	dir := t.TempDir()
	killWhatHolds(t, dir)
	copied := filepath.Join(dir, "homeostat")
	clone := exec.Command("git", "clone", "--quiet", "--depth", "1", "file://"+absolute(t, repository), copied)
	if out, err := clone.CombinedOutput(); err != nil {
		t.Fatalf("git clone: %v\n%s", err, out)
	}
	cmd := exec.Command("go", "run", "./cmd/homeostat", "demo", "--once")
	cmd.Dir, cmd.Env = copied, environ(dir)
	var stdout output
	cmd.Stdout = &stdout
	if code := spawn(t, cmd).exit(4 * time.Minute); code != 0 { // compiling included
		t.Fatalf("exit code: got %d, want 0\n%s", code, tail(stdout.String()))
	}
	for _, word := range []string{"detected", "cause", "plan", "timeline", "verified", "MTTD", "MTTR"} {
		if !strings.Contains(stdout.String(), word) {
			t.Errorf("the story says nothing of %q:\n%s", word, tail(stdout.String()))
		}
	}
	dirty := exec.Command("git", "status", "--porcelain")
	dirty.Dir = copied
	if out, err := dirty.Output(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("the demo leaves files in the checkout: %v\n%s", err, out)
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	full, err := filepath.Abs(path)
	must(t, err)
	return full
}
