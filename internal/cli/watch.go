package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/api/form"
)

// maxEvent bounds one event of a stream.
const maxEvent = 4 << 20

func (s *session) incidentWatch() *cobra.Command {
	c := &cobra.Command{
		Use: "watch [incident]", Short: "Show changes of cases as they happen, until interrupted", Args: cobra.MaximumNArgs(1),
		Long: "Shows the open cases, then every change, one line each. With -o json each line is one\n" +
			"change as JSON. With the id of a case it shows that one, and ends when the case does.",
		Example: "  homeostat incidents watch\n  homeostat incidents watch -o json | jq .incident.state", ValidArgsFunction: s.completeIncidents,
	}
	since := c.Flags().Int64("since", -1, "first tell changes after this revision, instead of listing open cases")
	c.RunE = func(c *cobra.Command, args []string) error {
		if s.output == "yaml" {
			return wrong("watch writes lines: table or json")
		}
		api, err := s.client()
		if err != nil {
			return err
		}
		w := &incidentStream{session: s, api: api}
		if len(args) == 1 {
			w.only = args[0]
		}
		return w.run(c.Context(), *since)
	}
	return c
}

// incidentStream follows changes, over broken connections too.
type incidentStream struct {
	*session
	api  *client
	only string // one case, "" for all
	at   int64  // revision told last
}

func (w *incidentStream) run(ctx context.Context, since int64) error {
	w.at = since
	if since < 0 {
		ended, err := w.list(ctx)
		if err != nil || ended {
			return err
		}
	}
	for {
		ended, err := w.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return nil // the person has seen enough
		case err != nil || ended:
			return err
		}
		select { // the server ended the stream: it restarts, perhaps
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// list shows what is there now.
func (w *incidentStream) list(ctx context.Context) (ended bool, err error) {
	if w.only != "" {
		var i form.Incident
		if err := w.api.get(ctx, "/incidents"+segment(w.only), nil, &i); err != nil {
			return false, err
		}
		w.at = i.Revision
		w.tell(form.IncidentChange{Revision: i.Revision, ID: i.ID, Incident: &i.IncidentSummary})
		return over(&i.IncidentSummary), nil
	}
	list, err := all[form.IncidentSummary](ctx, w.api, "/incidents", url.Values{"open": {"true"}}, 0)
	if err != nil {
		return false, err
	}
	for _, i := range slices.Backward(list.Items) {
		w.tell(form.IncidentChange{Revision: i.Revision, ID: i.ID, Incident: &i})
	}
	w.at = list.Revision
	return false, nil
}

func over(i *form.IncidentSummary) bool { return i.State == "healed" || i.State == "closed" }

// follow reads one stream to its end.
func (w *incidentStream) follow(ctx context.Context) (ended bool, err error) {
	address := w.api.base + "/incidents/watch?since=" + strconv.FormatInt(w.at, 10)
	resp, err := w.api.send(ctx, http.MethodGet, address, http.Header{"Accept": {"text/event-stream"}}, nil)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		data := make([]byte, 64<<10)
		n, _ := resp.Body.Read(data) // a problem document, or nothing to show
		return false, w.api.refused(resp, data[:n])
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 64<<10), maxEvent)
	name := ""
	for lines.Scan() {
		line := lines.Text()
		if rest, ok := strings.CutPrefix(line, "event: "); ok {
			name = rest
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		if name == "gone" {
			return false, &failure{code: ExitFailed, text: "the server no longer knows the changes since revision " + strconv.FormatInt(w.at, 10), next: "Start watch again without --since."}
		}
		var change form.IncidentChange
		if err := json.Unmarshal([]byte(data), &change); err != nil {
			return false, &failure{code: ExitFailed, text: "the stream cannot be read: " + err.Error()}
		}
		w.at = change.Revision
		if w.only != "" && change.ID != w.only {
			continue
		}
		w.tell(change)
		if w.only != "" && (change.Deleted || over(change.Incident)) {
			return true, nil
		}
	}
	return false, nil
}

func (w *incidentStream) tell(c form.IncidentChange) {
	if w.output == "json" {
		line, err := json.Marshal(c)
		if err == nil {
			fmt.Fprintln(w.stdout, string(line))
		}
		return
	}
	p := &page{colours: colourful(w.stdout), now: time.Now()}
	if c.Deleted {
		fmt.Fprintf(w.stdout, "%s  %s  deleted\n", p.clock(p.now), oneLine(c.ID))
		return
	}
	i := c.Incident
	text := oneLine(i.Title + suffix(" <- ", i.Cause) + suffix("; ", i.Outcome) + suffix("; held: ", i.Held))
	state := p.paint(mood(i.State), fmt.Sprintf("%-16s", oneLine(i.State)))
	fmt.Fprintf(w.stdout, "%s  %s  %s  %s\n", p.clock(i.UpdatedAt), oneLine(i.ID), state, text)
}
