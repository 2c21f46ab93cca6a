package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/homeostat/homeostat/examples/shop"
	"github.com/homeostat/homeostat/internal/app"
	"github.com/homeostat/homeostat/internal/cli"
	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/demo"
	"github.com/homeostat/homeostat/internal/playbook"
)

// local is what the command line can do without a server.
func local() cli.Local {
	return cli.Local{
		Version:       version,
		Up:            up,
		Demo:          runDemo,
		ConfigDefault: app.DefaultYAML,
		ConfigCheck:   checkConfig,
		StoreMigrate:  migrateStore,
		PlaybooksCheck: func(files []playbook.File) playbook.Problems {
			c := app.Default()
			return app.CheckPlaybooks(&c, files)
		},
	}
}

func up(ctx context.Context, path string, named bool, _, stderr io.Writer) int {
	cfg, problems := app.Load(path, named, os.Environ())
	if len(problems) > 0 {
		for _, p := range problems {
			fmt.Fprintln(stderr, p)
		}
		return cli.ExitUsage
	}
	server, err := app.New(ctx, cfg, app.Options{Version: version, Stderr: stderr})
	if err == nil {
		err = server.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(stderr, "homeostat up:", err)
		return cli.ExitFailed
	}
	return cli.ExitOK
}

func migrateStore(ctx context.Context, path string, named bool, from string, progress func(string, int64)) error {
	cfg, problems := app.Load(path, named, os.Environ())
	if len(problems) > 0 {
		lines := make([]string, len(problems))
		for i, p := range problems {
			lines[i] = p.String()
		}
		return errors.New(strings.Join(lines, "\n"))
	}
	return app.MigrateStore(ctx, &cfg, from, progress)
}

func checkConfig(path string, named bool) []config.Problem {
	cfg, problems := app.Load(path, named, os.Environ())
	if len(problems) == 0 {
		problems = app.CheckFiles(&cfg)
	}
	return problems
}

func runDemo(ctx context.Context, o cli.DemoOptions, stdout, stderr io.Writer) int {
	opts := demo.Options{Once: o.Once, JSON: o.JSON, Keep: o.Keep, Ask: o.Ask, Alone: o.Alone, Warm: o.Warm, Version: version, Stdout: stdout, Stderr: stderr}
	for _, f := range o.Fault {
		opts.Faults = append(opts.Faults, demo.Fault(f))
	}
	if o.Shop != "" {
		c, err := shop.ReadConfig(o.Shop)
		if err != nil {
			fmt.Fprintln(stderr, "homeostat demo:", err)
			return cli.ExitUsage
		}
		opts.Shop = &c
	}
	err := demo.Run(ctx, opts)
	switch {
	case err == nil:
		return cli.ExitOK
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "homeostat demo: interrupted before everything was healed")
	default:
		fmt.Fprintln(stderr, "homeostat demo:", strings.TrimSpace(err.Error()))
	}
	return cli.ExitFailed
}
