package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/analyse"
	"github.com/homeostat/homeostat/internal/heal"
)

func (s *session) analyse() *cobra.Command {
	c := &cobra.Command{
		Use: "analyse", Short: "Find what was wrong in files, as in a post-mortem; needs no server", Args: cobra.NoArgs,
		Long: "Replays metrics, spans and logs from files, finds what went wrong since when, and ranks where\n" +
			"it began, with the evidence for and against. The judgements are those of the server. What is\n" +
			"normal is learnt from the files: they should begin well before the trouble.\n\n" +
			"Metrics: CSV, a column a metric or a row a value, or OTLP as JSON. Traces: spans as JSON, a\n" +
			"line each, OTLP as JSON, or CSV. Logs: plain lines that begin with a time, JSON, OTLP or CSV.\n" +
			"Graph: who calls whom, a pair a line. Changes: deploys and the like, CSV or JSON, a line each.\n" +
			"Any of them may be gzipped. See docs/analyse.md.",
		Example: "  homeostat analyse --metrics metrics/ --traces traces/ --logs logs/ --graph graph.txt\n" +
			"  homeostat analyse --logs logs/ --since 2026-03-02T10:30:00Z -o json",
	}
	var paths analyse.Paths
	var since, until string
	c.Flags().StringVar(&paths.Metrics, "metrics", "", "file or folder with metrics")
	c.Flags().StringVar(&paths.Traces, "traces", "", "file or folder with spans")
	c.Flags().StringVar(&paths.Logs, "logs", "", "file or folder with logs")
	c.Flags().StringVar(&paths.Graph, "graph", "", "file with who calls whom")
	c.Flags().StringVar(&paths.Changes, "changes", "", "file with what was changed, as from \"homeostat changes list -o json\"")
	c.Flags().StringVar(&since, "since", "", "when the trouble began, RFC 3339; empty: find it")
	c.Flags().StringVar(&until, "until", "", "look at nothing after it, RFC 3339; empty: the end")
	for _, flag := range []string{"since", "until"} {
		must(c.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions))
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		if paths.Metrics == "" && paths.Traces == "" && paths.Logs == "" {
			return wrong("nothing is named to look at, expected --metrics, --traces or --logs")
		}
		var o analyse.Options
		for _, t := range []struct {
			flag, text string
			into       *time.Time
		}{{"since", since, &o.Since}, {"until", until, &o.Until}} {
			if t.text == "" {
				continue
			}
			at, err := time.Parse(time.RFC3339Nano, t.text)
			if err != nil {
				return wrong("--%s is %q, expected a time as in 2026-03-02T10:30:00Z", t.flag, t.text)
			}
			*t.into = at.UTC()
		}
		data, err := analyse.Read(paths)
		if err != nil {
			return err
		}
		report, err := analyse.Run(c.Context(), data, o)
		if err != nil {
			return err
		}
		return s.show(report, func(p *page) { tellAnalysis(p, &report) })
	}
	return c
}

const reportTime = "2006-01-02 15:04:05"

// tellAnalysis writes a post-mortem for people.
func tellAnalysis(p *page, r *analyse.Report) {
	p.wrapped("", fmt.Sprintf("Looked at %s from %s to %s UTC, every %s: %s, %s, %s.", count(r.Services, "service"), r.From.UTC().Format(reportTime), r.Until.UTC().Format(reportTime),
		span(r.Interval), count(r.Samples, "sample"), count(r.Spans, "span"), count(r.Logs, "log record")))
	if len(r.Cases) == 0 {
		p.line("Nothing is wrong that users would notice: no cause found.")
		return
	}
	for i := range r.Cases {
		tellPostMortem(p, i+1, &r.Cases[i])
	}
}

func tellPostMortem(p *page, n int, c *analyse.Case) {
	state := "still so at the end"
	if c.Over {
		state = "over since"
	}
	p.title(fmt.Sprintf("%d. Since %s UTC, %s", n, c.Began.UTC().Format(reportTime), state))
	p.title("What is wrong")
	for _, m := range c.Members {
		p.wrapped("  - ", fmt.Sprintf("%s (%s, %s): %s, since %s", m.Fault.Key.Entity, m.Role, m.Fault.Severity, m.Fault.Message, p.clock(m.Fault.Began)))
	}
	if len(c.Members) == 0 {
		p.line("  nothing that users would notice; the time was named")
	}
	d := &c.Diagnosis
	p.title("Where it began")
	if len(d.Causes) == 0 {
		p.line("  no cause found")
	}
	for i, cause := range d.Causes {
		p.wrapped(fmt.Sprintf("  %d. ", i+1), fmt.Sprintf("%s: %s (%s), score %.2f", cause.Entity, cause.Pattern, cause.Type, cause.Score))
		if len(cause.Path) > 1 {
			p.wrapped("     path:    ", joined(cause.Path, " -> "))
		}
		if i < 3 {
			tellReasons(p, "     for:     ", cause.For)
			tellReasons(p, "     against: ", cause.Against)
		}
	}
	if len(d.Impact.Affected) > 0 {
		p.wrapped("  affected:   ", d.Impact.Summary)
	}
	noted := slices.DeleteFunc(slices.Clone(d.Noted), func(r heal.Reason) bool { return strings.HasPrefix(r.Code, "logs_") && r.Code != "logs_silent" }) // the summaries below say that
	if len(noted) > 0 {
		p.title("Also seen")
		for _, r := range noted {
			p.wrapped("  - ", r.Text)
		}
	}
	if len(c.Logs) > 0 {
		p.title("What the logs say")
	}
	for _, l := range c.Logs {
		p.wrapped("  "+l.Service+": ", l.Text)
	}
	p.title("How sure")
	p.wrapped("  ", fmt.Sprintf("%.0f %%", 100*d.Confidence))
	tellReasons(p, "  because:    ", d.Reasons)
}

// mostReasons bounds the reasons shown of one candidate; JSON has them all.
const mostReasons = 6

func tellReasons(p *page, head string, list []heal.Reason) {
	list = slices.DeleteFunc(slices.Clone(list), func(r heal.Reason) bool { return r.Code == "score" })
	for i, r := range list {
		if i == mostReasons {
			p.wrapped(head, fmt.Sprintf("and %d more (-o json shows them)", len(list)-mostReasons))
			return
		}
		p.wrapped(head, r.Text)
	}
}

func joined(ids []heal.EntityID, by string) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = string(id)
	}
	return strings.Join(parts, by)
}
