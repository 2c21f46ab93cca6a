// Command eval scores the product's own judgements on public data with labels,
// by the published rules of each set, beside the best published figures.
//
// Its one invariant: the code that is scored is the code the product runs, and
// it never sees a label. A figure is printed as it came, whether it beats its
// bar or not. It is not for measuring speed (see bench) nor for finding out
// whether things work: tests are.
//
//	go run ./eval                      # every set
//	go run ./eval -only nab,smd8       # some of them
//	go run ./eval -data /some/folder   # the folder that holds one folder a set
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// set is one body of data with labels.
type set struct {
	name string
	// run scores the set below dir, the folder that holds one folder a set. It
	// returns an error that is errAbsent if its data is not there.
	run func(ctx context.Context, dir string) (result, error)
}

var sets = []set{
	{"nab", runNAB},
	{"nab-more", runNABMore},
	{"smd8", runSMD8},
	{"smd8-more", runSMD8More},
	{"petshop", runPetShop},
	{"petshop-changes", runPetChanges},
	{"nezha-trainticket", runNezha},
}

// defaultData is where the data lies beside a checkout.
const defaultData = "../shared/bench"

// errAbsent says that the data of a set is not there. The data is not part of
// the repository.
var errAbsent = errors.New("the data is absent")

// exitAbsent is the exit status when the data of a wanted set is absent.
const exitAbsent = 3

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:])
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, "eval:", err)
	stop()
	if errors.Is(err, errAbsent) {
		os.Exit(exitAbsent)
	}
	os.Exit(1)
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("eval", flag.ContinueOnError)
	data := flags.String("data", dataDir(), "folder that holds one folder a set")
	only := flags.String("only", "", "sets, comma separated: "+strings.Join(names(), ", ")+"; empty: all")
	allow := flags.Bool("allow-missing", false, "pass over a set whose data is absent")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := choose(*only)
	if err != nil {
		return err
	}
	var results []result
	var absent error
	for _, s := range wanted {
		began := time.Now()
		r, err := s.run(ctx, *data)
		if errors.Is(err, errAbsent) {
			fmt.Fprintf(os.Stderr, "eval: %s: %v\n", s.name, err)
			if !*allow {
				absent = cmp.Or(absent, fmt.Errorf("%s: %w", s.name, err))
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		r.Set, r.Seconds = s.name, time.Since(began).Seconds()
		results = append(results, r)
	}
	about := readVersion(ctx)
	if err := lines(os.Stdout, about, results); err != nil {
		return err
	}
	table(os.Stdout, about, results)
	return absent
}

// dataDir is the folder named by BENCH_DATA, or the default.
func dataDir() string { return cmp.Or(os.Getenv("BENCH_DATA"), defaultData) }

// folder gives the folder of a set, or an error that is errAbsent.
func folder(dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return "", fmt.Errorf("%w: expected the folder %s", errAbsent, path)
	}
	return path, nil
}

func names() []string {
	var out []string
	for _, s := range sets {
		out = append(out, s.name)
	}
	return out
}

// choose gives the sets named, all of them for an empty list.
func choose(only string) ([]set, error) {
	if only == "" {
		return sets, nil
	}
	var out []set
	for name := range strings.SplitSeq(only, ",") {
		at := slices.IndexFunc(sets, func(s set) bool { return s.name == name })
		if at < 0 {
			return nil, fmt.Errorf("-only: there is no set %q, expected some of %s", name, strings.Join(names(), ", "))
		}
		out = append(out, sets[at])
	}
	return out, nil
}
