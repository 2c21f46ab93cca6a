package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"math"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

//go:embed templates
var templateFiles embed.FS

// pages are the templates by the name of their page, each within the layout.
type pages map[string]*template.Template

// layouts are in every page.
var layouts = []string{"templates/layout.html", "templates/pieces.html"}

func parsePages(a *assets) (pages, error) {
	const op = "parse the pages"
	out := pages{}
	files, err := templateFiles.ReadDir("templates")
	if err != nil {
		return nil, heal.Errorf(heal.Internal, op, "%w", err)
	}
	for _, f := range files {
		name := "templates/" + f.Name()
		if name == layouts[0] || name == layouts[1] {
			continue
		}
		t, err := template.New("layout.html").Funcs(funcs(a)).ParseFS(templateFiles, layouts[0], layouts[1], name)
		if err != nil {
			return nil, heal.Errorf(heal.Internal, op, "%w", err)
		}
		out[strings.TrimSuffix(f.Name(), path.Ext(name))] = t
	}
	return out, nil
}

// show renders a page whole before any of it is sent. Pages whose name begins
// with "part-" are pieces without the layout.
func (p pages) show(w http.ResponseWriter, r *http.Request, logger *slog.Logger, status int, name string, v *view) {
	var out bytes.Buffer
	start := "layout.html"
	if strings.HasPrefix(name, "part-") {
		start = "body"
	}
	t := p[name]
	err := fmt.Errorf("there is no page %q", name)
	if t != nil {
		err = t.ExecuteTemplate(&out, start, v)
	}
	if err != nil {
		logger.LogAttrs(r.Context(), slog.LevelError, "page could not be rendered", slog.String("page", name), slog.Any("error", err))
		http.Error(w, "Something is wrong inside the server; its log says what.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// An error here means that the browser is gone: nobody is left to tell.
	_, _ = w.Write(out.Bytes())
}

func funcs(a *assets) template.FuncMap {
	return template.FuncMap{
		"asset": a.url, "when": when, "field": fieldOf, "relation": relation, "clock": clock, "seconds": seconds, "between": between, "percent": percent, "number": number,
		"words": words, "tone": tone, "glyph": glyph, "name": shortEntity, "place": place, "deed": deedAttrs, "add": func(a, b int) int { return a + b },
		"dict": dict, "short": short, "lines": func(s string) []string { return strings.Split(strings.TrimRight(s, "\n"), "\n") },
		"pairs": pairs, "span": span, "join": strings.Join, "mul": func(a, b float64) float64 { return a * b }, "has": strings.Contains,
	}
}

// when shows a time in UTC, which the browser turns into its viewer's zone.
func when(t time.Time) template.HTML { return timeTag(t, "", "2006-01-02 15:04:05") }

// clock shows the time of day only.
func clock(t time.Time) template.HTML { return timeTag(t, "clock", "15:04:05") }

func timeTag(t time.Time, kind, layout string) template.HTML {
	if t.IsZero() {
		return "–"
	}
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s" data-show="%s" title="%s UTC">%s</time>`,
		t.Format("2006-01-02T15:04:05.000Z"), kind, t.Format("2006-01-02 15:04:05.000"), t.Format(layout)))
}

// seconds shows a length of time as people say it.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case s == 0:
		return "–"
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + " µs"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < 2*time.Minute:
		return strconv.Itoa(int(math.Round(d.Seconds()))) + " s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	case d < 48*time.Hour:
		return strconv.FormatFloat(d.Hours(), 'f', 1, 64) + " h"
	}
	return strconv.Itoa(int(d.Hours()/24)) + " days"
}

// between is the time from one moment to another; until now if that has not
// come.
func between(from, to, now time.Time) string {
	if from.IsZero() {
		return "–"
	}
	if to.IsZero() {
		to = now
	}
	return seconds(max(0, to.Sub(from).Seconds()))
}

// span shows a length of time written as Go does.
func span(text string) string {
	d, err := time.ParseDuration(text)
	if err != nil {
		return text
	}
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		switch n := d / unit.of; {
		case d%unit.of != 0 || n == 0:
		case n == 1:
			return "1 " + unit.name
		default:
			return strconv.Itoa(int(n)) + " " + unit.name + "s"
		}
	}
	return text
}

func percent(share float64) string {
	p := share * 100
	switch {
	case p == 0:
		return "0 %"
	case p < 1:
		return strconv.FormatFloat(p, 'f', 2, 64) + " %"
	case p < 10:
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	}
	return strconv.Itoa(int(math.Round(p))) + " %"
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }

// words makes a name of the API readable.
func words(s string) string { return strings.ReplaceAll(s, "_", " ") }

// tone is the colour of a state, a severity or a result; colour means nothing
// else on this page.
func tone(state string) string {
	switch state {
	case "critical", "escalated", "failed", "timed_out", "unknown", "ineffective", "denied", "persists", "firing", "expired":
		return "bad"
	case "warning", "rolled_back", "skipped", "cancelled":
		return "warn"
	case "healed", "succeeded", "cleared", "resolved", "approved", "done", "intact":
		return "good"
	case "waiting_approval", "paused", "acknowledged", "silenced", "active":
		return "wait"
	case "open", "diagnosing", "deciding", "acting", "verifying", "running":
		return "busy"
	}
	return "calm"
}

// glyph tells the same for those who do not see colours.
func glyph(state string) string {
	switch tone(state) {
	case "bad":
		return "✕"
	case "warn":
		return "▲"
	case "good":
		return "✓"
	case "wait":
		return "‖"
	case "busy":
		return "◐"
	}
	return "·"
}

// shortEntity is an entity without its kind, where the kind goes without saying.
func shortEntity(id string) string { return strings.TrimPrefix(id, "service/") }

// place is a scope for people.
func place(scope string) string {
	if strings.Trim(scope, "/") == "" {
		return "everything"
	}
	return strings.TrimRight(scope, "/")
}

// short is the end of an id, enough to tell neighbours apart.
func short(id string) string {
	if len(id) > 12 {
		return id[len(id)-6:]
	}
	return id
}

// deedAttrs make a form send itself and put what comes of it into the page.
func deedAttrs(action string) template.HTMLAttr {
	at := template.HTMLEscapeString(action)
	return template.HTMLAttr(`method="post" action="` + at + `" hx-post="` + at + `" hx-target="#live" hx-select="#live" hx-swap="morph:outerHTML" hx-disabled-elt="find button"`)
}

// dict passes several values to a piece.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict has %d arguments, expected pairs", len(pairs))
	}
	out := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("argument %d of dict is %T, expected a name", i, pairs[i])
		}
		out[key] = pairs[i+1]
	}
	return out, nil
}

// pairs shows a map of any values in the order of its keys.
func pairs(m map[string]any) []string {
	var out []string
	for _, k := range sortedKeys(m) {
		out = append(out, fmt.Sprintf("%s = %v", k, m[k]))
	}
	return out
}
