package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/api/form"
)

func (s *session) killSwitch() *cobra.Command {
	status := &cobra.Command{
		Use: "status", Short: "Show the kill switches", Args: cobra.NoArgs, Example: "  homeostat kill-switch status",
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := s.client()
			if err != nil {
				return err
			}
			var list form.Switches
			if err := api.get(c.Context(), "/kill-switch", nil, &list); err != nil {
				return err
			}
			return s.show(list, func(p *page) {
				rows := [][]string{}
				for _, sw := range list.Items {
					rows = append(rows, []string{where(sw.Scope), onOff(sw.On), sw.By, p.ago(sw.At), sw.Reason})
				}
				p.table([]string{"SCOPE", "STATE", "BY", "TURNED", "REASON"}, rows, 4, 0)
			})
		},
	}
	return group("kill-switch", "Stop and allow all action, everywhere or in a scope",
		`  homeostat kill-switch on --reason "network maintenance"`, s.turnSwitch("on"), s.turnSwitch("off"), status)
}

func where(scope string) string {
	if scope == "" {
		return "everything"
	}
	return scope
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func (s *session) turnSwitch(word string) *cobra.Command {
	short := map[string]string{"on": "Stop all action in a scope", "off": "Allow action in a scope again"}[word]
	c := &cobra.Command{
		Use: word, Short: short, Args: cobra.NoArgs,
		Example: "  homeostat kill-switch " + word + ` --scope default/prod --reason "network maintenance"`,
	}
	in := form.SwitchOrder{On: word == "on"}
	c.Flags().StringVar(&in.Scope, "scope", "", "tenant/env/cluster/service, trailing parts may be left out; default everything")
	c.Flags().StringVar(&in.Reason, "reason", "", "why; required")
	must(c.MarkFlagRequired("reason"))
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		var out form.Switch
		if err := api.ask(c.Context(), http.MethodPut, "/kill-switch", nil, in, &out); err != nil {
			return err
		}
		return s.show(out, func(p *page) { p.line("the kill switch of %s is %s", where(out.Scope), onOff(out.On)) })
	}
	return c
}

func (s *session) services() *cobra.Command {
	return &cobra.Command{
		Use: "services", Short: "Show what there is, who depends on whom, and its traffic", Args: cobra.NoArgs, Example: "  homeostat services",
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := s.client()
			if err != nil {
				return err
			}
			var out form.Services
			if err := api.get(c.Context(), "/services", nil, &out); err != nil {
				return err
			}
			return s.show(out, func(p *page) { tellServices(p, &out) })
		},
	}
}

func tellServices(p *page, s *form.Services) {
	needs := map[string][]string{}
	for _, e := range s.Edges {
		needs[e.From] = append(needs[e.From], e.To)
	}
	rows := make([][]string, 0, len(s.Entities))
	for _, e := range s.Entities {
		rate, errors, p99 := "-", "-", "-"
		if r := e.RED; r != nil {
			rate, errors, p99 = fmt.Sprintf("%.1f/s", r.Rate), fmt.Sprintf("%.1f %%", 100*r.ErrorShare), took(r.P99Seconds)
		}
		rows = append(rows, []string{e.ID, rate, errors, p99, p.ago(e.LastSeen), strings.Join(needs[e.ID], ", ")})
	}
	p.table([]string{"ENTITY", "CALLS", "ERRORS", "P99", "SEEN", "DEPENDS ON"}, rows, 5, 0)
}

func (s *session) knowledge() *cobra.Command {
	return &cobra.Command{
		Use: "knowledge", Short: "Show which playbook heals which cause, and how often", Args: cobra.NoArgs, Example: "  homeostat knowledge",
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := s.client()
			if err != nil {
				return err
			}
			var list form.KnowledgeList
			if err := api.get(c.Context(), "/knowledge", nil, &list); err != nil {
				return err
			}
			return s.show(list, func(p *page) {
				rows := [][]string{}
				for _, k := range list.Items {
					trust := "not yet trusted"
					if k.Trusted {
						trust = "trusted"
					}
					rows = append(rows, []string{
						k.Pattern, k.Playbook, fmt.Sprintf("%d of %d", k.Successes, k.Uses), fmt.Sprintf("%.0f %%, %s", 100*k.SuccessRate, trust),
						took(k.MeanSeconds), p.ago(k.LastUsed),
					})
				}
				p.table([]string{"CAUSE", "PLAYBOOK", "HEALED", "RATE", "TAKES", "LAST USED"}, rows, 1, 0)
			})
		},
	}
}

func (s *session) report() *cobra.Command {
	c := &cobra.Command{
		Use: "report", Short: "Show what Homeostat did over the last days", Args: cobra.NoArgs, Example: "  homeostat report --days 30 -o json",
	}
	days := c.Flags().Int("days", 7, "how many days back, 1 to 3650")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *days < 1 || *days > 3650 {
			return wrong("--days is %d, expected 1 to 3650", *days)
		}
		api, err := s.client()
		if err != nil {
			return err
		}
		var r form.Report
		from := time.Now().UTC().AddDate(0, 0, -*days)
		if err := api.get(c.Context(), "/report", url.Values{"from": {from.Format(time.RFC3339)}}, &r); err != nil {
			return err
		}
		return s.show(r, func(p *page) { tellReport(p, &r) })
	}
	return c
}

func tellReport(p *page, r *form.Report) {
	p.line("Cases detected from %s to %s UTC", r.From.UTC().Format("2006-01-02 15:04"), r.Until.UTC().Format("2006-01-02 15:04"))
	if !r.Complete {
		p.line("There were more cases than one report reads; these are the ones changed last.")
	}
	p.table([]string{"FIGURE", "VALUE", "MEANING"}, [][]string{
		{"cases", strconv.Itoa(r.Cases), fmt.Sprintf("from %d signals; %.0f %% of the signals opened no case of their own", r.Signals, 100*r.NoiseShare)},
		{"healed", strconv.Itoa(r.Healed), fmt.Sprintf("verified; %d of them without a person", r.Unattended)},
		{"escalated", strconv.Itoa(r.Escalated), "handed to a person"},
		{"closed", strconv.Itoa(r.Closed), "ended otherwise"},
		{"open", strconv.Itoa(r.Open), "not ended yet"},
		{"unattended", fmt.Sprintf("%.0f %%", 100*r.UnattendedShare), "of all ended or escalated cases"},
		{"MTTD", took(r.MTTDSeconds), "mean from the first sign to detection"},
		{"MTTR", took(r.MTTRSeconds), fmt.Sprintf("mean from detection to verified heal; 90th percentile %s", took(r.MTTRP90))},
	}, 2)
}

func (s *session) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of this command and of the server", Args: cobra.NoArgs, Example: "  homeostat version",
		RunE: func(c *cobra.Command, _ []string) error {
			out := struct {
				Command string        `json:"command"`
				Server  *form.Version `json:"server,omitempty"`
				Why     string        `json:"server_unknown,omitempty"`
			}{Command: s.local.Version}
			var server form.Version
			api, err := s.client()
			if err == nil {
				err = api.get(c.Context(), "/version", nil, &server)
			}
			if err == nil {
				out.Server = &server
			} else {
				out.Why = err.Error()
			}
			return s.show(out, func(p *page) {
				p.field("command", orDash(out.Command))
				if out.Server != nil {
					p.field("server", server.Version+suffix(", commit ", server.Commit)+", "+server.Go)
					return
				}
				p.field("server", "not asked: "+out.Why)
			})
		},
	}
}
