package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	looks    = 100     // at each page
	pageFar  = 50      // the page of a list that one pages to
	pageBar  = 100     // ms a page may take to make
	paintBar = 300     // ms until a browser paints
	bytesBar = 300_000 // of a first visit, all it loads
)

// measurePage looks at the page of a full store as a browser does that has seen
// nothing of it yet: what it asks for, how long the answers take and how large
// they are. With -browser a real one says when it painted, too.
func measurePage(ctx context.Context, o *options, r *report) (err error) {
	dir := filepath.Join(o.dir, "page")
	if err := fill(ctx, dir, o); err != nil {
		return err
	}
	s, err := up(ctx, o, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	v, err := signIn(ctx, s)
	if err != nil {
		return err
	}
	for _, p := range []struct{ name, path string }{
		{"overview", "/"},
		{"cases that are open", "/cases?open=true"},
		{"alerts that fire", "/alerts?status=firing"},
		{"alerts, a search that finds few", "/alerts?q=host-77777.example"},
		{"one alert", "/alerts/01890000-0000-7000-8000-000000000007"},
		{"one case", "/cases/01890000-0000-7000-8000-000000000008"},
		{"services", "/services"},
		{"changes", "/changes"},
		{"changes, of one service", "/changes?service=service-7"},
		{"changes, of a kind that there is none of", "/changes?kind=schema"},
	} {
		if err := v.measure(ctx, r, p.name, p.path); err != nil {
			return err
		}
	}
	for _, p := range []struct{ name, path string }{{"cases", "/cases?open=true"}, {"alerts", "/alerts?status=firing"}, {"changes", "/changes"}} {
		far, err := v.turn(ctx, r, p.name, p.path)
		if err != nil {
			return err
		}
		if err := v.measure(ctx, r, fmt.Sprintf("%s, page %d", p.name, pageFar), far); err != nil {
			return err
		}
	}
	if !o.browser {
		return nil
	}
	return paint(ctx, s, r)
}

// visitor is a browser without a screen that is signed in.
type visitor struct {
	base   string
	http   *http.Client
	server *server
}

func signIn(ctx context.Context, s *server) (*visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	v := &visitor{base: s.base, server: s, http: &http.Client{
		Timeout: 60 * time.Second, Jar: jar, Transport: &http.Transport{DisableCompression: true}, // what is sent is counted as it is sent
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	form := url.Values{"token": {s.token}, "next": {"/"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/sign-in", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := v.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSeeOther {
		err = fmt.Errorf("POST /sign-in: %d, want %d", resp.StatusCode, http.StatusSeeOther)
	}
	return v, errors.Join(err, resp.Body.Close())
}

// get reads a path. size is what the body takes on the line, packed as browsers
// ask for it.
func (v *visitor) get(ctx context.Context, path string) (data []byte, size int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.base+path, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := v.http.Do(req)
	if err != nil {
		return nil, 0, err
	}
	data, err = io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("GET %s: %d %s", path, resp.StatusCode, tail(string(data)))
	}
	if size = len(data); resp.Header.Get("Content-Encoding") != "gzip" {
		return data, size, nil
	}
	unpack, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, 0, err
	}
	data, err = io.ReadAll(unpack)
	return data, size, err
}

var (
	asset = regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`)
	next  = regexp.MustCompile(`<a href="([^"]+)" rel="next">`)
)

// measure takes how long a page takes to be made, and what a first visit loads.
func (v *visitor) measure(ctx context.Context, r *report, name, path string) error {
	page, size, err := v.get(ctx, path)
	if err != nil {
		return err
	}
	loaded := map[string]int{path: size}
	for _, found := range asset.FindAllSubmatch(page, -1) {
		at := string(found[1])
		if _, known := loaded[at]; known {
			continue
		}
		if _, loaded[at], err = v.get(ctx, at); err != nil {
			return err
		}
	}
	all := 0
	for _, n := range loaded {
		all += n
	}
	before := v.server.cpu()
	took, err := timed(ctx, 1, looks, func(int) error { _, _, err := v.get(ctx, path); return err })
	if err != nil {
		return err
	}
	each := (v.server.cpu() - before).Seconds() * 1000 / looks
	r.atMost(pageBar, name+", p99", quantile(took, 0.99), "ms", fmt.Sprintf("p50 %s ms, %s ms of processor time", short(quantile(took, 0.5)), short(each)))
	r.atMost(bytesBar/1000, name+", all of a first visit", float64(all)/1000, "kB", fmt.Sprintf("the page %s kB, %d files", short(float64(size)/1000), len(loaded)-1))
	return nil
}

// turn pages through a list and gives the path of a far page.
func (v *visitor) turn(ctx context.Context, r *report, name, path string) (string, error) {
	var took []time.Duration
	for n := 1; n < pageFar; n++ {
		began := time.Now()
		page, _, err := v.get(ctx, path)
		if err != nil {
			return "", err
		}
		took = append(took, time.Since(began))
		found := next.FindSubmatch(page)
		if found == nil {
			return "", fmt.Errorf("GET %s: page %d has no next one", path, n)
		}
		path = html.UnescapeString(string(found[1]))
	}
	r.atMost(pageBar, fmt.Sprintf("%s, from page to page, worst of %d", name, len(took)), quantile(took, 1), "ms", fmt.Sprintf("p50 %s ms", short(quantile(took, 0.5))))
	return path, nil
}

// painted is what a browser says of a look, as test/page/paint.mjs writes it.
type painted struct {
	Name  string  `json:"name"`
	P50   float64 `json:"p50"`   // ms to the first contentful paint
	Worst float64 `json:"worst"` // ms
	Looks int     `json:"looks"`
	Bytes float64 `json:"bytes"` // with the headers; 0: not counted
}

// paint drives a real browser.
func paint(ctx context.Context, s *server, r *report) error {
	cmd := exec.CommandContext(ctx, "node", "test/page/drive.mjs", "--paint", s.base, filepath.Join(s.dir, "operator.token"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("drive a browser, which needs what tools/page installs: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var p painted
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			return fmt.Errorf("read what the browser says, %q: %w", lines.Text(), err)
		}
		r.atMost(paintBar, p.Name+", first paint", p.P50, "ms", fmt.Sprintf("worst of %d: %s ms", p.Looks, short(p.Worst)))
		if p.Bytes > 0 {
			r.atMost(bytesBar/1000, p.Name+", loaded by the browser", p.Bytes/1000, "kB", "")
		}
	}
	return lines.Err()
}
