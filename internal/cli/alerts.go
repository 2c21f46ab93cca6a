package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/api/form"
)

const someAlert = "0198b7a4-6f00-7000-8000-00000000a001"

// maxFile bounds what is read from a file or standard input.
const maxFile = 5 << 20

func (s *session) alerts() *cobra.Command {
	return group("alerts", "Alerts, whatever tool they came from", "  homeostat alerts list --status firing",
		s.alertList(), s.alertShow(),
		s.alertVerb("ack", "Say that somebody looks after an alert", "acknowledged"),
		s.alertVerb("unack", "Take an acknowledgement back", "no longer acknowledged"),
		s.alertVerb("resolve", "Resolve an alert by hand", "resolved"), s.alertSend())
}

func (s *session) alertList() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List alerts, the ones heard of last first", Args: cobra.NoArgs,
		Example: "  homeostat alerts list --status firing --severity critical",
	}
	var filter picks = map[string]*string{}
	filter.flag(c, "status", "firing, silenced, acknowledged or resolved", "firing", "silenced", "acknowledged", "resolved")
	filter.flag(c, "severity", "info, warning or critical", "info", "warning", "critical")
	filter.flag(c, "service", "name of the service")
	filter.flag(c, "entity", "entity, as in service/cart")
	filter.flag(c, "name", "name of the alert")
	filter.flag(c, "source", "system it came from")
	limit := limitFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		list, err := all[form.Alert](c.Context(), api, "/alerts", filter.query(), *limit)
		if err != nil {
			return err
		}
		return s.show(list, func(p *page) {
			rows := make([][]string, 0, len(list.Items))
			for _, a := range list.Items {
				rows = append(rows, []string{a.ID, standing(a), a.Severity, p.age(a.ReceivedAt), a.Name, a.Entity})
			}
			p.table([]string{"ID", "STATUS", "SEVERITY", "HEARD", "NAME", "ENTITY"}, rows, 4, 5)
			p.more(list.Cursor)
		})
	}
	return c
}

// standing is how an alert stands in a list.
func standing(a form.Alert) string {
	if a.SilencedBy != "" {
		return "silenced"
	}
	return a.Status
}

func (s *session) alertShow() *cobra.Command {
	return &cobra.Command{
		Use: "show <alert>", Short: "Show an alert with its history", Args: cobra.ExactArgs(1), Example: "  homeostat alerts show " + someAlert,
		RunE: func(c *cobra.Command, args []string) error {
			api, err := s.client()
			if err != nil {
				return err
			}
			told := struct {
				form.Alert
				History []form.AlertEvent `json:"history"`
			}{}
			base := "/alerts" + segment(args[0])
			if err := api.get(c.Context(), base, nil, &told.Alert); err != nil {
				return err
			}
			events, err := all[form.AlertEvent](c.Context(), api, base+"/history", nil, 0)
			if err != nil {
				return err
			}
			told.History = events.Items
			return s.show(told, func(p *page) { tellAlert(p, &told.Alert, told.History) })
		},
	}
}

func tellAlert(p *page, a *form.Alert, history []form.AlertEvent) {
	p.out.WriteString(p.paint(bold, oneLine(a.Name+" on "+a.Entity)) + "\n")
	p.field("id", a.ID)
	p.field("status", a.Status+suffix(" by ", a.AcknowledgedBy))
	p.field("silenced by", a.SilencedBy)
	p.field("severity", a.Severity)
	p.field("source", a.SourceSystem+suffix(", rule ", a.RuleID))
	p.field("scope", a.Scope)
	p.field("began", p.clock(a.Timestamp)+" UTC, "+p.ago(a.Timestamp))
	p.field("heard of", fmt.Sprintf("%s, %d times", p.ago(a.ReceivedAt), a.Count))
	p.field("description", a.Description)
	if a.MetricValue != nil {
		limit := ""
		if a.Threshold != nil {
			limit = fmt.Sprintf(", threshold %g", *a.Threshold)
		}
		p.field("value", fmt.Sprintf("%s = %g%s", orDash(a.MetricName), *a.MetricValue, limit))
	}
	p.field("condition", a.Condition)
	for _, name := range sorted(a.Labels) {
		p.field("label", name+"="+a.Labels[name])
	}
	p.title("History")
	for _, e := range history {
		p.wrapped(fmt.Sprintf("  %s %-12s ", p.clock(e.At), e.Change), suffix("by ", e.By)+suffix(": ", e.Note))
	}
}

