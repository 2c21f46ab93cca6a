// Command homeostat-gateway takes telemetry in, samples it and sends it on. Its
// one invariant is that it only wires: what it does lives in internal/gatewayapp
// and below.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/homeostat/homeostat/internal/gatewayapp"
)

// version is set by the linker for releases.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := gatewayapp.Command{Version: version, Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr}
	os.Exit(c.Execute(ctx, os.Args[1:]))
}
