package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
)

// book is a playbook with what is known of it.
type book struct {
	form.Playbook
	Known form.Knowledge // over every pattern it was used against
	Used  bool
}

type booksBody struct {
	Books    []book
	Problems []form.Problem // of playbooks that are not in force
}

func booksPage(v *visit) error {
	var page form.Page[form.Playbook]
	if err := v.get("/playbooks", &page); err != nil {
		return err
	}
	known, err := v.knowledge()
	if err != nil {
		return err
	}
	var check form.PlaybookCheck
	if err := v.get("/playbook-problems", &check); err != nil {
		return err
	}
	b := booksBody{Problems: check.Problems}
	for _, p := range page.Items {
		line := book{Playbook: p}
		line.Known, line.Used = known.of(p.ID)
		b.Books = append(b.Books, line)
	}
	return v.show("playbooks", view{Title: "Playbooks", Section: "playbooks", Body: b})
}

type knowledge []form.Knowledge

func (v *visit) knowledge() (knowledge, error) {
	var list form.KnowledgeList
	err := v.get("/knowledge", &list)
	return list.Items, err
}

// of adds up what is known of a playbook.
func (k knowledge) of(id string) (sum form.Knowledge, used bool) {
	var took float64
	for _, one := range k {
		if one.Playbook != id {
			continue
		}
		sum.Uses, sum.Successes, sum.Partial = sum.Uses+one.Uses, sum.Successes+one.Successes, sum.Partial+one.Partial
		took += one.MeanSeconds * float64(one.Uses)
		if one.LastUsed.After(sum.LastUsed) {
			sum.LastUsed = one.LastUsed
		}
	}
	if sum.Uses == 0 {
		return sum, false
	}
	sum.SuccessRate = (float64(sum.Successes) + float64(sum.Partial)/2) / float64(sum.Uses)
	sum.MeanSeconds = took / float64(sum.Uses)
	return sum, true
}

// line is a line of a source or a diff.
type line struct {
	Text string
	Tone string         // of a diff: plus, minus or hunk
	Why  []form.Problem // mistakes in it
}

type bookBody struct {
	form.Playbook
	Tab      string
	Lines    []line
	Problems []form.Problem // without a line
	Patterns []form.Knowledge
	Versions []form.PlaybookVersion
	From, To string
	Diff     []line
	Draft    string
	Checked  bool
	Operate  bool
	Admin    bool
	Dry      *form.Run
	Steps    graph
	Target   string
	Given    map[string]string
	Entities []string
	DryLines []line
	Refused  bool // a guard would stop the run now
}

func bookPage(v *visit) error {
	b, err := v.book(v.r.PathValue("id"))
	if err != nil {
		return err
	}
	return v.showBook(b)
}

func (v *visit) showBook(b *bookBody) error {
	return v.show("playbook", view{Title: b.Name, Section: "playbooks", Body: b})
}

// book reads what the tabs of a playbook show.
func (v *visit) book(id string) (*bookBody, error) {
	b := &bookBody{Tab: v.at("tab"), Given: map[string]string{}}
	path := "/playbooks/" + escape(id)
	if err := v.get(path, &b.Playbook); err != nil {
		return nil, err
	}
	known, err := v.knowledge()
	if err != nil {
		return nil, err
	}
	for _, k := range known {
		if k.Playbook == id {
			b.Patterns = append(b.Patterns, k)
		}
	}
	b.Lines, b.Draft, b.Admin = sourceLines(b.Source, nil), b.Source, v.may(auth.Administer, "")
	b.Operate = len(v.who.Scopes(auth.Operate)) > 0
	if b.Tab == "try" && !b.Operate {
		b.Tab = "source"
	}
	switch b.Tab {
	case "versions":
		return b, v.versions(b, path)
	case "try":
		var services form.Services
		if err := v.get("/services?traffic=false", &services); err != nil {
			return nil, err
		}
		for _, e := range services.Entities {
			b.Entities = append(b.Entities, e.ID)
		}
	case "edit":
	default:
		b.Tab = "source"
	}
	return b, nil
}

func (v *visit) versions(b *bookBody, path string) error {
	var page form.Page[form.PlaybookVersion]
	if err := v.get(path+"/versions", &page); err != nil {
		return err
	}
	b.Versions = page.Items
	if len(b.Versions) == 0 {
		return nil
	}
	b.From, b.To = v.at("from"), v.at("to")
	var diff form.PlaybookDiff
	if err := v.get(path+"/diff"+query("from", b.From, "to", b.To), &diff); err != nil {
		return err
	}
	b.From, b.To = strconv.Itoa(diff.From), strconv.Itoa(diff.To)
	for text := range strings.SplitSeq(strings.TrimRight(diff.Diff, "\n"), "\n") {
		b.Diff = append(b.Diff, line{Text: text, Tone: diffTone(text)})
	}
	return nil
}

