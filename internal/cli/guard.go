package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/api/form"
)

func (s *session) guard() *cobra.Command {
	return group("guard", "See what the guards allow and why, and close breakers", "  homeostat guard explain --target service/cart",
		s.explainGuard(), s.breaker())
}

func (s *session) explainGuard() *cobra.Command {
	c := &cobra.Command{
		Use: "explain", Short: "Say what would be allowed now, and why", Args: cobra.NoArgs,
		Long: "Asks every guard what it says to automation acting on a target now, and shows what it\n" +
			"found and the numbers behind it. Nothing is reserved or recorded.",
		Example: "  homeostat guard explain --target service/cart\n  homeostat guard explain --target service/cart --action process.restart -o json",
	}
	var target, action string
	c.Flags().StringVar(&target, "target", "", "what would be acted on, as kind/name; required")
	c.Flags().StringVar(&action, "action", "", "one action; default a playbook, as automation would begin it")
	must(c.MarkFlagRequired("target"))
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		query := url.Values{"target": {target}}
		if action != "" {
			query.Set("action", action)
		}
		var e form.GuardExplanation
		if err := api.get(c.Context(), "/guard/explain", query, &e); err != nil {
			return err
		}
		return s.show(e, func(p *page) { tellExplanation(p, &e) })
	}
	return c
}

func tellExplanation(p *page, e *form.GuardExplanation) {
	answer := "allowed"
	if !e.Allowed {
		answer = "refused by " + e.Rule
	}
	p.field("target", e.Target+suffix(", in ", e.Scope))
	p.field("action", orDash(e.Action)+suffix(", ", e.Impact))
	if e.Case != "" {
		p.field("case", fmt.Sprintf("%s, attempt %d", e.Case, e.Attempt))
	}
	p.field("answer", answer)
	p.field("why", e.Reason.Text)
	p.field("asked again", again(p, e.Allowed, e.Retry))
	p.title("Guards")
	for _, r := range e.Rules {
		word := "ok"
		if !r.Allows {
			word = "denied"
		}
		p.wrapped(fmt.Sprintf("%-13s %-7s ", r.Rule, word), r.Reason.Text)
	}
	p.title("Scopes")
	tellScopes(p, e.Scopes)
	if len(e.Entries) > 0 {
		p.title("History")
		lines := make([][]string, 0, len(e.Entries))
		for _, h := range e.Entries {
			lines = append(lines, []string{p.ago(h.At), h.What, h.Target, orDash(h.Run), orDash(h.Incident)})
		}
		p.table([]string{"WHEN", "WHAT", "TARGET", "RUN", "CASE"}, lines, 2)
	}
}

// again says when a refusal may be another.
func again(p *page, allowed bool, retry time.Time) string {
	switch {
	case allowed:
		return ""
	case retry.IsZero():
		return "it does not pass by itself"
	}
	return "may pass at " + p.clock(retry) + " UTC"
}

func tellScopes(p *page, scopes []form.GuardScope) {
	if len(scopes) == 0 {
		p.line("nobody counts instances here")
		return
	}
	rows := make([][]string, 0, len(scopes))
	for _, f := range scopes {
		size := "unknown"
		if f.Known {
			size = fmt.Sprint(f.Instances)
		}
		bad := fmt.Sprint(f.Bad)
		if len(f.Worst) > 0 {
			bad += ": " + strings.Join(f.Worst, ", ")
		}
		rows = append(rows, []string{f.Scope, size, fmt.Sprint(len(f.Acted)), bad})
	}
	p.table([]string{"SCOPE", "INSTANCES", "ACTED ON", "BAD"}, rows, 3, 0)
}

func (s *session) breaker() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "Show the breakers that ever opened", Args: cobra.NoArgs, Example: "  homeostat guard breaker list",
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := s.client()
			if err != nil {
				return err
			}
			var all form.Breakers
			if err := api.get(c.Context(), "/guard/breakers", nil, &all); err != nil {
				return err
			}
			return s.show(all, func(p *page) {
				rows := [][]string{}
				for _, b := range all.Items {
					rows = append(rows, []string{b.Scope, openClosed(b.Open), b.By, p.ago(b.At), b.Reason})
				}
				p.table([]string{"SCOPE", "STATE", "BY", "SINCE", "WHY"}, rows, 4, 0)
			})
		},
	}
	closing := &cobra.Command{
		Use: "close <scope>", Short: "Let automation begin things in a scope again", Args: cobra.ExactArgs(1),
		Long: "A breaker opens when automation did not help in a scope, and only a person closes it.\n" +
			"What was done in vain before counts no more.",
		Example: `  homeostat guard breaker close default/default/default --reason "the new version is rolled back"`,
	}
	in := form.BreakerOrder{}
	closing.Flags().StringVar(&in.Reason, "reason", "", "why; required")
	must(closing.MarkFlagRequired("reason"))
	closing.RunE = func(c *cobra.Command, args []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		in.Scope = args[0]
		var out form.Breaker
		if err := api.ask(c.Context(), http.MethodPost, "/guard/breakers/close", nil, in, &out); err != nil {
			return err
		}
		return s.show(out, func(p *page) { p.line("the breaker of %s is %s", out.Scope, openClosed(out.Open)) })
	}
	return group("breaker", "Breakers, which stop automation where it does not help", "  homeostat guard breaker list", list, closing)
}

func openClosed(open bool) string {
	if open {
		return "open"
	}
	return "closed"
}
