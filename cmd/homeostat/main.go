// Command homeostat is the all-in-one server and the command line for it. Its
// one invariant is that it only wires: what the commands do lives in the
// packages it hands to them.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/homeostat/homeostat/examples/shop"
	"github.com/homeostat/homeostat/internal/cli"
	"github.com/homeostat/homeostat/internal/demo"
)

// version is set by the linker for releases.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) == 4 && os.Args[1] == demo.ShopCommand {
		os.Exit(runShop(ctx, os.Args[2], os.Args[3]))
	}
	os.Exit(cli.Execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, local()))
}

// runShop is one process of the demo's shop: this program starts itself for
// each, so that the demo needs nothing else.
func runShop(ctx context.Context, file, service string) int {
	c, err := shop.ReadConfig(file)
	if err == nil {
		err = shop.Run(ctx, c, service)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		return 1
	}
	return 0
}
