package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/playbook"
)

func (s *session) playbooks() *cobra.Command {
	return group("playbooks", "What can be done: list, write and run playbooks", "  homeostat playbooks check my-playbook.yaml",
		s.playbookList(), s.playbookShow(), s.playbookCheck(), s.playbookRun(),
		s.playbookPut(), s.playbookVersions(), s.playbookDiff(), s.playbookRollback(), s.playbookSchema())
}

func (s *session) playbookList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the playbooks of the server", Args: cobra.NoArgs, Example: "  homeostat playbooks list",
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := s.client()
			if err != nil {
				return err
			}
			var list form.Page[form.Playbook]
			if err := api.get(c.Context(), "/playbooks", nil, &list); err != nil {
				return err
			}
			var wrong form.PlaybookCheck
			if err := api.get(c.Context(), "/playbook-problems", nil, &wrong); err != nil {
				return err
			}
			return s.show(list, func(p *page) {
				rows := make([][]string, 0, len(list.Items))
				for _, b := range list.Items {
					rows = append(rows, []string{b.ID, b.Tier, b.Trust, b.Risk, strconv.Itoa(b.Tasks), b.Name})
				}
				p.table([]string{"ID", "TIER", "TRUST", "RISK", "TASKS", "NAME"}, rows, 5, 0)
				for _, f := range wrong.Problems {
					p.line("not in force: %s", playbook.Problem{File: f.File, Line: f.Line, Column: f.Column, Key: f.Key, Text: f.Text, Hint: f.Hint})
				}
			})
		},
	}
}

func (s *session) playbookShow() *cobra.Command {
	return &cobra.Command{
		Use: "show <playbook>", Short: "Show a playbook with its source", Args: cobra.ExactArgs(1), Example: "  homeostat playbooks show restart-crashed-service",
		RunE: func(c *cobra.Command, args []string) error {
			api, err := s.client()
			if err != nil {
				return err
			}
			var b form.Playbook
			if err := api.get(c.Context(), "/playbooks"+segment(args[0]), nil, &b); err != nil {
				return err
			}
			return s.show(b, func(p *page) {
				p.line("# %s, trust %s, digest %s", b.File, b.Trust, b.Digest)
				p.line("%s", b.Source)
			})
		},
	}
}

func (s *session) playbookCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check <file>...", Short: "Check playbook files; needs no server", Args: cobra.MinimumNArgs(1),
		Long:    "Reports every mistake at once as file:line:column, and exits with 2 if there is one.",
		Example: "  homeostat playbooks check playbooks/*.yaml\n  cat p.yaml | homeostat playbooks check -",
		RunE: func(_ *cobra.Command, args []string) error {
			var files []playbook.File
			for _, name := range args {
				source, err := s.readFile(name)
				if err != nil {
					return err
				}
				files = append(files, playbook.File{Name: name, Data: source})
			}
			found := form.PlaybookCheck{OK: true, Problems: []form.Problem{}}
			for _, p := range s.checkFiles(files) {
				found.OK = false
				found.Problems = append(found.Problems, form.Problem{File: p.File, Line: p.Line, Column: p.Column, Key: p.Key, Text: p.Text, Hint: p.Hint})
			}
			err := s.show(found, func(p *page) {
				for _, f := range found.Problems {
					p.line("%s", playbook.Problem{File: f.File, Line: f.Line, Column: f.Column, Key: f.Key, Text: f.Text, Hint: f.Hint})
				}
				if found.OK {
					p.line("%s without mistakes", count(len(args), "playbook"))
				}
			})
			if err == nil && !found.OK {
				err = wrong("%s", count(len(found.Problems), "mistake"))
			}
			return err
		},
	}
}

// checkFiles finds the mistakes of files that belong together; without the
// wiring of the real command only those that need no knowledge of actions.
func (s *session) checkFiles(files []playbook.File) playbook.Problems {
	if s.local.PlaybooksCheck != nil {
		return s.local.PlaybooksCheck(files)
	}
	var found playbook.Problems
	for _, f := range files {
		_, problems := playbook.Parse(f.Name, f.Data)
		found = append(found, problems...)
	}
	return found
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (s *session) playbookRun() *cobra.Command {
	c := &cobra.Command{
		Use: "run <playbook>", Short: "Run a playbook by hand, or only say what it would do", Args: cobra.ExactArgs(1),
		Long:    "The guards and the playbook's own approval hold for a run by hand too.",
		Example: "  homeostat playbooks run restart-crashed-service --target service/cart --dry-run",
	}
	var in form.RunOrder
	c.Flags().StringVar(&in.Target, "target", "", "exactly one entity, as in service/cart; required")
	c.Flags().StringToStringVar(&in.Params, "param", nil, "name=value; may be given several times")
	c.Flags().BoolVar(&in.DryRun, "dry-run", false, "only say what would be done")
	must(c.MarkFlagRequired("target"))
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		var run form.Run
		if err := api.post(c.Context(), "/playbooks"+segment(args[0])+"/runs", in, &run); err != nil {
			return err
		}
		return s.show(run, func(p *page) {
			tellRun(p, &run)
			if !run.DryRun {
				p.line("\nFollow it with: homeostat runs show %s", run.ID)
			}
		})
	}
	return c
}

func (s *session) playbookSchema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the format of playbooks as a JSON Schema, for editors; needs no server", Args: cobra.NoArgs,
		Example: "  homeostat playbooks schema > playbook.schema.json",
		RunE:    func(*cobra.Command, []string) error { return s.write(playbook.Schema()) },
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
