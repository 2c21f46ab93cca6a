//go:build e2e

package e2e_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/homeostat/homeostat/examples/shop"
)

// settings is a homeostat.yaml, or a part of one.
type settings map[string]any

// house is an installation: a folder with a configuration, playbooks and data,
// and the server that runs in it, which may die and start again.
type house struct {
	t      *testing.T
	dir    string
	api    string // host:port
	otlp   string // host:port of OTLP over HTTP
	server *child
	pid    int // of the server itself, which strace may stand before
}

// playbook is a file of the folder of playbooks.
type playbook struct{ name, text string }

// newHouse writes an installation on free ports. The settings are laid over a
// base: everything loopback, own playbooks only.
func newHouse(t *testing.T, more settings, books ...playbook) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir()}
	ports := freePorts(t, 2)
	h.api, h.otlp = ports[0], ports[1]
	base := settings{
		"data_dir":  filepath.Join(h.dir, "data"),
		"server":    settings{"listen": h.api},
		"otlp":      settings{"grpc_listen": "", "http_listen": h.otlp},
		"rules":     settings{"shipped": false},
		"playbooks": settings{"shipped": false, "dir": filepath.Join(h.dir, "playbooks")},
	}
	for key, value := range more {
		part, isPart := value.(settings)
		if under, ok := base[key].(settings); ok && isPart {
			maps.Copy(under, part)
			continue
		}
		base[key] = value
	}
	text, err := yaml.Marshal(base)
	must(t, err)
	must(t, os.WriteFile(h.config(), text, 0o600))
	must(t, os.Mkdir(filepath.Join(h.dir, "playbooks"), 0o700))
	for _, b := range books {
		must(t, os.WriteFile(filepath.Join(h.dir, "playbooks", b.name+".yaml"), []byte(b.text), 0o600))
	}
	killWhatHolds(t, h.dir)
	return h
}

func (h *house) config() string { return filepath.Join(h.dir, "homeostat.yaml") }

// start runs the server, behind the words before if there are any, until it is
// ready.
func (h *house) start(before ...string) {
	h.t.Helper()
	h.launch(nil, before...)
	h.ready()
}

// launch runs the server and does not wait.
func (h *house) launch(files []*os.File, before ...string) {
	h.t.Helper()
	words := append(before, binary, "up", "--config", h.config())
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env, cmd.ExtraFiles = h.dir, environ(h.dir), files
	h.server = spawn(h.t, cmd)
	h.pid = cmd.Process.Pid
}

// ready waits until the server says so.
func (h *house) ready() {
	h.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !h.isReady() {
		select {
		case <-h.server.ended:
			h.t.Fatalf("the server ended with %d before it was ready\n%s", h.server.cmd.ProcessState.ExitCode(), tail(h.server.out.String()))
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("the server is not ready within 30s\n%s", tail(h.server.out.String()))
		}
	}
}

func (h *house) isReady() bool {
	resp, err := http.Get("http://" + h.api + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// crash kills the server as a power cut would, and waits until it is gone.
func (h *house) crash() {
	_ = syscall.Kill(h.pid, syscall.SIGKILL) // gone already is as good
	<-h.server.ended
}

// stop ends the server as an operator would.
func (h *house) stop() int {
	h.t.Helper()
	must(h.t, h.server.cmd.Process.Signal(syscall.SIGTERM))
	return h.server.exit(15 * time.Second)
}

// alive reports whether the server still runs, to tell a refusal from a crash.
func (h *house) alive() bool {
	select {
	case <-h.server.ended:
		return false
	default:
		return h.isReady()
	}
}

// freePorts finds loopback addresses that nobody listens on just now.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	ports, err := shop.FreePorts(n)
	must(t, err)
	addresses := make([]string, n)
	for i, p := range ports {
		addresses[i] = fmt.Sprintf("127.0.0.1:%d", p)
	}
	return addresses
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill reads a file of testdata and puts values in: @name@ by its value.
func fill(t *testing.T, name string, values map[string]string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	must(t, err)
	for word, value := range values {
		text = bytes.ReplaceAll(text, []byte("@"+word+"@"), []byte(value))
	}
	if at := strings.Index(string(text), "@"); at >= 0 {
		t.Fatalf("%s: nothing was given for %.20q", name, text[at:])
	}
	return string(text)
}

func book(t *testing.T, name string, values map[string]string) playbook {
	t.Helper()
	return playbook{name, fill(t, name+".yaml", values)}
}

// numbered gives prefix-1 to prefix-n.
func numbered(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s-%d", prefix, i+1)
	}
	return list
}
