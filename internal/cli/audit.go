package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/api/form"
)

func (s *session) audit() *cobra.Command {
	return group("audit", "Who or what did what, and why", "  homeostat audit list --subject service/cart", s.auditList(), s.auditVerify(), s.auditExport())
}

func (s *session) auditList() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List decisions, actions, approvals, refusals and writes, the newest first", Args: cobra.NoArgs,
		Example: "  homeostat audit list --actor alice@example.com\n  homeostat audit list --incident " + someCase + " -o json",
	}
	limit := limitFlag(c)
	var filter picks = map[string]*string{}
	filter.flag(c, "actor", "principal who did it; homeostat for the product itself")
	filter.flag(c, "act", "name of the act", "decided", "acted", "refused", "expired", "began", "ended", "started", "approve", "deny", "turn-kill-switch")
	filter.flag(c, "subject", "entity or id it was done to")
	filter.flag(c, "incident", "id of the case")
	filter.flag(c, "run", "id of the run")
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		list, err := all[form.AuditEntry](c.Context(), api, "/audit", filter.query(), *limit)
		if err != nil {
			return err
		}
		return s.show(list, func(p *page) {
			rows := make([][]string, 0, len(list.Items))
			for _, e := range list.Items {
				rows = append(rows, []string{p.ago(e.At), e.Actor, e.Act, orDash(e.Result), e.Text})
			}
			p.table([]string{"WHEN", "WHO", "ACT", "RESULT", "WHAT"}, rows, 4, 1)
			p.more(list.Cursor)
		})
	}
	return c
}

func (s *session) auditVerify() *cobra.Command {
	c := &cobra.Command{
		Use: "verify", Short: "Check that nothing in the audit was edited, deleted, put in or cut off", Args: cobra.NoArgs,
		Long: "Check that nothing in the audit was edited, deleted, put in or cut off. The exit code is 1\n" +
			"if something was. Keep the head that is shown somewhere else, and give it back the next\n" +
			"time: only a head from outside tells whether the whole record was written anew.",
		Example: "  homeostat audit verify\n  homeostat audit verify --head 42:9f2c...",
	}
	head := c.Flags().String("head", "", "head of the chain as an earlier verify showed it")
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		query := url.Values{}
		if *head != "" {
			query.Set("head", *head)
		}
		var r form.AuditReport
		if err := api.get(c.Context(), "/audit/verify", query, &r); err != nil {
			return err
		}
		if err := s.show(r, func(p *page) { tellAudit(p, &r) }); err != nil || r.Intact {
			return err
		}
		return &failure{code: ExitFailed, text: "the audit is not what it was"}
	}
	return c
}

func tellAudit(p *page, r *form.AuditReport) {
	if r.Intact {
		p.line("the audit is intact: %d entries under %d seals%s", r.Entries, r.Seals, suffix(", since ", p.clock(r.Since)))
	}
	for _, f := range r.Faults {
		p.line("seal %d: %s", f.Seal, f.Text)
	}
	if r.Unsealed > 0 {
		p.field("not sealed yet", strconv.FormatInt(r.Unsealed, 10))
	}
	if r.Head != "" {
		p.field("head", r.Head)
	}
}

func (s *session) auditExport() *cobra.Command {
	c := &cobra.Command{
		Use: "export", Short: "Write the audit as lines of JSON, the oldest entry first", Args: cobra.NoArgs,
		Example: "  homeostat audit export --since 720h > audit.jsonl",
	}
	since := c.Flags().Duration("since", 0, "only entries at most this old; default all")
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		query := url.Values{}
		if *since > 0 {
			query.Set("from", time.Now().UTC().Add(-*since).Format(time.RFC3339))
		}
		return api.stream(c.Context(), "/audit/export", query, s.stdout)
	}
	return c
}

// stream copies an answer of any length as it comes.
func (c *client) stream(ctx context.Context, path string, query url.Values, to io.Writer) error {
	address := c.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	resp, err := c.send(ctx, http.MethodGet, address, http.Header{}, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return c.unreachable(err)
		}
		return c.refused(resp, data)
	}
	out := bufio.NewWriter(to)
	if _, err := io.Copy(out, resp.Body); err != nil {
		return errors.Join(&failure{code: ExitFailed, text: "the answer ended early; what was written is not all of it"}, out.Flush())
	}
	return out.Flush()
}
