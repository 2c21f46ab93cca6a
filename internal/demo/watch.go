package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// show tells the audience what happens, in words or in JSON.
type show struct {
	out   io.Writer
	json  bool
	began time.Time
}

func newShow(o Options) *show {
	return &show{out: &lineWriter{w: o.Stdout}, json: o.JSON, began: time.Now()}
}

// lineWriter keeps whole what is written at once: the world tells its part from
// beside.
type lineWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lineWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// line is one event of the demo in JSON.
type line struct {
	At      time.Time `json:"at"`
	Elapsed float64   `json:"elapsed_seconds"`
	Stage   string    `json:"stage"`
	Text    string    `json:"text"`
}

func (s *show) say(stage, format string, args ...any) {
	s.tell(time.Now(), stage, fmt.Sprintf(format, args...))
}

func (s *show) tell(at time.Time, stage, text string) {
	elapsed := at.Sub(s.began)
	if s.json {
		s.object(line{At: at.UTC(), Elapsed: elapsed.Seconds(), Stage: stage, Text: text})
		return
	}
	fmt.Fprintf(s.out, "%6.1fs  %-9s %s\n", elapsed.Seconds(), stage, text)
}

func (s *show) object(v any) {
	data, err := json.Marshal(v)
	if err != nil {
		data = []byte(fmt.Sprintf(`{"error":%q}`, err))
	}
	fmt.Fprintf(s.out, "%s\n", data)
}

// watch follows the cases of the victims until each is healed, one is settled
// otherwise, or ctx ends. It gives the healed ones.
func watch(ctx context.Context, s store.Store, since time.Time, victims []heal.EntityID, show *show) ([]heal.Incident, error) {
	told := map[string]bool{}
	var after store.Revision
	for {
		var cases []heal.Incident
		err := s.View(ctx, func(r store.Reader) (err error) {
			cases, err = casesSince(r, since)
			if err == nil {
				err = narrate(r, cases, told, show)
			}
			return err
		})
		if err != nil && ctx.Err() == nil {
			return nil, err
		}
		healed := healedCases(cases, victims)
		if len(healed) == len(victims) || ctx.Err() != nil || given(cases, victims) {
			return healed, nil
		}
		if after, err = s.Wait(ctx, after); err != nil && ctx.Err() == nil {
			return nil, err
		}
	}
}

func casesSince(r store.Reader, since time.Time) ([]heal.Incident, error) {
	rows, err := store.IncidentKind.All(r, store.Query{Where: []store.Cond{{Column: "updated", Op: store.Ge, Value: store.Nanos(since)}}})
	var cases []heal.Incident
	for _, row := range rows {
		if row.Value.DetectedAt.After(since) {
			cases = append(cases, row.Value)
		}
	}
	return cases, err
}

// narrate tells the lines of the cases' stories that were not told yet, in the
// order of time.
func narrate(r store.Reader, cases []heal.Incident, told map[string]bool, show *show) error {
	var fresh []heal.TimelineEntry
	for i := range cases {
		entries, err := story(r, cases[i].ID)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if key := fmt.Sprint(e.IncidentID, e.Seq); !told[key] {
				told[key] = true
				fresh = append(fresh, e)
			}
		}
	}
	slices.SortStableFunc(fresh, func(a, b heal.TimelineEntry) int { return a.At.Compare(b.At) })
	for _, e := range fresh {
		show.tell(e.At, e.Stage, e.Text)
	}
	return nil
}

func story(r store.Reader, id heal.IncidentID) ([]heal.TimelineEntry, error) {
	rows, err := store.TimelineKind.All(r, store.Query{Where: []store.Cond{{Column: "incident", Op: store.Eq, Value: string(id)}}, Order: "seq"})
	entries := make([]heal.TimelineEntry, len(rows))
	for i := range rows {
		entries[i] = rows[i].Value
	}
	return entries, err
}

