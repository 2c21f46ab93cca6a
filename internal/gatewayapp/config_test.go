package gatewayapp

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// run gives what a command prints and its exit code.
func run(t *testing.T, environ []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // a gateway that starts ends at once
	c := Command{Version: "1.2.3", Environ: environ, Stdout: &out, Stderr: &errs}
	code = c.Execute(ctx, args)
	return out.String(), errs.String(), code
}

func write(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheDefaultIsWithoutMistakes(t *testing.T) {
	text, _, code := run(t, nil, "config", "default")
	if code != ExitOK {
		t.Fatalf("got exit code %d", code)
	}
	file := write(t, text)
	if out, _, code := run(t, nil, "config", "check", "--config", file); code != ExitOK {
		t.Errorf("got %d, %s", code, out)
	}
	got, problems := Form.Load(file, true, nil)
	got.Sampling.Services, got.Backends[0].Headers, got.Clean = nil, nil, CleanConfig{} // written as {} and []
	if diff := cmp.Diff(got, Default()); diff != "" || len(problems) > 0 {
		t.Errorf("problems %v, (-got +want):\n%s", problems, diff)
	}
}

func TestEveryMistakeIsToldAtOnce(t *testing.T) {
	file := write(t, `otlp: {grpc_listen: "0.0.0.0:4317", http_listen: "127.0.0.1:8888"}
sampling: {rate: 1.5, least_rate: 0.5}
traces: {acknowledge: sometimes}
batch: {start: 5}
clean: {logs: ['sett(log.body, "x")'], metrics: ['set(name, 1)']}
backends:
  - {name: a, endpoint: "http://x:1"}
  - {name: a, endpoint: "x:1", protocol: http}
  - {name: b, endpoint: "far:1", token_file: /t}
`)
	out, errs, code := run(t, nil, "config", "check", "--config", file)
	if code != ExitUsage || !strings.Contains(errs, "mistakes: 12") {
		t.Errorf("got exit code %d, %q", code, errs)
	}
	for _, want := range []string{
		`:1: otlp.grpc_listen: "0.0.0.0:4317" is open to others; expected a loopback address, or both otlp.tls and otlp.token_file`,
		": metrics.listen: is the address of otlp.http_listen too",
		":2: sampling.rate: is 1.5; expected between 0 and 1",
		":2: sampling.least_rate: is 0.5, above 0.1; expected at most most_rate",
		`:3: traces.acknowledge: is "sometimes"; expected one of spool, memory, export`,
		":4: batch: has least 100, start 5, most 10000",
		`:5: clean.metrics[0]: does not say what it speaks of`,
		`:5: clean.logs[0]: `,
		`expected set(...)`,
		`:7: backends[0].endpoint: is "http://x:1"; expected host:port`,
		`:8: backends[1].name: "a" is taken`,
		`:8: backends[1].endpoint: is "x:1"; expected a URL`,
		`:9: backends[2].token_file: would send a token in plain text to "far:1"; expected tls as well`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("not told: %s\n%s", want, out)
		}
	}
}

func TestCommands(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yaml")
	for _, tt := range []struct {
		name    string
		environ []string
		args    []string
		code    int
		says    string
	}{
		{"version", nil, []string{"version"}, ExitOK, "1.2.3"},
		{"help", nil, []string{"--help"}, ExitOK, "SIGHUP"},
		{"no command", nil, []string{"dance"}, ExitUsage, `"dance" is no command`},
		{"no flag", nil, []string{"--dance"}, ExitUsage, "dance"},
		{"a file that is not there", nil, []string{"--config", missing}, ExitUsage, "no such file"},
		{"a token file that is not there", []string{"HOMEOSTAT_GATEWAY_OTLP_TOKEN_FILE=" + missing}, []string{"config", "check"}, ExitUsage, "no such file"},
		{"the environment", []string{"HOMEOSTAT_GATEWAY_SAMPLING_RATE=2"}, []string{"config", "check"}, ExitUsage, "sampling.rate: is 2"},
		{
			"start and stop",
			[]string{
				"HOMEOSTAT_GATEWAY_DATA_DIR=" + t.TempDir(), "HOMEOSTAT_GATEWAY_OTLP_GRPC_LISTEN=127.0.0.1:0", "HOMEOSTAT_GATEWAY_OTLP_HTTP_LISTEN=127.0.0.1:0",
				"HOMEOSTAT_GATEWAY_METRICS_LISTEN=127.0.0.1:0",
			},
			nil, ExitOK, "msg=ready",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, errs, code := run(t, tt.environ, tt.args...)
			if code != tt.code || !strings.Contains(out+errs, tt.says) {
				t.Errorf("got %d %q %q, want %d and %q", code, out, errs, tt.code, tt.says)
			}
		})
	}
}