func diffTone(text string) string {
	switch {
	case strings.HasPrefix(text, "+++"), strings.HasPrefix(text, "---"), strings.HasPrefix(text, "@@"):
		return "hunk"
	case strings.HasPrefix(text, "+"):
		return "plus"
	case strings.HasPrefix(text, "-"):
		return "minus"
	}
	return ""
}

// sourceLines are the lines of a source, each with the mistakes in it.
func sourceLines(source string, problems []form.Problem) []line {
	var out []line
	for text := range strings.SplitSeq(strings.TrimRight(source, "\n"), "\n") {
		out = append(out, line{Text: text})
	}
	for _, p := range problems {
		if p.Line >= 1 && p.Line <= len(out) {
			out[p.Line-1].Why = append(out[p.Line-1].Why, p)
		}
	}
	return out
}

// bookDeed checks a changed source, publishes it, goes back to a version, or
// tries a playbook.
func bookDeed(v *visit) error {
	id := v.r.PathValue("id")
	path := "/playbooks/" + escape(id)
	switch verb := v.r.PathValue("verb"); verb {
	case "check":
		return v.checkBook(id)
	case "publish":
		if err := v.send(http.MethodPut, path, form.PlaybookChange{Source: v.source(), Reason: v.field("reason")}, nil); err != nil {
			return err
		}
	case "rollback":
		to, err := strconv.Atoi(v.field("to"))
		if err != nil {
			return &refusal{Status: 422, Detail: "The version is not a number."}
		}
		if err := v.send(http.MethodPost, path+"/rollback", form.PlaybookRollback{To: to, Reason: v.field("reason")}, nil); err != nil {
			return err
		}
	case "try":
		return v.tryBook(id)
	default:
		return &refusal{Status: 404, Detail: "Nothing of the name " + strconv.Quote(verb) + " can be done to a playbook."}
	}
	return v.done(path + "?tab=versions")
}

// source is the text of the form, with the line ends of files.
func (v *visit) source() string { return strings.ReplaceAll(v.field("source"), "\r\n", "\n") }

func (v *visit) checkBook(id string) error {
	b, err := v.book(id)
	if err != nil {
		return err
	}
	b.Tab, b.Checked, b.Draft = "edit", true, v.source()
	var check form.PlaybookCheck
	if err := v.send(http.MethodPost, "/playbook-check", form.PlaybookSource{File: b.File, Source: b.Draft}, &check); err != nil {
		return err
	}
	b.Lines = sourceLines(b.Draft, check.Problems)
	for _, p := range check.Problems {
		if p.Line < 1 || p.Line > len(b.Lines) {
			b.Problems = append(b.Problems, p)
		}
	}
	if !check.OK {
		b.Problems = slices.Clip(b.Problems)
	}
	return v.showBook(b)
}

// tryBook runs a playbook, dry unless asked otherwise.
func (v *visit) tryBook(id string) error {
	order := form.RunOrder{Target: strings.TrimSpace(v.field("target")), DryRun: v.field("for") != "real", Params: map[string]string{}}
	for name, values := range v.r.PostForm {
		if key, ok := strings.CutPrefix(name, "param."); ok && values[0] != "" {
			order.Params[key] = values[0]
		}
	}
	var run form.Run
	if err := v.send(http.MethodPost, "/playbooks/"+escape(id)+"/runs", order, &run); err != nil {
		return err
	}
	if !order.DryRun {
		to := "/runs/" + escape(run.ID)
		if v.r.Header.Get("HX-Request") != "" {
			v.w.Header().Set("HX-Redirect", to)
			return nil
		}
		return v.done(to)
	}
	v.r.URL.RawQuery = "tab=try"
	b, err := v.book(id)
	if err != nil {
		return err
	}
	b.Dry, b.Target, b.Given = &run, order.Target, order.Params
	b.DryLines, b.Refused = dryLines(run.Tasks)
	return v.showBook(b)
}

// dryLines tell what a run would do as a diff: what would be done is added, what
// would stand against it is taken away.
func dryLines(tasks []form.Task) (out []line, refused bool) {
	for i := range tasks {
		t := &tasks[i]
		out = append(out, line{Text: "@@ " + t.ID + ": " + t.Action + " @@ " + words(t.State), Tone: "hunk"})
		told := map[string]bool{}
		if t.Preview != "" {
			for text := range strings.SplitSeq(strings.TrimRight(t.Preview, "\n"), "\n") {
				l := line{Text: "+ " + text, Tone: "plus"}
				for _, g := range t.Guards {
					if !g.Allows && strings.Contains(text, g.Reason.Text) {
						told[g.Rule], l = true, line{Text: "- " + text, Tone: "minus"}
					}
				}
				out = append(out, l)
			}
		}
		for _, g := range t.Guards {
			refused = refused || !g.Allows
			if !g.Allows && !told[g.Rule] {
				out = append(out, line{Text: "- guard " + words(g.Rule) + ": " + g.Reason.Text, Tone: "minus"})
			}
		}
		if t.Error != "" {
			out = append(out, line{Text: "- " + t.Error, Tone: "minus"})
		}
	}
	return out, refused
}