func (s *session) alertVerb(verb, short, saying string) *cobra.Command {
	c := &cobra.Command{
		Use: verb + " <alert>", Short: short, Args: cobra.ExactArgs(1), Example: "  homeostat alerts " + verb + " " + someAlert + ` --note "I am on it"`,
	}
	note := c.Flags().String("note", "", "for the record")
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := s.client()
		if err != nil {
			return err
		}
		var out form.Alert
		if err := api.post(c.Context(), "/alerts"+segment(args[0])+"/"+verb, form.Remark{Note: *note}, &out); err != nil {
			return err
		}
		return s.show(out, func(p *page) { p.line("%s: %s on %s (%s)", saying, out.Name, out.Entity, out.ID) })
	}
	return c
}

func (s *session) alertSend() *cobra.Command {
	c := &cobra.Command{
		Use: "send", Short: "Hand in an alert, or a file of them", Args: cobra.NoArgs,
		Long: "Hands in one alert made from flags, or a JSON file with one alert, a list of alerts, or\n" +
			`{"alerts": [...]}. They are on disk when this succeeds.`,
		Example: "  homeostat alerts send --name DiskFull --service cart --severity critical --label device=sda1\n  homeostat alerts send --file alerts.json",
	}
	var a form.NewAlert
	f := c.Flags()
	f.StringVar(&a.Name, "name", "", "name of the alert")
	f.StringVar(&a.Severity, "severity", "", "info, warning or critical; default warning")
	f.StringVar(&a.Status, "status", "", "firing, acknowledged or resolved; default firing")
	f.StringVar(&a.ServiceName, "service", "", "name of the service it is about")
	f.StringVar(&a.Entity, "entity", "", "what it is about, as in host/web-1; default the service")
	f.StringVar(&a.Description, "description", "", "one or more sentences")
	f.StringVar(&a.SourceSystem, "source", "", "who says so; default api")
	f.StringVar(&a.Condition, "condition", "", "PromQL with an empty result when all is well; lets a heal be verified")
	value := f.Float64("value", 0, "of the metric")
	threshold := f.Float64("threshold", 0, "that was crossed")
	f.StringToStringVar(&a.Labels, "label", nil, "name=value; may be given several times")
	file := f.StringP("file", "f", "", "JSON file, - for standard input; instead of the other flags")
	c.MarkFlagsMutuallyExclusive("file", "name")
	c.MarkFlagsOneRequired("file", "name")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if c.Flags().Changed("value") {
			a.MetricValue = value
		}
		if c.Flags().Changed("threshold") {
			a.Threshold = threshold
		}
		a.Timestamp = time.Now().UTC()
		in := any(form.NewAlerts{Alerts: []form.NewAlert{a}})
		if *file != "" {
			data, err := s.readFile(*file)
			if err != nil {
				return err
			}
			if in, err = alertsIn(*file, data); err != nil {
				return err
			}
		}
		api, err := s.client()
		if err != nil {
			return err
		}
		var out form.Accepted
		if err := api.post(c.Context(), "/alerts", in, &out); err != nil {
			return err
		}
		return s.show(out, func(p *page) { p.line("%d accepted", out.Accepted) })
	}
	return c
}

// alertsIn wraps what a file holds; the server says what is wrong inside.
func alertsIn(file string, data []byte) (any, error) {
	data = bytes.TrimSpace(data)
	if !json.Valid(data) {
		var v any
		return nil, wrong("%s is not JSON: %v", file, json.Unmarshal(data, &v))
	}
	switch {
	case bytes.HasPrefix(data, []byte("[")):
		return map[string]json.RawMessage{"alerts": data}, nil
	case bytes.HasPrefix(data, []byte("{")):
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(data, &keys); err != nil {
			return nil, wrong("%s: %v", file, err)
		}
		if _, whole := keys["alerts"]; whole {
			return json.RawMessage(data), nil
		}
		return map[string][]json.RawMessage{"alerts": {data}}, nil
	}
	return nil, wrong("%s: expected an alert, a list of alerts, or {\"alerts\": [...]}", file)
}

// readFile reads a file, or standard input for "-".
func (s *session) readFile(name string) ([]byte, error) {
	from := s.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, wrong("%v", err)
		}
		defer f.Close()
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, maxFile+1))
	if err != nil {
		return nil, wrong("read %s: %v", name, err)
	}
	if len(data) > maxFile {
		return nil, wrong("%s is larger than %d bytes", name, maxFile)
	}
	return data, nil
}

func orDash(text string) string {
	if strings.TrimSpace(text) == "" {
		return "-"
	}
	return text
}
