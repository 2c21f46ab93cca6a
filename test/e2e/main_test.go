//go:build e2e

// Package e2e_test runs the real binary against real processes and real
// crashes, from outside: configuration files, the API, OTLP, signals. It says
// whether the promises of the README hold of the program that is shipped.
//
// Its one invariant: nothing in it reaches into the server; what it knows it
// asks through the door everybody uses, and every process it caused is gone, by
// its id, when its test ends. It is not for what a test of one package can show.
package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// binary is the program under test, built once.
var binary string

// repository is the root of the checkout.
const repository = "../.."

func TestMain(m *testing.M) {
	if log := os.Getenv(patientLog); log != "" {
		os.Exit(bePatient(log))
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "homeostat-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "homeostat")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/homeostat")
	build.Dir = repository
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program under test: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	if err := removeDatabases(); err != nil {
		fmt.Fprintln(os.Stderr, "remove the databases:", err)
		return 1
	}
	return code
}
