// Package exec is the driver of commands on this machine.
//
// Its one invariant: it runs programs the configuration names, each with a list
// of arguments and never through a shell, and at the deadline it kills the
// program with its whole process group. An allowed interpreter allows whatever
// its arguments say. It is not for services that run on (see process).
package exec

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// The actions.
const (
	Command = "exec.command"
	Query   = "exec.query"
)

const (
	maxOutput = 64 << 10  // bytes kept of stdout and stderr each
	maxInput  = 1 << 20   // bytes
	maxArgs   = 128 << 10 // bytes of all arguments
)

// Options of the driver.
type Options struct {
	Allow []Executable // none: every command is refused
}

// Executable is one program that may be run.
type Executable struct {
	Path     string   // absolute; a command must name it exactly so
	ReadOnly bool     // it changes nothing, whatever its arguments: exec.query may run it
	Env      []string // names of variables a playbook may set for it
}

var (
	params = []action.Param{
		{Name: "argv", Type: action.Strings, Doc: "The absolute path of the program and its arguments.", Required: true},
		{Name: "dir", Type: action.String, Doc: "The directory to run in, absolute.", Default: "/"},
		{Name: "env", Type: action.Object, Doc: "Variables to set, of those the configuration allows for the program."},
		{Name: "stdin", Type: action.String, Doc: "What the program reads."},
		{Name: "ok_exit_codes", Type: action.Strings, Doc: "Exit codes that count as success.", Default: []string{"0"}},
	}
	outputs = []string{"exit_code", "stdout", "stderr", "truncated"}
)

var specs = []action.Spec{
	{
		Name: Command, Doc: "Runs a program with a list of arguments, at most once.",
		Params: params, Outputs: outputs, Effect: action.Once, Impact: action.Disruptive, Duration: 5 * time.Second,
	},
	{
		Name: Query, Doc: "Runs a program that only reads.",
		Params: params, Outputs: outputs, Effect: action.ReadOnly, Impact: action.Harmless, Duration: 5 * time.Second,
	},
}

// Driver runs commands.
type Driver struct{ allow []Executable }

// New makes the driver; kind Invalid if a program is not named by its absolute
// path.
func New(opts Options) (*Driver, error) {
	if err := checkAllowed(opts.Allow); err != nil {
		return nil, err
	}
	return &Driver{allow: slices.Clone(opts.Allow)}, nil
}

func checkAllowed(allow []Executable) error {
	for i, e := range allow {
		if !filepath.IsAbs(e.Path) || filepath.Clean(e.Path) != e.Path {
			return heal.Errorf(heal.Invalid, "allowed programs", "entry %d: %q is not an absolute path in its shortest form", i+1, e.Path)
		}
	}
	return nil
}

// Specs lists the actions.
func (d *Driver) Specs() []action.Spec { return specs }

// Do runs the program. An exit code that is not expected is Transient: the
// program's own word that it did not do what it was asked, to be tried again
// where the playbook says so. Death by a signal or the deadline is Unknown for
// exec.command, Transient for exec.query.
func (d *Driver) Do(ctx context.Context, call action.Call) (action.Result, error) {
	c, err := parse(d.allow, call)
	if err != nil {
		return action.Result{}, err
	}
	op := "run " + c.argv[0]
	if err := ctx.Err(); err != nil {
		return action.Result{}, heal.Errorf(heal.Transient, op, "%w", err)
	}
	stdout, stderr := &head{}, &head{}
	state, err := c.run(ctx, stdout, stderr)
	switch {
	case errors.Is(err, errDeadline):
		return action.Result{}, heal.Errorf(c.uncertain(), op, "%w; stderr: %q", err, stderr.start())
	case err != nil:
		return action.Result{}, heal.Errorf(startKind(err), op, "%w", err)
	case !state.Exited():
		return action.Result{}, heal.Errorf(c.uncertain(), op, "ended by %s; stderr: %q", state, stderr.start())
	case !slices.Contains(c.ok, state.ExitCode()):
		return action.Result{}, heal.Errorf(heal.Transient, op, "exit code %d, expected one of %v; stderr: %q", state.ExitCode(), c.ok, stderr.start())
	}
	return action.Result{Output: map[string]any{
		"exit_code": int64(state.ExitCode()),
		"stdout":    stdout.text(),
		"stderr":    stderr.text(),
		"truncated": stdout.cut() || stderr.cut(),
	}}, nil
}

// Observe cannot tell what a command has done.
func (d *Driver) Observe(_ context.Context, call action.Call) (action.Observation, error) {
	if _, err := parse(d.allow, call); err != nil {
		return action.Observation{}, err
	}
	return action.Observation{State: action.CannotTell, Detail: "what a command has done is not known to us"}, nil
}

var errDeadline = errors.New("killed with its process group when the time of the call was over")

