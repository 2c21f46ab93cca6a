package probe

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Config is one monitor. Exactly one of HTTP, TCP and Process is set.
type Config struct {
	Name    string        // unique among the monitors
	Entity  heal.EntityID // what is well or not
	HTTP    *HTTP
	TCP     *TCP
	Process *Process

	Interval  time.Duration // between the starts of two probes; default 5 s, at least 50 ms
	Timeout   time.Duration // of one probe; default the interval, but 1 s at least and 10 s at most
	Failures  int           // in a row until it is down; default 3
	Successes int           // in a row until it is up; default 2
	Severity  heal.Severity // of its being down; default critical
	Labels    map[string]string
}

// HTTP is well if an answer has a wanted status and its body matches.
type HTTP struct {
	URL        string            // http or https
	Method     string            // GET, HEAD or OPTIONS; default GET
	Header     map[string]string // sent along
	Statuses   []int             // wanted; default every status from 200 to 299
	Body       string            // RE2 the body must match, in its first MiB; empty: any body
	SkipVerify bool              // take any certificate
}

// TCP is well if a connection is accepted.
type TCP struct {
	Address string // host:port
}

// Process is well if a process runs that meets everything named here. A zombie
// does not run.
type Process struct {
	// PIDFile holds the process id and, optionally, after a space its start
	// time in clock ticks since boot (field 22 of /proc/<pid>/stat). Without
	// the start time, a process that began after the file was written is taken
	// for another one that got the same id.
	PIDFile string
	// Exe is the program: a path, compared whole, or a name, compared with the
	// last part; of the executable or of the first argument.
	Exe string
	// Args are the arguments after the first, compared one by one; nil: any.
	Args []string
}

// The bounds of a monitor.
const (
	MinInterval = 50 * time.Millisecond
	MaxInterval = 24 * time.Hour
	MaxTimeout  = 5 * time.Minute
	maxStreak   = 1000 // failures or successes needed
)

// Kind is the sort of monitor: http, tcp or process.
func (c Config) Kind() string {
	switch {
	case c.HTTP != nil:
		return "http"
	case c.TCP != nil:
		return "tcp"
	case c.Process != nil:
		return "process"
	}
	return ""
}

// Target is what is asked, for people, without passwords.
func (c Config) Target() string {
	switch {
	case c.HTTP != nil:
		if u, err := url.Parse(c.HTTP.URL); err == nil {
			return u.Redacted()
		}
		return ""
	case c.TCP != nil:
		return c.TCP.Address
	case c.Process != nil:
		return c.Process.String()
	}
	return ""
}

func (c Config) withDefaults() Config {
	if c.Interval == 0 {
		c.Interval = 5 * time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = min(max(c.Interval, time.Second), 10*time.Second)
	}
	if c.Failures == 0 {
		c.Failures = 3
	}
	if c.Successes == 0 {
		c.Successes = 2
	}
	if c.Severity == "" {
		c.Severity = heal.Critical
	}
	c.Labels = maps.Clone(c.Labels)
	return c
}

// check refuses what cannot be probed. c has its defaults.
func (c Config) check() error {
	set := 0
	for _, is := range []bool{c.HTTP != nil, c.TCP != nil, c.Process != nil} {
		if is {
			set++
		}
	}
	switch {
	case strings.TrimSpace(c.Name) == "" || len(c.Name) > 128:
		return fmt.Errorf("name is %.40q, expected 1 to 128 characters", c.Name)
	case set != 1:
		return fmt.Errorf("%d of http, tcp and process are given, expected exactly one", set)
	case c.Interval < MinInterval || c.Interval > MaxInterval:
		return fmt.Errorf("interval is %s, expected %s to %s", c.Interval, MinInterval, MaxInterval)
	case c.Timeout < time.Millisecond || c.Timeout > MaxTimeout:
		return fmt.Errorf("timeout is %s, expected 1ms to %s", c.Timeout, MaxTimeout)
	case c.Failures < 1 || c.Failures > maxStreak:
		return fmt.Errorf("failures is %d, expected 1 to %d", c.Failures, maxStreak)
	case c.Successes < 1 || c.Successes > maxStreak:
		return fmt.Errorf("successes is %d, expected 1 to %d", c.Successes, maxStreak)
	case c.Severity != heal.Info && c.Severity != heal.Warning && c.Severity != heal.Critical:
		return fmt.Errorf("severity is %.40q, expected info, warning or critical", c.Severity)
	}
	if err := c.Entity.Validate(); err != nil {
		return fmt.Errorf("entity: %w", err)
	}
	switch {
	case c.HTTP != nil:
		return c.HTTP.check()
	case c.TCP != nil:
		return c.TCP.check()
	}
	return c.Process.check()
}

func (h HTTP) check() error {
	u, err := url.Parse(h.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("url is %.200q, expected as in http://127.0.0.1:8080/healthz", h.URL)
	}
	switch h.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		return fmt.Errorf("method is %.20q, expected GET, HEAD or OPTIONS: a probe changes nothing", h.Method)
	}
	for _, s := range h.Statuses {
		if s < 100 || s > 599 {
			return fmt.Errorf("status %d is none, expected 100 to 599", s)
		}
	}
	if _, err := regexp.Compile(h.Body); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	return nil
}

func (t TCP) check() error {
	if host, port, err := net.SplitHostPort(t.Address); err != nil || host == "" || port == "" {
		return fmt.Errorf("address is %.200q, expected host:port", t.Address)
	}
	return nil
}

// String is what is looked for.
func (p Process) String() string {
	if p.PIDFile != "" {
		return p.PIDFile
	}
	return p.command()
}

func (p Process) command() string {
	return strings.Join(append([]string{p.Exe}, p.Args...), " ")
}

func (p Process) check() error {
	switch {
	case p.PIDFile == "" && p.Exe == "":
		return fmt.Errorf("process names neither pid file nor exe: it would match any process")
	case p.PIDFile != "" && !filepath.IsAbs(p.PIDFile):
		return fmt.Errorf("pid file is %.200q, expected an absolute path", p.PIDFile)
	case strings.ContainsAny(p.Exe, "*?"):
		return fmt.Errorf("exe is %.200q, expected one program without wildcards", p.Exe)
	}
	return nil
}
