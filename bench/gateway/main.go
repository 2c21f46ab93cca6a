// Command gateway measures homeostat-gateway beside an OpenTelemetry Collector on
// the same machine, in one run, in turn, under the same load: a generator of its
// own and a backend that counts, both in this process; the target is a process
// apart, and its processor time is what counts.
//
// Its one invariant: a figure is printed as it came, a missed bar as missed. It is
// not for finding out whether things work: tests are.
//
//	make bench-gateway                                   # builds all three, about ten minutes
//	go run ./bench/gateway -short -gateway X -otelcol Y  # about three
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"time"
)

// bench is one run of the command.
type bench struct {
	gateway, otelcol string // binaries
	dir              string // scratch
	sink             *sink
	report           report
	rows             *regexp.Regexp // those measured; nil: all
	short            bool
	rounds           int
	warm, measure    time.Duration
	window           time.Duration
}

// section is one group of measurements.
type section struct {
	name string
	run  func(*bench, context.Context) error
}

var sections = []section{{"closed", (*bench).closed}, {"beside", (*bench).beside}, {"fixed", (*bench).fixed}, {"tail", (*bench).tail}}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-gateway:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	b := &bench{report: report{log: os.Stderr}, rounds: 2, warm: 1500 * time.Millisecond, measure: 5 * time.Second, window: 10 * time.Second}
	flags := flag.NewFlagSet("bench-gateway", flag.ContinueOnError)
	flags.StringVar(&b.gateway, "gateway", "bin/homeostat-gateway", "binary of the gateway")
	flags.StringVar(&b.otelcol, "otelcol", "bin/otelcol", "binary of the Collector, from the module bench/otelcol")
	flags.BoolVar(&b.short, "short", false, "about three minutes: one round, short measurements, a window of three seconds")
	flags.IntVar(&b.rounds, "rounds", b.rounds, "how often each target has its turn in the closed loop")
	only := flags.String("only", "", "sections, comma separated: closed, beside, fixed, tail; empty: all")
	flags.Func("rows", `regular expression for "load, target", as in "HTTP, 50 spans, gateway, memory$"; empty: all. Promises without all their rows are not judged`, func(text string) (err error) {
		b.rows, err = regexp.Compile(text)
		return err
	})
	where := flags.String("dir", "", "folder on the disk for spools; empty: the system's temporary folder")
	out := flags.String("json", "", "file that gets the figures as JSON lines")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if b.short {
		b.rounds, b.warm, b.measure, b.window = 1, time.Second, 2*time.Second, 3*time.Second
	}
	if b.dir, err = os.MkdirTemp(*where, "bench-gateway-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.sink, err = newSink(); err != nil {
		return err
	}
	sinking, stop := context.WithCancel(ctx)
	over := make(chan error, 1)
	go func() { over <- b.sink.server.Run(sinking) }()
	defer func() {
		stop()
		err = errors.Join(err, <-over)
	}()
	for _, s := range sections {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), s.name) {
			continue
		}
		if err := s.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	b.report.table(os.Stdout)
	if *out == "" {
		return nil
	}
	f, err := os.Create(*out)
	if err != nil {
		return err
	}
	return errors.Join(b.report.lines(f), f.Close())
}