// run starts the program as leader of a process group of its own and waits
// for it, or kills the group when ctx ends.
func (c command) run(ctx context.Context, stdout, stderr *head) (*os.ProcessState, error) {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Env = c.dir, c.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.stdin), stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second // for pipes that a descendant outside the group holds open
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	group := -cmd.Process.Pid
	exited := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		defer close(exited)
		awaitExit(cmd.Process.Pid)
	})
	var late error
	select {
	case <-exited:
	case <-ctx.Done():
		late = errDeadline
		_ = unix.Kill(group, unix.SIGKILL) // the leader is not reaped yet, so the id is still its own
	}
	wait.Wait()
	if late != nil {
		_ = unix.Kill(group, unix.SIGKILL) // what was forked while the first signal went round
	}
	err := cmd.Wait()
	if late != nil {
		return nil, late
	}
	if _, exit := errors.AsType[*exec.ExitError](err); err != nil && !exit && !errors.Is(err, exec.ErrWaitDelay) && !errors.Is(err, unix.EPIPE) {
		return nil, heal.Errorf(c.uncertain(), "", "wait for it: %w", err)
	}
	return cmd.ProcessState, nil
}

// awaitExit returns when the child has ended and leaves it to be reaped.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func startKind(err error) heal.Kind {
	if e, ok := errors.AsType[*heal.Error](err); ok {
		return e.Kind
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return heal.NotFound
	case errors.Is(err, fs.ErrPermission):
		return heal.Denied
	case errors.Is(err, unix.ENOEXEC), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.E2BIG):
		return heal.Invalid
	}
	return heal.Transient
}

// command is a checked call.
type command struct {
	action string
	argv   []string
	dir    string
	env    []string
	stdin  string
	ok     []int
}

// uncertain is the kind of an error after which the program may have acted.
func (c command) uncertain() heal.Kind {
	if c.action == Query {
		return heal.Transient
	}
	return heal.Unknown
}

func parse(allow []Executable, call action.Call) (command, error) {
	call, err := action.CheckCall(specs, call)
	if err != nil {
		return command{}, err
	}
	c := command{action: call.Action}
	c.argv, _ = call.Params["argv"].([]string)
	c.dir, _ = call.Params["dir"].(string)
	c.stdin, _ = call.Params["stdin"].(string)
	refuse := func(kind heal.Kind, format string, args ...any) (command, error) {
		return command{}, heal.Errorf(kind, "check "+call.Action, format, args...)
	}
	total := 0
	for i, arg := range c.argv {
		total += len(arg)
		if strings.ContainsRune(arg, 0) {
			return refuse(heal.Invalid, "parameter \"argv\": argument %d holds a zero byte", i)
		}
	}
	switch {
	case len(c.argv) == 0:
		return refuse(heal.Invalid, "parameter \"argv\" is empty, expected a program and its arguments")
	case total > maxArgs:
		return refuse(heal.Invalid, "parameter \"argv\" is %d bytes long, expected at most %d", total, maxArgs)
	case len(c.stdin) > maxInput:
		return refuse(heal.Invalid, "parameter \"stdin\" is %d bytes long, expected at most %d", len(c.stdin), maxInput)
	case !filepath.IsAbs(c.dir) || strings.ContainsRune(c.dir, 0):
		return refuse(heal.Invalid, "parameter \"dir\" is %.100q, expected an absolute path", c.dir)
	}
	at := slices.IndexFunc(allow, func(e Executable) bool { return e.Path == c.argv[0] })
	switch {
	case len(allow) == 0:
		return refuse(heal.Denied, "%.100q may not be run: the configuration allows no program", c.argv[0])
	case at < 0:
		return refuse(heal.Denied, "%.100q may not be run: the configuration does not list it", c.argv[0])
	case c.action == Query && !allow[at].ReadOnly:
		return refuse(heal.Denied, "%s may not be run as a query: the configuration does not call it read_only", c.argv[0])
	}
	if c.env, err = environ(allow[at], call.Params["env"]); err != nil {
		return refuse(heal.KindOf(err), "parameter \"env\": %w", err)
	}
	codes, _ := call.Params["ok_exit_codes"].([]string)
	for _, text := range codes {
		code, err := strconv.ParseUint(text, 10, 8)
		if err != nil {
			return refuse(heal.Invalid, "parameter \"ok_exit_codes\": %.20q is no exit code, expected 0 to 255", text)
		}
		c.ok = append(c.ok, int(code))
	}
	return c, nil
}

// environ is a plain environment with the variables of the call.
func environ(e Executable, value any) ([]string, error) {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	given, _ := value.(map[string]any)
	for name, v := range given {
		text, ok := v.(string)
		switch {
		case !slices.Contains(e.Env, name):
			return nil, heal.Errorf(heal.Denied, "", "%.64q may not be set: the configuration does not allow it for %s", name, e.Path)
		case !ok || strings.ContainsRune(text, 0):
			return nil, heal.Errorf(heal.Invalid, "", "the value of %.64q is no string or holds a zero byte", name)
		}
		env = append(env, fmt.Sprintf("%s=%s", name, text))
	}
	return env, nil
}
