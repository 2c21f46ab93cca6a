package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/api/form"
)

// changeKinds are what a flag of that name takes.
var changeKinds = []string{"deploy", "configuration", "feature_flag", "schema", "other"}

func (s *session) changes() *cobra.Command {
	return group("changes", "Deploys, settings, feature flags and schemas that were changed",
		"  homeostat changes add --service cart --version 1.4.2\n  homeostat changes list --service cart", s.changeAdd(), s.changeList(), s.changesAround())
}

func (s *session) changeAdd() *cobra.Command {
	c := &cobra.Command{
		Use: "add", Short: "Say what was changed, so that it can be suspected", Args: cobra.NoArgs,
		Long: "Says what was changed and when. What was changed within the hour before a case began is a\n" +
			"suspect of it; what was changed after is not. With an id it may be said again: it is written once.",
		Example: "  homeostat changes add --service cart --version 1.4.2 --id ci-4711 --link https://ci.example.com/builds/4711\n" +
			`  homeostat changes add --kind schema --entity database/orders --summary "new index" -o json`,
	}
	var in form.NewChange
	var at string
	f := c.Flags()
	f.StringVar(&in.ID, "id", "", "names the change; the same id is written once")
	f.StringVar(&in.Kind, "kind", "deploy", "deploy, configuration, feature_flag, schema or other")
	f.StringVar(&in.Service, "service", "", "name of the service that was changed")
	f.StringVar(&in.Entity, "entity", "", "what was changed if it is no service, as in database/orders")
	f.StringVar(&in.Version, "version", "", "what a deploy brought")
	f.StringVar(&in.Summary, "summary", "", "a sentence for people")
	f.StringVar(&in.By, "by", "", "who changed it; default you")
	f.StringVar(&in.Link, "link", "", "where to read more, http or https")
	f.StringVar(&at, "at", "", "when it took effect, RFC 3339; default now")
	f.StringVar(&in.Scope, "scope", "", "tenant/env/cluster; default the server's own")
	c.MarkFlagsOneRequired("service", "entity")
	c.MarkFlagsMutuallyExclusive("service", "entity")
	must(c.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(changeKinds, cobra.ShellCompDirectiveNoFileComp)))
	c.RunE = func(c *cobra.Command, _ []string) error {
		if at != "" {
			t, err := time.Parse(time.RFC3339Nano, at)
			if err != nil {
				return wrong("--at is %q, expected a time as in 2026-03-02T10:30:00Z", at)
			}
			in.At = t.UTC()
		}
		api, err := s.client()
		if err != nil {
			return err
		}
		var out form.ChangeMade
		if err := api.post(c.Context(), "/changes", in, &out); err != nil {
			return err
		}
		return s.show(out, func(p *page) { p.line("written: %s, %s at %s UTC (%s)", out.Entity, out.Text, p.clock(out.At), out.ID) })
	}
	return c
}

func (s *session) changeList() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List what was changed, the newest first", Args: cobra.NoArgs,
		Example: "  homeostat changes list --service cart\n  homeostat changes list --source telemetry -o json",
	}
	var filter picks = map[string]*string{}
	filter.flag(c, "service", "name of the service")
	filter.flag(c, "entity", "entity, as in database/orders")
	filter.flag(c, "kind", "deploy, configuration, feature_flag, schema or other", changeKinds...)
	filter.flag(c, "source", "api: somebody told of it; telemetry: nobody did", "api", "telemetry")
	filter.flag(c, "from", "only what took effect then or later, RFC 3339")
	filter.flag(c, "to", "only what took effect before, RFC 3339")
	limit := limitFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		list, err := all[form.ChangeMade](c.Context(), api, "/changes", filter.query(), *limit)
		if err != nil {
			return err
		}
		return s.show(list, func(p *page) {
			rows := make([][]string, 0, len(list.Items))
			for _, m := range list.Items {
				rows = append(rows, []string{p.ago(m.At), m.Entity, m.Kind, orDash(m.Version), m.Text})
			}
			p.table([]string{"WHEN", "WHAT", "KIND", "VERSION", "CHANGE"}, rows, 4, 1)
			p.more(list.Cursor)
		})
	}
	return c
}

func (s *session) changesAround() *cobra.Command {
	return &cobra.Command{
		Use: "around INCIDENT", Short: "List what was changed around a case", Args: cobra.ExactArgs(1),
		Long: "Lists what was changed about the entities that a case leads to, from an hour before it began until\n" +
			"it ended, the newest first. Suspects are those that its diagnosis counts.",
		Example: "  homeostat changes around 0198b7a4-6f00-7000-8000-00000000c001",
		RunE: func(c *cobra.Command, args []string) error {
			api, err := s.client()
			if err != nil {
				return err
			}
			var out form.ChangesAround
			if err := api.get(c.Context(), "/incidents"+segment(args[0])+"/changes", nil, &out); err != nil {
				return err
			}
			return s.show(out, func(p *page) {
				rows := make([][]string, 0, len(out.Items))
				for _, m := range out.Items {
					suspect := "-"
					if m.Suspect {
						suspect = "suspect"
					}
					rows = append(rows, []string{fromOnset(m.BeforeSeconds), m.Entity, suspect, m.Text})
				}
				p.table([]string{"FIRST ALERT", "WHAT", "SUSPECT", "CHANGE"}, rows, 3, 1)
				if !out.Complete {
					p.line("there were more, further from its beginning")
				}
			})
		},
	}
}

// fromOnset says when something was, as seen from the beginning of a case.
func fromOnset(before float64) string {
	d := time.Duration(before * float64(time.Second))
	if d < 0 {
		return span(-d) + " after"
	}
	return span(d) + " before"
}
