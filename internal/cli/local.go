package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/config"
)

const defaultConfig = "homeostat.yaml"

// configFlag adds --config and gives the path and whether it was asked for.
func configFlag(c *cobra.Command) func() (path string, named bool) {
	path := c.Flags().StringP("config", "c", defaultConfig, "configuration file; the default one may be missing")
	return func() (string, bool) { return *path, c.Flags().Changed("config") }
}

// ended turns the exit code of a local command into an error that says nothing
// more: the command has told its story itself.
func ended(code int) error {
	if code == ExitOK {
		return nil
	}
	return &failure{code: code}
}

func (s *session) up() *cobra.Command {
	c := &cobra.Command{
		Use: "up", Short: "Start the server, all in one", Args: cobra.NoArgs,
		Long: "Starts everything with embedded defaults; data goes to ./homeostat-data. The first start\n" +
			"writes a token for you into that folder. Ends gracefully within 10 s of an interrupt.",
		Example: "  homeostat up\n  homeostat up --config /etc/homeostat.yaml",
	}
	file := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if s.local.Up == nil {
			return wrong("this command cannot start a server")
		}
		path, named := file()
		return ended(s.local.Up(c.Context(), path, named, s.stdout, s.stderr))
	}
	return c
}

// demoFaults are what the demo can break.
var demoFaults = []string{"crash", "slow", "leak", "hang", "badconfig", "dependency"}

const faultWords = "crash, slow, leak, hang, badconfig or dependency"

func (s *session) demo() *cobra.Command {
	c := &cobra.Command{
		Use: "demo", Short: "Start a small shop, break it, and watch it being healed", Args: cobra.NoArgs,
		Long: "Starts real processes and a server, injects a fault, and shows how it is noticed, explained,\n" +
			"healed and verified. Exits with 0 only if it was verified healed.",
		Example: "  homeostat demo --once\n  homeostat demo --fault crash --fault slow --json",
	}
	var o DemoOptions
	c.Flags().StringSliceVar(&o.Fault, "fault", nil, faultWords+"; may be given several times; default crash")
	c.Flags().BoolVar(&o.Once, "once", false, "end after the heal")
	c.Flags().BoolVar(&o.Ask, "ask", false, "have the playbooks ask before they act: answer on the page, or with homeostat approve")
	c.Flags().BoolVar(&o.JSON, "json", false, "tell it as lines of JSON")
	c.Flags().BoolVar(&o.Alone, "watch-only", false, "without rules and monitors: what is watched without a rule must notice it")
	c.Flags().DurationVar(&o.Warm, "warm-up", 0, "how long the shop is well at first, as in 1m; 0: as long as is needed")
	must(c.RegisterFlagCompletionFunc("warm-up", cobra.NoFileCompletions))
	c.Flags().BoolVar(&o.Keep, "keep", false, "leave the files of the demo for a look")
	c.Flags().StringVar(&o.Shop, "shop", "", "file with a shop of your own: names, ports, upstreams (see examples/shop)")
	must(c.RegisterFlagCompletionFunc("fault", cobra.FixedCompletions(demoFaults, cobra.ShellCompDirectiveNoFileComp)))
	c.RunE = func(c *cobra.Command, _ []string) error {
		for _, f := range o.Fault {
			if !slices.Contains(demoFaults, f) {
				return wrong("--fault is %q, expected %s", f, faultWords)
			}
		}
		if s.local.Demo == nil {
			return wrong("this command has no demo")
		}
		return ended(s.local.Demo(c.Context(), o, s.stdout, s.stderr))
	}
	return c
}

func (s *session) config() *cobra.Command {
	return group("config", "Print or check the configuration; needs no server", "  homeostat config default > homeostat.yaml",
		s.configDefault(), s.configCheck())
}

func (s *session) configDefault() *cobra.Command {
	return &cobra.Command{
		Use: "default", Short: "Print the configuration with every default and what it means", Args: cobra.NoArgs,
		Example: "  homeostat config default > homeostat.yaml",
		RunE: func(*cobra.Command, []string) error {
			if s.local.ConfigDefault == nil {
				return wrong("this command knows no configuration")
			}
			return s.write(s.local.ConfigDefault())
		},
	}
}

func (s *session) configCheck() *cobra.Command {
	c := &cobra.Command{
		Use: "check", Short: "Check the configuration, file and environment", Args: cobra.NoArgs,
		Long:    "Reports every mistake at once with file, line, key and what was expected, and exits with 2\nif there is one.",
		Example: "  homeostat config check --config /etc/homeostat.yaml",
	}
	file := configFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		if s.local.ConfigCheck == nil {
			return wrong("this command knows no configuration")
		}
		path, named := file()
		found := struct {
			OK       bool             `json:"ok"`
			Problems []config.Problem `json:"problems"`
		}{Problems: append([]config.Problem{}, s.local.ConfigCheck(path, named)...)}
		found.OK = len(found.Problems) == 0
		err := s.show(found, func(p *page) {
			for _, f := range found.Problems {
				p.line("%s", f)
			}
			if found.OK {
				p.line("the configuration is without mistakes")
			}
		})
		if err == nil && !found.OK {
			err = wrong("%s", count(len(found.Problems), "mistake"))
		}
		return err
	}
	return c
}
