// Package process is the driver of processes on this machine: it starts, stops,
// restarts, scales and signals the ones that are configured, and no others.
//
// Its one invariant: a signal reaches exactly the process that was started, told
// by pid, start time and boot and sent through a pidfd, never a stranger that
// got the pid later. What it started outlives it: each process has a session of
// its own and the state file says what runs, so that the next server, or another
// program with the same state directory, goes on where this one stopped. A
// service manager that kills a whole control group on stop (systemd unless
// KillMode=process) defeats that.
//
// It is not for supervision: a process that dies stays dead until an action
// starts it, which is what the loop is for. It needs Linux 5.10 or newer.
package process

import (
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/homeostat/homeostat/internal/heal"
)

// Options of the driver.
type Options struct {
	Processes []Process
	StateDir  string       // what runs is remembered here; made with mode 0700
	Signals   []string     // that process.signal may send; HUP, USR1 and USR2 if nil
	Log       *slog.Logger // nil: none
}

// Process is one program the driver may run. "{instance}" in Command, Env, Dir,
// ReadyURL, ReadyTCP and LogFile stands for the number of the instance, from 0.
//
// A process sees PATH, HOME, USER, LANG, LC_ALL, TZ and TMPDIR of the one who
// starts it, then Env, then HOMEOSTAT_STEP_KEY, HOMEOSTAT_PROCESS,
// HOMEOSTAT_INSTANCE and HOMEOSTAT_STATE_DIR, by which it is found again.
type Process struct {
	Name         string        // unique: letters, digits, "-", "_", "."
	Entity       heal.EntityID // what it serves, as in service/cart; process/<Name> if empty
	Command      []string      // argument list, the program as an absolute path
	Dir          string        // absolute; "/" if empty
	Env          map[string]string
	Instances    int           // 1 if zero
	MaxInstances int           // most that process.scale may ask for; Instances if zero
	ReadyURL     string        // answers 2xx when ready
	ReadyTCP     string        // host:port, accepts connections when ready
	ReadyTimeout time.Duration // 30 s if zero
	Grace        time.Duration // from SIGTERM to SIGKILL; 10 s if zero
	LogFile      string        // stdout and stderr; <StateDir>/<Name>.<instance>.log if empty
	LogLimit     int64         // bytes; a larger log is moved to LogFile.1 at start; 16 MiB if zero
}

// catalog is the checked configuration.
type catalog struct {
	dir       string
	processes []*Process // by name
	signals   map[string]unix.Signal
}

var processName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// newCatalog checks the options and fills in the defaults. The error names
// every mistake.
func newCatalog(opts Options) (*catalog, error) {
	var mistakes []string
	wrong := func(format string, args ...any) { mistakes = append(mistakes, fmt.Sprintf(format, args...)) }
	if !filepath.IsAbs(opts.StateDir) {
		wrong("state directory %q is not an absolute path", opts.StateDir)
	}
	c := &catalog{dir: filepath.Clean(opts.StateDir), signals: map[string]unix.Signal{}}
	if opts.Signals == nil {
		opts.Signals = []string{"HUP", "USR1", "USR2"}
	}
	for _, name := range opts.Signals {
		number := unix.SignalNum("SIG" + name)
		if number == 0 {
			wrong("signal %q is not known, expected a name as in HUP or USR1", name)
		}
		c.signals[name] = number
	}
	seen := map[string]bool{}
	for i, p := range opts.Processes {
		if seen[p.Name] {
			wrong("process %q is configured twice", p.Name)
		}
		seen[p.Name] = true
		p.fill(c.dir)
		for _, problem := range p.problems() {
			wrong("process %d (%q): %s", i+1, p.Name, problem)
		}
		c.processes = append(c.processes, &p)
	}
	slices.SortFunc(c.processes, func(a, b *Process) int { return strings.Compare(a.Name, b.Name) })
	if len(mistakes) > 0 {
		return nil, heal.Errorf(heal.Invalid, "configure processes", "%s", strings.Join(mistakes, "; "))
	}
	return c, nil
}

func (p *Process) fill(dir string) {
	if p.Entity == "" {
		p.Entity = heal.NewEntityID(heal.KindProcess, p.Name)
	}
	if p.Dir == "" {
		p.Dir = "/"
	}
	if p.Instances == 0 {
		p.Instances = 1
	}
	if p.MaxInstances == 0 {
		p.MaxInstances = p.Instances
	}
	if p.ReadyTimeout == 0 {
		p.ReadyTimeout = 30 * time.Second
	}
	if p.Grace == 0 {
		p.Grace = 10 * time.Second
	}
	if p.LogFile == "" {
		p.LogFile = filepath.Join(dir, p.Name+".{instance}.log")
	}
	if p.LogLimit == 0 {
		p.LogLimit = 16 << 20
	}
}

func (p *Process) problems() []string {
	var out []string
	check := func(ok bool, format string, args ...any) {
		if !ok {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	check(processName.MatchString(p.Name), "its name must begin with a letter or digit and hold only letters, digits, \"-\", \"_\" and \".\"")
	if err := p.Entity.Validate(); err != nil {
		check(false, "%v", err)
	}
	check(len(p.Command) > 0 && filepath.IsAbs(p.Command[0]), "its command must begin with the absolute path of a program")
	check(filepath.IsAbs(p.Dir), "its directory %q is not an absolute path", p.Dir)
	check(filepath.IsAbs(p.LogFile), "its log file %q is not an absolute path", p.LogFile)
	check(p.Instances > 0 && p.MaxInstances >= p.Instances, "it has %d instances and at most %d, expected 1 or more and no fewer at most", p.Instances, p.MaxInstances)
	check(p.MaxInstances == 1 || strings.Contains(p.LogFile, "{instance}"), "several instances would share the log file %q; put {instance} into its name", p.LogFile)
	check(p.Grace > 0 && p.ReadyTimeout > 0 && p.LogLimit > 0, "its grace, ready timeout and log limit may not be negative")
	if p.ReadyURL != "" {
		u, err := url.Parse(p.at(p.ReadyURL, 0))
		check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", "its ready URL is not of the form http://host:port/path")
	}
	for name := range p.Env {
		check(name != "" && !strings.ContainsAny(name, "=\x00"), "%q cannot name an environment variable", name)
		check(!strings.HasPrefix(name, markPrefix) || !slices.Contains(marks, name), "the environment variable %s is set by the driver", name)
	}
	return out
}

// at puts the number of the instance into a text of the configuration.
func (p *Process) at(text string, n int) string {
	return strings.ReplaceAll(text, "{instance}", strconv.Itoa(n))
}

// resolve gives the processes of an entity, by name. process/<name> is always
// understood.
func (c *catalog) resolve(target heal.EntityID) ([]*Process, error) {
	if err := target.Validate(); err != nil {
		return nil, heal.Wrap("find processes", err)
	}
	var found []*Process
	for _, p := range c.processes {
		if p.Entity == target || heal.NewEntityID(heal.KindProcess, p.Name) == target {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return nil, heal.Errorf(heal.NotFound, "find processes", "no process is configured for %s", target)
	}
	return found, nil
}

// named gives the process of the name.
func (c *catalog) named(name string) (*Process, error) {
	for _, p := range c.processes {
		if p.Name == name {
			return p, nil
		}
	}
	return nil, heal.Errorf(heal.NotFound, "find process", "no process is configured with the name %q", name)
}
