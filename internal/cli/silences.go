package cli

import (
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/api/form"
)

const someSilence = "0198b7a4-6f00-7000-8000-00000000b001"

func (s *session) silences() *cobra.Command {
	return group("silences", "Hold alerts back that people know of", `  homeostat silences add service=cart --for 2h --reason "the database is being moved"`,
		s.silenceAdd(), s.silenceList(), s.silenceEnd())
}

func (s *session) silenceAdd() *cobra.Command {
	c := &cobra.Command{
		Use: "add <matcher>...", Short: "Hold alerts back for a time", Args: cobra.MinimumNArgs(1),
		Long: "Holds the alerts back that every matcher matches: they are kept and shown, but open no case\n" +
			"and call nobody. One that still fires at the end counts as if it came then.\n\n" +
			`A matcher is label=value, with =, !=, =~ or !~ as in Alertmanager; regular expressions match` + "\n" +
			"the whole value. alertname, severity, service, entity and source are always there.",
		Example: "  homeostat silences add service=cart --for 2h --reason \"the database is being moved\"\n" +
			"  homeostat silences add alertname=~'Disk.*' severity!=critical --starts 2030-01-05T22:00:00Z --ends 2030-01-06T02:00:00Z --reason maintenance",
	}
	f := c.Flags()
	var in form.SilenceOrder
	f.StringVar(&in.Scope, "scope", "", "tenant/env/cluster/service, trailing parts may be left out; default everything")
	f.StringVar(&in.Reason, "reason", "", "why; required")
	lasts := f.Duration("for", 0, "how long it holds")
	starts := f.String("starts", "", "when it begins, as in 2030-01-05T22:00:00Z; default now")
	ends := f.String("ends", "", "when it ends; instead of --for")
	must(c.MarkFlagRequired("reason"))
	c.MarkFlagsMutuallyExclusive("for", "ends")
	c.MarkFlagsOneRequired("for", "ends")
	c.RunE = func(c *cobra.Command, args []string) error {
		in.Matchers = args
		for _, at := range []struct {
			flag, text string
			into       *time.Time
		}{{"starts", *starts, &in.Starts}, {"ends", *ends, &in.Ends}} {
			var err error
			if at.text == "" {
				continue
			}
			if *at.into, err = time.Parse(time.RFC3339, at.text); err != nil {
				return wrong("--%s is %q, expected a time as 2030-01-05T22:00:00Z", at.flag, at.text)
			}
		}
		if *ends == "" {
			if *lasts < time.Second {
				return wrong("--for is %s, expected a second or more", *lasts)
			}
			in.Seconds = int64(lasts.Seconds())
		}
		api, err := s.client()
		if err != nil {
			return err
		}
		var out form.Silence
		if err := api.post(c.Context(), "/silences", in, &out); err != nil {
			return err
		}
		return s.show(out, func(p *page) {
			p.line("%s: %s in %s until %s UTC (%s)", out.State, strings.Join(out.Matchers, ", "), where(out.Scope), p.clock(out.Ends), out.ID)
		})
	}
	return c
}

func (s *session) silenceList() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List silences, those that end last first", Args: cobra.NoArgs, Example: "  homeostat silences list --over false",
	}
	var filter picks = map[string]*string{}
	filter.flag(c, "over", "true: those that are over; false: those that hold, or will", "true", "false")
	limit := limitFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		list, err := all[form.Silence](c.Context(), api, "/silences", filter.query(), *limit)
		if err != nil {
			return err
		}
		return s.show(list, func(p *page) {
			rows := make([][]string, 0, len(list.Items))
			for _, one := range list.Items {
				rows = append(rows, []string{one.ID, one.State, p.ago(one.Ends), one.Author, strings.Join(one.Matchers, ", "), one.Reason})
			}
			p.table([]string{"ID", "STATE", "ENDS", "BY", "MATCHES", "REASON"}, rows, 4, 5, 3)
			p.more(list.Cursor)
		})
	}
	return c
}

func (s *session) silenceEnd() *cobra.Command {
	return &cobra.Command{
		Use: "end <silence>", Short: "End a silence early", Args: cobra.ExactArgs(1), Example: "  homeostat silences end " + someSilence,
		RunE: func(c *cobra.Command, args []string) error {
			api, err := s.client()
			if err != nil {
				return err
			}
			var out form.Silence
			if err := api.ask(c.Context(), http.MethodDelete, "/silences"+segment(args[0]), nil, nil, &out); err != nil {
				return err
			}
			return s.show(out, func(p *page) { p.line("ended: %s (%s)", strings.Join(out.Matchers, ", "), out.ID) })
		},
	}
}
