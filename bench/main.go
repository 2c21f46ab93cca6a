// Command bench measures the figures Homeostat promises, on the real server: it
// builds the binary, starts it as a child process on a fresh data directory and
// talks to it over HTTP. What cannot be seen from outside (the time between two
// steps) is measured on the engine in this process.
//
// Its one invariant: a figure is printed as it came, with what it is bounded by
// (the machine, its load, the time the disk takes to sync) beside it; a missed
// bar is shown as missed. It is not for finding out whether things work: tests
// are.
//
//	go run ./bench                          # everything, about five minutes
//	go run ./bench -only intake,engine      # some of it
//	go run ./bench -binary ./bin/homeostat  # a binary built before
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// options are what a measurement may be told.
type options struct {
	binary   string        // the server
	dir      string        // scratch, on the disk to be measured
	profiles string        // where the engine's profile goes; empty: none
	duration time.Duration // of each loaded phase
	conns    int           // connections of the load generator
	alerts   int           // in the full store
	open     int           // open cases in the full store
	changes  int           // changes in the full store
	browser  bool          // the page is looked at in a real browser, too

	history    int    // alerts of the year before
	historyDir string // keeps the store with them; empty: scratch
}

// section is one group of figures.
type section struct {
	name string
	run  func(context.Context, *options, *report) error
	long bool // only if it is named
}

var sections = []section{
	{name: "up", run: measureUp},
	{name: "lists", run: measureLists},
	{name: "page", run: measurePage},
	{name: "intake", run: measureIntake},
	{name: "engine", run: measureEngine},
	{name: "postgres", run: measurePostgres},
	{name: "open", run: measureOpen},
	{name: "code", run: measureCode},
	{name: "history", run: measureHistory, long: true},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	o := options{}
	only := flags.String("only", "", "sections, comma separated: up, lists, page, intake, engine, postgres, open, code, history; empty: all but history")
	where := flags.String("dir", "", "folder on the disk to measure; empty: the system's temporary folder")
	out := flags.String("json", "", "file that gets the figures as JSON lines; empty: they follow the table")
	flags.StringVar(&o.binary, "binary", "", "homeostat to measure; empty: it is built")
	flags.StringVar(&o.profiles, "cpuprofile", "", "file for a CPU profile of the engine section")
	flags.DurationVar(&o.duration, "duration", 10*time.Second, "of each loaded phase")
	flags.IntVar(&o.conns, "conns", 16, "connections that send alerts")
	flags.IntVar(&o.alerts, "alerts", 100_000, "alerts in the full store")
	flags.BoolVar(&o.browser, "browser", false, "look at the page in a real browser, too; needs Chromium, Node 20 and what make page installs")
	flags.IntVar(&o.open, "open", 10_000, "open cases in the full store")
	flags.IntVar(&o.changes, "changes", 10_000, "changes in the full store")
	flags.IntVar(&o.history, "history", 10_000_000, "alerts of the year before, in the section of that name")
	flags.StringVar(&o.historyDir, "history-dir", "", "folder that keeps the store with them for the next time; empty: it is made anew")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := choose(*only)
	if err != nil {
		return err
	}
	if o.dir, err = os.MkdirTemp(*where, "homeostat-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	if o.binary == "" && needsBinary(wanted) {
		o.binary = filepath.Join(o.dir, "homeostat")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", o.binary, "./cmd/homeostat")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build the server: %w", err)
		}
	}
	r := &report{log: os.Stderr}
	if r.Machine, err = readMachine(ctx, o.dir); err != nil {
		return err
	}
	for _, s := range wanted {
		r.begin(s.name)
		if err := s.run(ctx, &o, r); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	r.table(os.Stdout)
	if *out == "" {
		return r.lines(os.Stdout)
	}
	f, err := os.Create(*out)
	if err != nil {
		return err
	}
	return errors.Join(r.lines(f), f.Close())
}

// choose gives the sections named, all of them for an empty list.
func choose(only string) ([]section, error) {
	if only == "" {
		return slices.DeleteFunc(slices.Clone(sections), func(s section) bool { return s.long }), nil
	}
	var out []section
	for name := range strings.SplitSeq(only, ",") {
		at := slices.IndexFunc(sections, func(s section) bool { return s.name == name })
		if at < 0 {
			return nil, fmt.Errorf("-only: there is no section %q", name)
		}
		out = append(out, sections[at])
	}
	return out, nil
}

// needsBinary reports whether a section starts the server.
func needsBinary(list []section) bool {
	return slices.ContainsFunc(list, func(s section) bool { return s.name != "engine" && s.name != "code" })
}