// healedCases are the verified heals of the victims, one each.
func healedCases(cases []heal.Incident, victims []heal.EntityID) []heal.Incident {
	var list []heal.Incident
	for _, v := range victims {
		for _, c := range cases {
			if c.State == heal.CaseHealed && c.Cause == v && c.Verification != nil && c.Verification.Verdict == heal.Cleared {
				list = append(list, c)
				break
			}
		}
	}
	return list
}

// given reports whether a case of a victim was given up.
func given(cases []heal.Incident, victims []heal.EntityID) bool {
	return slices.ContainsFunc(cases, func(c heal.Incident) bool {
		return c.State == heal.CaseEscalated && slices.Contains(victims, c.Cause)
	})
}

// summary is the end of one case, for machines.
type summary struct {
	Incident   heal.IncidentID `json:"incident_id"`
	Cause      heal.EntityID   `json:"cause"`
	Pattern    heal.Pattern    `json:"pattern"`
	Playbook   string          `json:"playbook"`
	Attempts   int             `json:"attempts"`
	MTTD       float64         `json:"mttd_seconds"`
	MTTR       float64         `json:"mttr_seconds"`
	Verdict    heal.Verdict    `json:"verdict"`
	Confidence float64         `json:"confidence"`
}

// tellStories ends the demo with each case from first sign to verdict, with its
// evidence.
func (s *show) tellStories(ctx context.Context, db store.Store, injected time.Time, cases []heal.Incident) error {
	return db.View(ctx, func(r store.Reader) error {
		for i := range cases {
			c := &cases[i]
			sum := summaryOf(c, injected)
			if s.json {
				s.object(sum)
				continue
			}
			entries, err := story(r, c.ID)
			if err != nil {
				return err
			}
			s.page(c, sum, entries, injected)
		}
		return nil
	})
}

func summaryOf(c *heal.Incident, injected time.Time) summary {
	sum := summary{
		Incident: c.ID, Cause: c.Cause, Attempts: len(c.Attempts), MTTD: c.DetectedAt.Sub(injected).Seconds(), MTTR: c.EndedAt.Sub(injected).Seconds(),
		Verdict: c.Verification.Verdict, Confidence: c.Diagnosis.Confidence,
	}
	if last := len(c.Attempts); last > 0 {
		sum.Pattern, sum.Playbook = c.Attempts[last-1].Pattern, c.Attempts[last-1].Playbook
	}
	return sum
}

// page prints one case for people.
func (s *show) page(c *heal.Incident, sum summary, entries []heal.TimelineEntry, injected time.Time) {
	fmt.Fprintf(s.out, "\n%s\n", c.Title)
	fmt.Fprintf(s.out, "  detected  %5.1fs after the fault (MTTD)\n", sum.MTTD)
	fmt.Fprintf(s.out, "  cause     %s on %s, confidence %.2f\n", sum.Pattern, sum.Cause, sum.Confidence)
	if top := c.Diagnosis.Top(); top != nil {
		for _, reason := range top.For {
			fmt.Fprintf(s.out, "            + %s\n", reason.Text)
		}
		for _, reason := range top.Against {
			fmt.Fprintf(s.out, "            - %s\n", reason.Text)
		}
	}
	fmt.Fprintf(s.out, "  plan      %s, attempt %d\n", sum.Playbook, sum.Attempts)
	if c.Decision != nil {
		for _, reason := range c.Decision.Reasons {
			fmt.Fprintf(s.out, "            . %s\n", reason.Text)
		}
	}
	fmt.Fprintf(s.out, "  timeline\n")
	for _, e := range entries {
		fmt.Fprintf(s.out, "    %+6.1fs  %-8s %s\n", e.At.Sub(injected).Seconds(), e.Stage, e.Text)
	}
	fmt.Fprintf(s.out, "  verified  %s\n", sum.Verdict)
	for _, reason := range c.Verification.Reasons {
		fmt.Fprintf(s.out, "            . %s\n", reason.Text)
	}
	fmt.Fprintf(s.out, "  healed    %5.1fs after the fault (MTTR)\n", sum.MTTR)
}
