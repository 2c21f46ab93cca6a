//go:build e2e

package e2e_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
)

// TestE2EPrometheus has a real Prometheus find a real exporter dead and a real
// Alertmanager tell it. The exporter is started again, the heal is verified in
// the metrics of Prometheus, and the alert resolves at its source.
func TestE2EPrometheus(t *testing.T) {
	dir := t.TempDir()
	ports := freePorts(t, 3)
	exporter, prometheus, alertmanager := ports[0], ports[1], ports[2]
	secret := filepath.Join(dir, "webhook.secret")
	must(t, os.WriteFile(secret, []byte("0123456789abcdef0123456789abcdef"), 0o600))

	h := newHouse(t, settings{
		"metrics":   settings{"remotes": []settings{{"url": "http://" + prometheus}}},
		"intake":    settings{"secret_file": secret},
		"loop":      settings{"settle": "100ms", "verify_window": "4s"},
		"playbooks": settings{"shipped": true, "trust": settings{"restart-crashed-service": "auto", "restart-unhealthy-service": "auto"}},
		"drivers": settings{"processes": []settings{{
			"name": "node-exporter", "entity": "service/node-exporter", "ready_url": "http://" + exporter + "/metrics", "grace": "5s",
			"command": []string{program(t, "prometheus-node-exporter"), "--web.listen-address=" + exporter, "--collector.disable-defaults", "--collector.uname"},
		}}},
	}, playbook{"open", "playbook_id: open\nname: Open\ntasks: [{id: open, action: process.start, timeout: 30s}]\n"})
	h.start()
	opened := h.started("open", "service/node-exporter")
	eventually(t, 40*time.Second, "the exporter runs", func() bool { return h.run(opened.ID).State == "succeeded" })

	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	spawn(t, exec.Command(program(t, "prometheus-alertmanager"),
		"--config.file="+write("alertmanager.yml", fmt.Sprintf(alertmanagerConfig, h.api, secret)),
		"--storage.path="+filepath.Join(dir, "am"), "--web.listen-address="+alertmanager, "--cluster.listen-address="))
	rules := write("rules.yml", exporterRules)
	spawn(t, exec.Command(program(t, "prometheus"),
		"--config.file="+write("prometheus.yml", fmt.Sprintf(prometheusConfig, alertmanager, rules, exporter)),
		"--storage.tsdb.path="+filepath.Join(dir, "prom"), "--web.listen-address="+prometheus))
	eventually(t, 60*time.Second, "Prometheus sees the exporter", func() bool {
		return strings.Contains(asked(prometheus, "up"), `"1"`)
	})

	pids, ok := h.run(opened.ID).Tasks[0].Output["pids"].([]any)
	if !ok || len(pids) != 1 {
		t.Fatalf("the exporter's process: got %v, want one", h.run(opened.ID).Tasks[0].Output)
	}
	must(t, syscall.Kill(int(pids[0].(float64)), syscall.SIGKILL))
	c := h.theCase(90*time.Second, "the case healed", func(c form.IncidentSummary) bool { return c.State == "healed" })
	if c.Cause != "service/node-exporter" || c.Verification == nil || c.Verification.Verdict != "cleared" {
		h.tell(c.ID)
		t.Fatalf("got cause %s and verification %+v, want the exporter, cleared", c.Cause, c.Verification)
	}
	eventually(t, 60*time.Second, "the alert resolved at its source", func() bool {
		list := all[form.Alert](h, "/api/v1/alerts")
		return len(list) == 1 && list[0].Status == "resolved" && list[0].SourceSystem == "alertmanager"
	})
	if up := asked(prometheus, "up"); !strings.Contains(up, `"1"`) {
		t.Errorf("after the heal: Prometheus says %s", up)
	}
}

// program finds a program that the continuous integration installs.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is needed (Debian package of that name): %v", name, err)
	}
	return path
}

// asked is the answer of a Prometheus to a query, empty if there is none.
func asked(address, query string) string {
	resp, err := client.Get("http://" + address + "/api/v1/query?query=" + query)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return ""
	}
	return string(text)
}

const alertmanagerConfig = `
route:
  receiver: homeostat
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 10s
receivers:
  - name: homeostat
    webhook_configs:
      - url: http://%s/api/v1/webhooks/alertmanager
        send_resolved: true
        http_config:
          authorization:
            credentials_file: %s
`

const prometheusConfig = `
global: {scrape_interval: 1s, evaluation_interval: 1s}
alerting:
  alertmanagers: [{static_configs: [{targets: [%s]}]}]
rule_files: [%s]
scrape_configs:
  - job_name: node
    static_configs: [{targets: [%s], labels: {service: node-exporter}}]
`

const exporterRules = `
groups:
  - name: exporters
    rules:
      - alert: TargetDown
        expr: up{job="node"} == 0
        for: 2s
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.service }} cannot be scraped"}
`
