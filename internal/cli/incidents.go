package cli

import (
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/api/form"
)

const someCase = "0198b7a4-6f00-7000-8000-00000000c001"

func (s *session) incidents() *cobra.Command {
	return group("incidents", "Cases: what is wrong, why, and what is done about it",
		"  homeostat incidents list --open\n  homeostat incidents show "+someCase,
		s.incidentList(), s.incidentShow(), s.incidentWatch(), s.incidentNote(), s.incidentEnd("close"), s.incidentEnd("escalate"))
}

// picks are the filters of a list, by flag name.
type picks map[string]*string

func (p picks) flag(c *cobra.Command, name, usage string, choices ...string) {
	p[name] = c.Flags().String(name, "", usage)
	complete := cobra.NoFileCompletions
	if choices != nil {
		complete = cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp)
	}
	must(c.RegisterFlagCompletionFunc(name, complete))
}

func (p picks) query() url.Values {
	q := url.Values{}
	for name, value := range p {
		if *value != "" {
			q.Set(name, *value)
		}
	}
	return q
}

func limitFlag(c *cobra.Command) *int {
	limit := c.Flags().Int("limit", 50, "most items to show; 0: all")
	must(c.RegisterFlagCompletionFunc("limit", cobra.NoFileCompletions))
	return limit
}

// more says that a list goes on.
func (p *page) more(cursor string) {
	if cursor != "" {
		p.line("There is more: raise --limit.")
	}
}

func (s *session) incidentList() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List cases, the ones changed last first", Args: cobra.NoArgs,
		Example: "  homeostat incidents list --open\n  homeostat incidents list --severity critical --service cart -o json",
	}
	var filter picks = map[string]*string{}
	filter.flag(c, "state", "open, diagnosing, deciding, waiting_approval, acting, verifying, healed, escalated or closed",
		"open", "diagnosing", "deciding", "waiting_approval", "acting", "verifying", "healed", "escalated", "closed")
	filter.flag(c, "severity", "info, warning or critical", "info", "warning", "critical")
	filter.flag(c, "service", "name of the service")
	filter.flag(c, "cause", "entity of the root cause, as in service/cart")
	open := c.Flags().Bool("open", false, "only cases that are neither healed nor closed")
	limit := limitFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		q := filter.query()
		if *open {
			q.Set("open", strconv.FormatBool(true))
		}
		list, err := all[form.IncidentSummary](c.Context(), api, "/incidents", q, *limit)
		if err != nil {
			return err
		}
		return s.show(list, func(p *page) {
			rows := make([][]string, 0, len(list.Items))
			for _, i := range list.Items {
				rows = append(rows, []string{i.ID, i.State, i.Severity, p.age(i.UpdatedAt), i.Title})
			}
			p.table([]string{"ID", "STATE", "SEVERITY", "CHANGED", "TITLE"}, rows, 4)
			p.more(list.Cursor)
		})
	}
	return c
}

func (s *session) incidentShow() *cobra.Command {
	var told story
	c := &cobra.Command{
		Use: "show <incident>", Short: "Tell the whole story of a case", Args: cobra.ExactArgs(1),
		Long: "Tells what is wrong, the cause with the evidence for and against it, what was decided\n" +
			"and why, every attempt, what was seen afterwards, and the timeline.",
		Example:           "  homeostat incidents show " + someCase + "\n  homeostat incidents show " + someCase + " --evidence",
		ValidArgsFunction: s.completeIncidents,
		RunE: func(c *cobra.Command, args []string) error {
			api, err := s.client()
			if err != nil {
				return err
			}
			if err := api.get(c.Context(), "/incidents"+segment(args[0]), nil, &told.Incident); err != nil {
				return err
			}
			lines, err := all[form.TimelineEntry](c.Context(), api, "/incidents"+segment(args[0])+"/timeline", nil, 0)
			if err != nil {
				return err
			}
			told.Timeline = lines.Items
			return s.show(told, told.tell)
		},
	}
	c.Flags().BoolVar(&told.evidence, "evidence", false, "also show how each observation can be looked up again")
	return c
}

func (s *session) incidentNote() *cobra.Command {
	return &cobra.Command{
		Use: "note <incident> <text>", Short: "Add a remark to the story of a case", Args: cobra.ExactArgs(2),
		Example: "  homeostat incidents note " + someCase + ` "the provider confirmed an outage"`, ValidArgsFunction: s.completeIncidents,
		RunE: func(c *cobra.Command, args []string) error {
			return s.changeIncident(c, args[0], "notes", form.Note{Text: args[1]}, "noted")
		},
	}
}

func (s *session) incidentEnd(verb string) *cobra.Command {
	short := map[string]string{"close": "Close a case by hand", "escalate": "Take a case away from automation"}[verb]
	saying := map[string]string{"close": "closed", "escalate": "escalated"}[verb]
	c := &cobra.Command{
		Use: verb + " <incident>", Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: s.completeIncidents,
		Example: "  homeostat incidents " + verb + " " + someCase + ` --reason "restarted by hand"`,
	}
	reason := c.Flags().String("reason", "", "why; required")
	must(c.MarkFlagRequired("reason"))
	c.RunE = func(c *cobra.Command, args []string) error {
		return s.changeIncident(c, args[0], verb, form.Because{Reason: *reason}, saying)
	}
	return c
}

func (s *session) changeIncident(c *cobra.Command, id, verb string, in any, saying string) error {
	api, err := s.client()
	if err != nil {
		return err
	}
	var out form.Incident
	if err := api.post(c.Context(), "/incidents"+segment(id)+"/"+verb, in, &out); err != nil {
		return err
	}
	return s.show(out, func(p *page) { p.line("%s %s: %s (%s)", saying, out.ID, out.Title, out.State) })
}

// completeIncidents offers open cases, if the server can be asked.
func (s *session) completeIncidents(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	s.fromEnvironment(c) // the shell asks before any command runs
	api, err := s.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := all[form.IncidentSummary](c.Context(), api, "/incidents", url.Values{"open": {"true"}}, 50)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, i := range list.Items {
		out = append(out, i.ID+"\t"+oneLine(i.Title))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
