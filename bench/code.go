package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// hot are the packages whose benchmarks are run: what every alert, span, log
// line and record passes through.
var hot = []string{
	"./internal/alert", "./internal/wire", "./internal/otlp", "./internal/series", "./internal/telemetry/...",
	"./internal/store/...", "./internal/topology", "./internal/incident", "./internal/playbook", "./internal/logmine",
}

// benchTime bounds each of their benchmarks.
const benchTime = "300ms"

// benchLine is what go test says of one benchmark: name, rounds, value and unit
// in pairs.
var benchLine = regexp.MustCompile(`^(Benchmark\S+)\s+\d+\s+(.+)$`)

// measureCode runs the Go benchmarks of the hot paths.
func measureCode(ctx context.Context, _ *options, r *report) error {
	args := append([]string{"test", "-run", "^$", "-bench", ".", "-benchtime", benchTime, "-benchmem", "-p", "1"}, hot...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, tail(string(out)))
	}
	if err != nil {
		return err
	}
	return readBenchmarks(out, r)
}

// readBenchmarks takes the answers of go test: one figure for the time of each
// benchmark, what it says besides as the note.
func readBenchmarks(out []byte, r *report) error {
	pkg := ""
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "pkg: "); ok {
			_, pkg, _ = strings.Cut(name, "/internal/")
			continue
		}
		m := benchLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		fields := strings.Fields(m[2])
		var notes []string
		var ns float64
		for i := 0; i+1 < len(fields); i += 2 {
			if fields[i+1] != "ns/op" {
				notes = append(notes, fields[i]+" "+fields[i+1])
				continue
			}
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return fmt.Errorf("read %q: %w", lines.Text(), err)
			}
			ns = v
		}
		r.add(pkg+" "+strings.TrimPrefix(m[1], "Benchmark"), ns/1000, "us/op", strings.Join(notes, ", "))
	}
	return lines.Err()
}
