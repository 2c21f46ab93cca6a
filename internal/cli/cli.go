// Package cli is the command homeostat: everything the API offers, for people
// at a terminal and for scripts.
//
// Its one invariant: it asks the API and shows what it said; it knows no rule
// and opens no store. Commands that are the server itself (up, demo, config)
// are handed in. Text from outside never reaches the terminal with control
// characters in it.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/playbook"
)

// The exit codes.
const (
	ExitOK          = 0
	ExitFailed      = 1 // it was asked, and it could not be done
	ExitUsage       = 2 // wrong input or usage
	ExitNotFound    = 3
	ExitDenied      = 4
	ExitUnreachable = 5
)

// Local is what the command can do without a server, given by who wires it.
type Local struct {
	Version string

	// Up runs the server until ctx ends and gives the exit code. named says
	// that the configuration file was asked for, so that it must exist.
	Up func(ctx context.Context, configPath string, named bool, stdout, stderr io.Writer) int

	// Demo shows a heal from end to end and gives the exit code.
	Demo func(ctx context.Context, o DemoOptions, stdout, stderr io.Writer) int

	// ConfigDefault is the default configuration as a commented file.
	ConfigDefault func() []byte

	// StoreMigrate brings the store of a configuration to this version's schema;
	// from is the file of an embedded store to copy into it, or empty.
	StoreMigrate func(ctx context.Context, configPath string, named bool, from string, progress func(table string, records int64)) error

	// ConfigCheck gives every mistake of a configuration.
	ConfigCheck func(path string, named bool) []config.Problem

	// PlaybooksCheck gives every mistake of playbooks that belong together, also
	// against the actions there are. If nil, only what each file itself shows is
	// checked.
	PlaybooksCheck func(files []playbook.File) playbook.Problems
}

// DemoOptions say what the demo shows.
type DemoOptions struct {
	Fault []string // crash, slow; empty: crash
	Once  bool     // end after the heal
	JSON  bool
	Keep  bool          // leave its files
	Ask   bool          // playbooks ask before they act
	Alone bool          // without rules and monitors
	Warm  time.Duration // how long all is well at first; 0: as long as is needed
	Shop  string        // file with a shop of your own; empty: the one that comes with it
}

// failure is an error with an exit code and what to do about it.
type failure struct {
	code int
	text string
	next string // what to do next, "" if there is nothing to say
}

func (f *failure) Error() string { return f.text }

func wrong(format string, args ...any) error {
	return &failure{code: ExitUsage, text: fmt.Sprintf(format, args...)}
}

// Execute runs the command with the arguments after its name, and gives the
// exit code.
func Execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, local Local) int {
	s := &session{local: local, stdin: stdin, stdout: stdout, stderr: stderr}
	root := s.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	switch f, told := errors.AsType[*failure](err); {
	case err == nil:
		return ExitOK
	case told:
		if f.text != "" {
			fmt.Fprintln(stderr, "homeostat: "+printable(f.text))
		}
		if f.next != "" {
			fmt.Fprintln(stderr, printable(f.next))
		}
		return f.code
	}
	fmt.Fprintln(stderr, "homeostat: "+printable(err.Error()))
	if _, ours := errors.AsType[*heal.Error](err); ours {
		return codeOf(err)
	}
	fmt.Fprintf(stderr, "See %q.\n", cmd.CommandPath()+" --help")
	return ExitUsage
}

// codeOf gives the exit code of an error of our own packages.
func codeOf(err error) int {
	switch heal.KindOf(err) {
	case heal.Invalid:
		return ExitUsage
	case heal.NotFound:
		return ExitNotFound
	case heal.Denied:
		return ExitDenied
	case heal.Transient, heal.Conflict, heal.Unknown, heal.Internal:
		return ExitFailed
	}
	return ExitFailed
}

// session is one run of the command.
type session struct {
	local          Local
	stdin          io.Reader
	stdout, stderr io.Writer

	server, tokenFile, caFile string
	output                    string
}

const exitHelp = `Exit codes: 0 done, 1 failed, 2 wrong input or usage, 3 not found, 4 denied,
5 server not reachable.`

func (s *session) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "homeostat",
		Short: "Notices faults, explains them, heals them, and checks that it worked",
		Long: `Homeostat notices faults, finds their cause, chooses a remedy, carries it out and
checks with fresh evidence that it worked.

Start a server with "homeostat up", or see everything at once with "homeostat demo".
The other commands talk to a server; they find it by --server and a token file.

` + exitHelp,
		Example:       "  homeostat demo --once\n  homeostat incidents list\n  homeostat approve 0198b7a4-6f00-7000-8000-00000000c001",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       s.local.Version,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			s.fromEnvironment(c)
			return s.checkOutput()
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&s.server, "server", "http://127.0.0.1:8080", "URL of the server; env HOMEOSTAT_SERVER")
	flags.StringVar(&s.tokenFile, "token-file", "./homeostat-data/operator.token", "your token; env HOMEOSTAT_TOKEN_FILE")
	flags.StringVar(&s.caFile, "ca-file", "", "who signed the server's certificate, PEM; env HOMEOSTAT_CA_FILE")
	flags.StringVarP(&s.output, "output", "o", "table", "table, json or yaml")
	must(root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp)))
	root.AddGroup(&cobra.Group{ID: "run", Title: "Run it:"}, &cobra.Group{ID: "see", Title: "See and act:"})
	for _, c := range []*cobra.Command{s.up(), s.demo(), s.config(), s.playbooks(), s.analyse()} {
		c.GroupID = "run"
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{
		s.incidents(), s.alerts(), s.silences(), s.changes(), s.runs(), s.approvals(), s.approve("approve"), s.approve("deny"), s.settle(),
		s.killSwitch(), s.guard(), s.audit(), s.principals(), s.store(), s.services(), s.knowledge(), s.report(), s.version(),
	} {
		c.GroupID = "see"
		root.AddCommand(c)
	}
	return root
}

func (s *session) checkOutput() error {
	switch s.output {
	case "table", "json", "yaml":
		return nil
	}
	return wrong("--output is %q, expected table, json or yaml", s.output)
}

// fromEnvironment fills in what no flag said.
func (s *session) fromEnvironment(c *cobra.Command) {
	for _, f := range []struct {
		flag, variable string
		into           *string
	}{
		{"server", "HOMEOSTAT_SERVER", &s.server}, {"token-file", "HOMEOSTAT_TOKEN_FILE", &s.tokenFile}, {"ca-file", "HOMEOSTAT_CA_FILE", &s.caFile},
	} {
		if v := strings.TrimSpace(os.Getenv(f.variable)); v != "" && !c.Flags().Changed(f.flag) {
			*f.into = v
		}
	}
}

// must is for what can only go wrong by a bug of this package.
func must(err error) {
	if err != nil {
		panic("cli: " + err.Error())
	}
}

// group is a command that only holds others.
func group(use, short, example string, parts ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.NoArgs}
	c.RunE = func(c *cobra.Command, _ []string) error {
		return wrong("say which: %s", strings.Join(names(c), ", "))
	}
	c.AddCommand(parts...)
	return c
}

func names(c *cobra.Command) []string {
	var out []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			out = append(out, sub.Name())
		}
	}
	return out
}
