package cli

import (
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/api/form"
)

func (s *session) principals() *cobra.Command {
	return group("principals", "Who may ask for what, and their tokens", "  homeostat principals create alice@example.com --role approver --scope default/prod",
		s.principalsList(), s.principal("create"), s.principal("grant"), s.principalsRemove(), s.tokenIssue(), s.tokenRevoke())
}

func (s *session) principalsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List principals, their roles and tokens", Args: cobra.NoArgs, Example: "  homeostat principals list",
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := s.client()
			if err != nil {
				return err
			}
			var list form.Principals
			if err := api.get(c.Context(), "/principals", nil, &list); err != nil {
				return err
			}
			return s.show(list, func(p *page) {
				rows := [][]string{}
				for _, who := range list.Items {
					for i := range max(len(who.Grants), len(who.Tokens)) {
						row := []string{"", "", "", "", ""}
						if i == 0 {
							row[0] = who.Name
						}
						if i < len(who.Grants) {
							row[1] = grantsText(who.Grants[i : i+1])
						}
						if i < len(who.Tokens) {
							t := who.Tokens[i]
							row[2], row[3], row[4] = t.ID, t.Label, p.day(t.Expires)
						}
						rows = append(rows, row)
					}
				}
				p.table([]string{"NAME", "MAY", "TOKEN", "LABEL", "UNTIL"}, rows, 1, 3, 0)
			})
		},
	}
}

// day is the date of a time.
func (p *page) day(t time.Time) string {
	if t.IsZero() {
		return "for ever"
	}
	return t.UTC().Format(time.DateOnly)
}

func grantsText(grants []form.Grant) string {
	var list []string
	for _, g := range grants {
		list = append(list, g.Role+" in "+where(g.Scope))
	}
	return strings.Join(list, ", ")
}

func (s *session) principal(verb string) *cobra.Command {
	short := map[string]string{"create": "Make a principal; give it a token next", "grant": "Replace what a principal may do"}[verb]
	method := map[string]string{"create": http.MethodPost, "grant": http.MethodPut}[verb]
	c := &cobra.Command{
		Use: verb + " <name>", Short: short, Args: cobra.ExactArgs(1),
		Example: "  homeostat principals " + verb + " alice@example.com --role operator --role approver --scope default/prod",
	}
	roles := c.Flags().StringArray("role", nil, "sender, viewer, approver, operator or admin; may be given several times; required")
	scope := c.Flags().String("scope", "", "tenant/env/cluster/service, trailing parts may be left out; default everything")
	must(c.MarkFlagRequired("role"))
	must(c.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]string{"sender", "viewer", "approver", "operator", "admin"}, cobra.ShellCompDirectiveNoFileComp)))
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		in := form.Grants{}
		for _, role := range *roles {
			in.Grants = append(in.Grants, form.Grant{Role: role, Scope: *scope})
		}
		var out form.Principal
		if err := api.ask(c.Context(), method, "/principals"+segment(args[0]), nil, in, &out); err != nil {
			return err
		}
		return s.show(out, func(p *page) { p.line("%s is %s", out.Name, grantsText(out.Grants)) })
	}
	return c
}

func (s *session) principalsRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove <name>", Short: "Remove a principal with all tokens", Args: cobra.ExactArgs(1), Example: "  homeostat principals remove alice@example.com",
		RunE: func(c *cobra.Command, args []string) error {
			return s.remove(c, "/principals"+segment(args[0]), "removed")
		},
	}
}

func (s *session) remove(c *cobra.Command, path, saying string) error {
	api, err := s.client()
	if err != nil {
		return err
	}
	var out form.Gone
	if err := api.ask(c.Context(), http.MethodDelete, path, nil, nil, &out); err != nil {
		return err
	}
	return s.show(out, func(p *page) { p.line("%s is %s", out.Removed, saying) })
}

func (s *session) tokenIssue() *cobra.Command {
	c := &cobra.Command{
		Use: "issue-token <name>", Short: "Make a token and show it, once", Args: cobra.ExactArgs(1),
		Example: "  homeostat principals issue-token alice@example.com --label laptop --expires-in 2160h > alice.token",
	}
	label := c.Flags().String("label", "", "what it is for")
	lasts := c.Flags().Duration("expires-in", 0, "how long it is good; default for ever")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *lasts < 0 {
			return wrong("--expires-in is %s, expected more than 0", *lasts)
		}
		api, err := s.client()
		if err != nil {
			return err
		}
		in := form.TokenOrder{Label: *label}
		if *lasts > 0 {
			in.Expires = time.Now().UTC().Add(*lasts)
		}
		var out form.NewToken
		if err := api.post(c.Context(), "/principals"+segment(args[0])+"/tokens", in, &out); err != nil {
			return err
		}
		return s.show(out, func(p *page) { p.line("%s", out.Secret) })
	}
	return c
}

func (s *session) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke-token <name> <token id>", Short: "Make a token useless at once", Args: cobra.ExactArgs(2),
		Example: "  homeostat principals revoke-token alice@example.com 5f1c9a",
		RunE: func(c *cobra.Command, args []string) error {
			return s.remove(c, "/principals"+segment(args[0])+"/tokens"+segment(args[1]), "revoked")
		},
	}
}
