package shop

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func defaults(t testing.TB) Config {
	t.Helper()
	port := 10000
	return Default("http://127.0.0.1:4318", func() int { port++; return port })
}

func TestDefaultRoundTrip(t *testing.T) {
	want := defaults(t)
	text, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDefaultPorts(t *testing.T) {
	asked := 0
	Default("", func() int { asked++; return asked })
	if asked != DefaultPorts {
		t.Errorf("Default asks for %d ports, DefaultPorts says %d", asked, DefaultPorts)
	}
}

func TestMistakesAreReportedTogether(t *testing.T) {
	const text = `
telemetry: {endpoint: "collector:4318", interval: -1s}
services:
  - {name: a, role: cart, listen: nowhere, upstreams: {inventory: "127.0.0.1:1"}}
  - {name: a, role: chef, listen: "127.0.0.1:1", admin: "0.0.0.0:2", rate: -1}
  - {name: b, role: inventory, listen: "127.0.0.1:3", pool: {size: -1}}
`
	_, err := ParseConfig([]byte(text))
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{
		"telemetry.endpoint", "telemetry.interval", "services[0] (a): listen", "services[0] (a): upstreams.inventory",
		`services[1].name: "a" is empty or taken`, "services[1] (a): role", "services[1] (a): admin", "services[1] (a): timeout",
		"services[2] (b): pool",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
}

func TestBadConfig(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", "EOF"},
		{"unknown key", "service: []", "field service not found"},
		{"huge", strings.Repeat("#", 2<<20), "1 MiB"},
		{"malformed", "services: [", "did not find expected"},
		{"invalid UTF-8", "services: [{name: \xff}]", "UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ParseConfig([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to say %q", err, tt.want)
			}
		})
	}
}

func FuzzParseConfig(f *testing.F) {
	text, err := defaults(f).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("services: [{name: a, role: load}]"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		if c, err := ParseConfig(text); err == nil {
			for _, s := range c.Services {
				_, _ = c.service(s.Name)
			}
		}
	})
}
