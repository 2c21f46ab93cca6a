package probe_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/probe"
)

func ignore(context.Context, probe.Transition) error { return nil }

func TestNewRefuses(t *testing.T) {
	tcp := &probe.TCP{Address: "127.0.0.1:80"}
	good := probe.Config{Name: "m", Entity: "service/cart", TCP: tcp}
	with := func(change func(*probe.Config)) []probe.Config {
		c := good
		change(&c)
		return []probe.Config{c}
	}
	for _, tc := range []struct {
		name     string
		monitors []probe.Config
		want     string
	}{
		{"no name", with(func(c *probe.Config) { c.Name = " " }), "name is"},
		{"no kind", with(func(c *probe.Config) { c.TCP = nil }), "0 of http, tcp and process are given"},
		{"two kinds", with(func(c *probe.Config) { c.HTTP = &probe.HTTP{URL: "http://a"} }), "2 of http, tcp and process are given"},
		{"too often", with(func(c *probe.Config) { c.Interval = time.Millisecond }), "interval is 1ms, expected 50ms"},
		{"negative timeout", with(func(c *probe.Config) { c.Timeout = -1 }), "timeout is"},
		{"negative failures", with(func(c *probe.Config) { c.Failures = -1 }), "failures is -1"},
		{"wildcard", with(func(c *probe.Config) { c.Entity = "service/*" }), "entity"},
		{"severity", with(func(c *probe.Config) { c.Severity = "bad" }), "severity is"},
		{"address", with(func(c *probe.Config) { c.TCP = &probe.TCP{Address: "host"} }), "expected host:port"},
		{"url", with(func(c *probe.Config) { c.TCP, c.HTTP = nil, &probe.HTTP{URL: "ftp://a/b"} }), "url is"},
		{"method", with(func(c *probe.Config) { c.TCP, c.HTTP = nil, &probe.HTTP{URL: "http://a", Method: "DELETE"} }), "a probe changes nothing"},
		{"body", with(func(c *probe.Config) { c.TCP, c.HTTP = nil, &probe.HTTP{URL: "http://a", Body: "("} }), "body: error parsing regexp"},
		{"any process", with(func(c *probe.Config) { c.TCP, c.Process = nil, &probe.Process{Args: []string{"x"}} }), "would match any process"},
		{"relative pid file", with(func(c *probe.Config) { c.TCP, c.Process = nil, &probe.Process{PIDFile: "a.pid"} }), "expected an absolute path"},
		{"same name", []probe.Config{good, good}, "monitor 2 (m): the name is taken"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := probe.New(probe.Options{Monitors: tc.monitors, Sink: ignore})
			if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want kind invalid with %q", err, tc.want)
			}
		})
	}
}

func TestTargetHidesPasswords(t *testing.T) {
	c := probe.Config{HTTP: &probe.HTTP{URL: "http://ada:secret@host/x"}}
	if got, want := c.Target(), "http://ada:xxxxx@host/x"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := (probe.Config{}).Target(); got != "" {
		t.Errorf("nothing to probe: got %q, want nothing", got)
	}
}
