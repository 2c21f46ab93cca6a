// Command shop runs one process of the example shop, or prints a configuration
// for it. It is for trying the shop by hand; the demo starts it from within
// homeostat. Its one invariant is that of package shop.
//
//	shop config http://127.0.0.1:4318 > shop.yaml
//	shop run shop.yaml inventory
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/homeostat/homeostat/examples/shop"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "config":
		ports, err := shop.FreePorts(shop.DefaultPorts)
		if err != nil {
			return err
		}
		text, err := shop.Default(args[1], func() int { p := ports[0]; ports = ports[1:]; return p }).Marshal()
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(text)
		return err
	case len(args) == 3 && args[0] == "run":
		c, err := shop.ReadConfig(args[1])
		if err != nil {
			return err
		}
		return shop.Run(ctx, c, args[2])
	}
	return fmt.Errorf("expected: shop config <OTLP endpoint>, or: shop run <file> <service>")
}
