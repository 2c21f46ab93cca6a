package app

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/config"
)

func TestDefaultYAMLIsTheDefault(t *testing.T) {
	got, problems := file.Parse("default.yaml", DefaultYAML(), nil)
	if len(problems) > 0 {
		t.Fatalf("the default configuration has mistakes: %v", problems)
	}
	if diff := cmp.Diff(got.normal(), Default().normal()); diff != "" {
		t.Errorf("default file and default values differ (-file +values):\n%s", diff)
	}
}

// normal makes empty and absent lists compare equal.
func (c Config) normal() Config {
	if len(c.Rules.Files) == 0 {
		c.Rules.Files = nil
	}
	if len(c.Monitors) == 0 {
		c.Monitors = nil
	}
	if len(c.Intake.Mappings) == 0 {
		c.Intake.Mappings = nil
	}
	if len(c.Playbooks.Trust) == 0 {
		c.Playbooks.Trust = nil
	}
	if len(c.Drivers.Processes) == 0 {
		c.Drivers.Processes = nil
	}
	if len(c.Drivers.Settings) == 0 {
		c.Drivers.Settings = nil
	}
	if len(c.Drivers.Failovers) == 0 {
		c.Drivers.Failovers = nil
	}
	if len(c.Drivers.HTTP.Allow) == 0 {
		c.Drivers.HTTP.Allow = nil
	}
	if len(c.Guard.Tenants)+len(c.Guard.Freezes)+len(c.Guard.Scopes) == 0 {
		c.Guard.Tenants, c.Guard.Freezes, c.Guard.Scopes = nil, nil, nil
	}
	if len(c.Drivers.Exec.Allow) == 0 {
		c.Drivers.Exec.Allow = nil
	}
	return c
}

func TestEveryMistakeAtOnce(t *testing.T) {
	text := `
data_dir: ""
server:
  listen: 8080
  lisen: x
log: {level: loud}
metrics:
  retention: soon
  flush_interval: 1ms
loop: [1]
monitors:
  - name: a
    entity: cart
    kind: icmp
    target: x
  - name: a
    kind: tcp
    target: y
guard: {attempts: none, attempts: 2}
playbooks: {trust: {x: full}}
drivers:
  processes:
    - {name: p, entity: service/*, command: [sleep]}
`
	_, problems := file.Parse("homeostat.yaml", []byte(text), []string{"HOMEOSTAT_RULES_INTERVAL=never"})
	var got []string
	for _, p := range problems {
		got = append(got, p.String())
	}
	for _, want := range []string{
		"homeostat.yaml:2: data_dir: is empty",
		"homeostat.yaml:4: server.listen: is \"8080\"; expected host:port",
		"homeostat.yaml:5: server.lisen: is not known; expected listen",
		"homeostat.yaml:6: log.level: is \"loud\"; expected one of debug, info, warn, error",
		"homeostat.yaml:8: metrics.retention: is \"soon\"; expected a length of time",
		"homeostat.yaml:9: metrics.flush_interval: is 1ms; expected at least 100ms",
		"homeostat.yaml:10: loop: is a list; expected a group of keys",
		"homeostat.yaml:13: monitors[0].entity: is \"cart\"; expected kind/name",
		"homeostat.yaml:14: monitors[0].kind: is \"icmp\"; expected one of http, tcp, process",
		"homeostat.yaml:16: monitors[1].entity: is missing",
		"homeostat.yaml:16: monitors[1].name: \"a\" is taken",
		"homeostat.yaml:19: guard.attempts: is \"none\"; expected a whole number",
		"homeostat.yaml:19: guard.attempts: stands here twice",
		"homeostat.yaml:20: playbooks.trust.x: is \"full\"; expected one of observe, suggest, auto",
		"homeostat.yaml:23: drivers.processes[0].entity: is \"service/*\"",
		"homeostat.yaml:23: drivers.processes[0].command: begins with \"sleep\"; expected the program's absolute path first",
		"environment HOMEOSTAT_RULES_INTERVAL: rules.interval: is \"never\"",
	} {
		found := false
		for _, line := range got {
			found = found || strings.HasPrefix(line, want)
		}
		if !found {
			t.Errorf("no problem begins with %q in:\n%s", want, strings.Join(got, "\n"))
		}
	}
	if t.Failed() {
		return
	}
	if got, want := len(problems), 17; got != want {
		t.Errorf("got %d problems, want %d:\n%s", got, want, strings.Join(gotLines(problems), "\n"))
	}
}

func TestWhatServersCannotShare(t *testing.T) {
	text := `
store: {shared: true, dsn: "postgres://db/homeostat", dsn_file: /etc/dsn}
rules: {files: [a.yaml, a.yaml]}
monitors:
  - {name: a, entity: service/a, kind: process, target: /run/a.pid}
drivers:
  processes:
    - {name: p, entity: service/p, command: [/bin/sleep]}
`
	_, problems := file.Parse("homeostat.yaml", []byte(text), nil)
	lines := strings.Join(gotLines(problems), "\n")
	for _, want := range []string{
		"homeostat.yaml:2: store.dsn_file: is given besides store.dsn; expected either dsn or dsn_file",
		"rules.files[1]: \"a.yaml\" is there already",
		"metrics.remotes: is empty; expected a store of metrics that every server asks",
		"otlp.grpc_listen: is \"127.0.0.1:4317\"; expected empty",
		"otlp.http_listen: is \"127.0.0.1:4318\"; expected empty",
		"monitors[0].kind: is process; expected http or tcp",
		"drivers.processes[0]: is there; expected none",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("no problem says %q in:\n%s", want, lines)
		}
	}
	if len(problems) != 7 {
		t.Errorf("got %d problems, want 7:\n%s", len(problems), lines)
	}
	_, problems = file.Parse("homeostat.yaml", []byte("store: {shared: true}\n"), nil)
	if lines := strings.Join(gotLines(problems), "\n"); !strings.Contains(lines, "store.shared: is true for a store in data_dir") {
		t.Errorf("sharing a file is taken:\n%s", lines)
	}
}

func gotLines(problems []config.Problem) []string {
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = p.String()
	}
	return lines
}

func TestEnvironmentOverridesTheFile(t *testing.T) {
	cfg, problems := file.Parse("homeostat.yaml", []byte("rules: {interval: 10s}\n"), []string{"HOMEOSTAT_RULES_INTERVAL=2s", "HOMEOSTAT_OTLP_REQUIRE_TOKEN=true", "OTHER=1"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if got, want := cfg.Rules.Interval.Std(), 2*time.Second; got != want {
		t.Errorf("rules.interval: got %v, want %v", got, want)
	}
	if !cfg.OTLP.RequireToken {
		t.Error("otlp.require_token: got false, want true")
	}
}

func TestLoadMissingFile(t *testing.T) {
	path := t.TempDir() + "/homeostat.yaml"
	if _, problems := Load(path, false, nil); len(problems) > 0 {
		t.Errorf("a missing default file is a mistake: %v", problems)
	}
	if _, problems := Load(path, true, nil); len(problems) != 1 {
		t.Errorf("a missing named file: got %v, want one problem", problems)
	}
	if err := os.WriteFile(path, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, problems := Load(path, true, nil); len(problems) != 1 || !strings.Contains(problems[0].Text, "larger") {
		t.Errorf("a huge file: got %v, want one problem about its size", problems)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(DefaultYAML())
	f.Add([]byte("monitors: [{name: *a}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, problems := file.Parse("homeostat.yaml", data, nil)
		if len(problems) == 0 && cfg.DataDir == "" {
			t.Error("took a configuration without a data folder")
		}
	})
}
