package gatewayapp

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/heal"
)

// The exit codes, as those of homeostat.
const (
	ExitOK     = 0
	ExitFailed = 1 // it was asked, and it could not be done
	ExitUsage  = 2 // wrong input or usage
)

const defaultFile = "homeostat-gateway.yaml"

const help = `homeostat-gateway takes telemetry in by OTLP, keeps what is worth keeping and sends it on.

  homeostat-gateway [--config FILE]                start it; SIGHUP reads sampling, clean, export and backends again
  homeostat-gateway config default                 print the configuration with every default and what it means
  homeostat-gateway config check [--config FILE]   report every mistake, exit with 2 if there is one
  homeostat-gateway version

FILE is homeostat-gateway.yaml unless named; that one may be missing. Every key can be
overridden from the environment: otlp.grpc_listen by HOMEOSTAT_GATEWAY_OTLP_GRPC_LISTEN.
Exit codes: 0 done, 1 failed, 2 wrong input or usage.
`

const intro = `The gateway, with every default. Each key can be overridden from the environment:
otlp.grpc_listen by HOMEOSTAT_GATEWAY_OTLP_GRPC_LISTEN, and so on.`

// Command is one run of homeostat-gateway.
type Command struct {
	Version        string
	Environ        []string // as os.Environ gives it
	Stdout, Stderr io.Writer
}

// Execute runs the command with the arguments after its name until ctx ends, and
// gives the exit code.
func (c *Command) Execute(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("homeostat-gateway", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	path := flags.String("config", defaultFile, "")
	var words []string
	for rest := args; len(rest) > 0; { // flags may stand anywhere
		if err := flags.Parse(rest); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				_, _ = io.WriteString(c.Stdout, help)
				return ExitOK
			}
			return c.wrong("%v", err)
		}
		if rest = flags.Args(); len(rest) > 0 {
			words, rest = append(words, rest[0]), rest[1:]
		}
	}
	named := false
	flags.Visit(func(f *flag.Flag) { named = named || f.Name == "config" })
	load := func() (Config, []config.Problem) { return Form.Load(*path, named, c.Environ) }
	switch strings.Join(words, " ") {
	case "":
		return c.run(ctx, load)
	case "config default":
		_, _ = c.Stdout.Write(Form.Write(intro))
		return ExitOK
	case "config check":
		return c.check(load)
	case "version":
		fmt.Fprintln(c.Stdout, c.Version)
		return ExitOK
	case "help":
		_, _ = io.WriteString(c.Stdout, help)
		return ExitOK
	}
	return c.wrong("%q is no command", strings.Join(words, " "))
}

func (c *Command) wrong(format string, args ...any) int {
	fmt.Fprintf(c.Stderr, "homeostat-gateway: "+format+"\nSee \"homeostat-gateway help\".\n", args...)
	return ExitUsage
}

// check reports mistakes of the file and of the files it names.
func (c *Command) check(load func() (Config, []config.Problem)) int {
	cfg, problems := load()
	if len(problems) == 0 {
		problems = checkFiles(&cfg)
	}
	if len(problems) == 0 {
		fmt.Fprintln(c.Stdout, "the configuration is without mistakes")
		return ExitOK
	}
	for _, p := range problems {
		fmt.Fprintln(c.Stdout, p)
	}
	fmt.Fprintf(c.Stderr, "homeostat-gateway: mistakes: %d\n", len(problems))
	return ExitUsage
}

// checkFiles finds the mistakes of the files a configuration names. It changes
// nothing.
func checkFiles(cfg *Config) (problems []config.Problem) {
	add := func(key string, err error) {
		if err != nil {
			problems = append(problems, config.Problem{File: "(named file)", Key: key, Text: err.Error()})
		}
	}
	for i := range cfg.Backends {
		_, err := backendOf(&cfg.Backends[i])
		add(fmt.Sprintf("backends[%d]", i), err)
	}
	for key, t := range map[string]TLSConfig{"otlp.tls": cfg.OTLP.TLS, "metrics.tls": cfg.Metrics.TLS} {
		_, err := serverTLS(key, t)
		add(key, err)
	}
	for key, path := range map[string]string{"otlp.token_file": cfg.OTLP.TokenFile, "metrics.token_file": cfg.Metrics.TokenFile} {
		if path != "" {
			_, err := readSecret(path)
			add(key, err)
		}
	}
	return problems
}

func (c *Command) run(ctx context.Context, load func() (Config, []config.Problem)) int {
	again := func() (Config, error) {
		cfg, problems := load()
		if len(problems) == 0 {
			return cfg, nil
		}
		lines := make([]string, len(problems))
		for i, p := range problems {
			lines[i] = p.String()
		}
		return cfg, heal.Errorf(heal.Invalid, "configuration", "%s", strings.Join(lines, "\n"))
	}
	cfg, err := again()
	if err != nil {
		fmt.Fprintln(c.Stderr, "homeostat-gateway:", err)
		return ExitUsage
	}
	app, err := New(ctx, Options{Config: cfg, Logs: c.Stderr, Load: again})
	if err != nil {
		fmt.Fprintln(c.Stderr, "homeostat-gateway:", err)
		if heal.Is(err, heal.Invalid) {
			return ExitUsage
		}
		return ExitFailed
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	if err := app.Run(ctx, reload); err != nil {
		fmt.Fprintln(c.Stderr, "homeostat-gateway:", err)
		return ExitFailed
	}
	return ExitOK
}
