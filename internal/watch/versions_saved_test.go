package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
)

// life is one run of Versions over a folder.
type life struct {
	*Versions
	told []Release
	stop func()
}

// begin starts one; away says whether the store takes nothing.
func begin(t *testing.T, dir string, away bool) *life {
	t.Helper()
	l := &life{}
	ctx, cancel := context.WithCancel(t.Context())
	l.Versions = NewVersions(func(_ context.Context, r Release) error {
		if away {
			return errors.New("the store is away")
		}
		l.told = append(l.told, r)
		return nil
	}, VersionOptions{Dir: dir})
	ended := make(chan struct{})
	go func() { defer close(ended); _ = l.Run(ctx) }()
	l.stop = func() { cancel(); <-ended }
	return l
}

// TestVersionsOverARestart: a deploy is seen once, be it before, during or after
// a stop or a kill, and a restart is none.
func TestVersionsOverARestart(t *testing.T) {
	type sight struct {
		version string
		minute  int
	}
	tests := []struct {
		name          string
		before, after []sight // the restart takes from minute 60 to 90
		want          []string
	}{
		{"nothing but the restart", []sight{{"1", 0}, {"1", 59}}, []sight{{"1", 91}, {"1", 200}}, nil},
		{"the first ever, shortly before", []sight{{"1", 59}}, []sight{{"2", 91}}, []string{"1 -> 2 at 91 after 59"}},
		{"a deploy before", []sight{{"1", 0}, {"2", 30}, {"2", 59}}, []sight{{"2", 91}}, []string{"1 -> 2 at 30 after 0"}},
		{"a deploy meanwhile", []sight{{"1", 0}, {"1", 58}}, []sight{{"2", 95}, {"2", 96}, {"1", 97}, {"2", 98}}, []string{"1 -> 2 at 95 after 58"}},
		{"a deploy after", []sight{{"1", 0}}, []sight{{"1", 91}, {"2", 120}}, []string{"1 -> 2 at 120 after 91"}},
		{"instance after instance, and a restart in between", []sight{{"1", 50}, {"2", 55}, {"1", 56}, {"2", 57}, {"1", 58}, {"2", 59}}, []sight{{"2", 91}}, []string{"1 -> 2 at 55 after 50"}},
		{"back to what was before, meanwhile", []sight{{"1", 25}, {"2", 30}, {"2", 39}, {"2", 48}, {"2", 57}}, []sight{{"1", 91}}, []string{"1 -> 2 at 30 after 25", "2 -> 1 at 91 after 57"}},
		{"back to what was before, of which little is heard", []sight{{"1", 0}, {"2", 30}, {"2", 59}}, []sight{{"1", 91}}, []string{"1 -> 2 at 30 after 0", "2 -> 1 at 91 after 59"}},
		{"two side by side", []sight{{"1", 50}, {"2", 51}, {"1", 58}, {"2", 59}}, []sight{{"1", 91}, {"2", 92}}, []string{"1 -> 2 at 51 after 50"}},
	}
	for _, tt := range tests {
		for _, how := range []string{"stopped", "killed"} {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) {
					began := time.Now()
					to := func(minute int) { <-time.After(time.Until(began.Add(time.Duration(minute) * time.Minute))) }
					see := func(l *life, sights []sight) {
						for _, s := range sights {
							to(s.minute)
							l.Seen("cart", s.version, time.Now(), time.Now())
						}
					}
					first := begin(t, dir, false)
					see(first, tt.before)
					to(60)
					left := dir
					if how == "stopped" {
						first.stop()
					} else {
						left = t.TempDir() // what a kill leaves, without what is kept at the end
						if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
							t.Fatal(err)
						}
						first.stop()
					}
					to(90)
					second := begin(t, left, false)
					see(second, tt.after)
					<-time.After(time.Minute)
					second.stop()
					var got []string
					for _, r := range append(first.told, second.told...) {
						got = append(got, fmt.Sprintf("%s -> %s at %.0f after %.0f", r.Before, r.Version, r.At.Sub(began).Minutes(), r.Since.Sub(began).Minutes()))
					}
					if diff := cmp.Diff(got, tt.want); diff != "" {
						t.Errorf("releases (-got +want):\n%s", diff)
					}
				})
			})
		}
	}
}

// TestReleasesOutliveARestart: what could not be handed on is handed on by the
// next run, and what a crash hands on again is the same.
func TestReleasesOutliveARestart(t *testing.T) {
	dir, left := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		first := begin(t, dir, true)
		first.Seen("cart", "1", began, began)
		<-time.After(time.Minute)
		first.Seen("cart", "2", time.Now(), time.Now())
		<-time.After(time.Second) // it is tried, in vain
		first.stop()
		if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		var told [2][]Release
		for i, from := range []string{dir, left} {
			<-time.After(time.Hour)
			next := begin(t, from, false)
			synctest.Wait()
			next.stop()
			told[i] = next.told
		}
		want := []Release{{Service: "cart", Version: "2", Before: "1", At: began.Add(time.Minute).UTC(), Since: began.UTC()}}
		for i := range told {
			for k := range told[i] {
				told[i][k].At, told[i][k].Since = told[i][k].At.UTC(), told[i][k].Since.UTC()
			}
			if diff := cmp.Diff(told[i], want); diff != "" {
				t.Errorf("handed on after the restart (-got +want):\n%s", diff)
			}
		}
		again := begin(t, dir, false)
		again.Seen("cart", "2", time.Now(), time.Now())
		synctest.Wait()
		again.stop()
		if again.told != nil {
			t.Errorf("handed on twice: %+v", again.told)
		}
	})
}

// TestVersionsAreForgotten: a service that was not heard for a month makes room,
// and a clock that was ahead does not deafen for ever.
func TestVersionsAreForgotten(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, dir, false)
		l.Seen("gone", "1", time.Now(), time.Now())
		<-time.After(20 * 24 * time.Hour)
		l.Seen("here", "1", time.Now(), time.Now())
		<-time.After(11 * 24 * time.Hour)
		l.Seen("here", "1", time.Now(), time.Now())
		<-time.After(time.Hour)
		if got := l.Stats().Services; got != 1 {
			t.Errorf("got %d services, want the one that is heard", got)
		}
		ahead := time.Now().Add(100 * time.Hour)
		l.Seen("here", "1", ahead, ahead)
		l.stop()
		l = begin(t, dir, false)
		<-time.After(time.Minute)
		l.Seen("here", "2", time.Now(), time.Now())
		synctest.Wait()
		l.stop()
		if len(l.told) != 1 {
			t.Errorf("after a clock that was ahead: got %+v, want the release", l.told)
		}
	})
}

// someVersions is what is kept of a little.
func someVersions(t testing.TB) []byte {
	t.Helper()
	dir := t.TempDir()
	v := NewVersions(nil, VersionOptions{Dir: dir})
	at := time.Unix(1e9, 0)
	v.Seen("cart", "1", at, at)
	v.Seen("cart", "2", at.Add(time.Minute), at.Add(time.Minute))
	v.Seen("pay", "7", at, at)
	v.opts.Clock = func() time.Time { return at.Add(time.Hour) }
	v.keep()
	data, err := os.ReadFile(filepath.Join(dir, versionsFile))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestLostVersions learns anew where the state cannot be read, and says so.
func TestLostVersions(t *testing.T) {
	good := string(someVersions(t))
	for name, bad := range map[string]string{
		"cut short":              good[:len(good)-2],
		"nothing":                "",
		"of a future":            strings.Replace(good, `"version":1`, `"version":2`, 1),
		"a service without name": strings.Replace(good, `"service":"pay"`, `"service":""`, 1),
		"a service of all":       strings.Replace(good, `"service":"pay"`, `"service":"*"`, 1),
		"no versions":            strings.Replace(good, `"seen":{"7":`, `"seen":{},"else":{"7":`, 1),
		"a long version":         strings.Replace(good, `"seen":{"7":`, `"seen":{"`+strings.Repeat("7", 257)+`":`, 1),
		"no time":                strings.Replace(good, `"newest":"2001`, `"newest":"0001-01-01T00:00:00Z","else":"`, 1),
		"a release of nobody":    strings.Replace(good, `"waits":[{"service":"cart"`, `"waits":[{"service":""`, 1),
		"too many releases":      strings.Replace(good, `"waits":[`, `"waits":[`+strings.Repeat(`{},`, 300), 1),
	} {
		t.Run(name, func(t *testing.T) {
			if bad == good {
				t.Fatal("nothing was spoiled")
			}
			dir := t.TempDir()
			path := filepath.Join(dir, versionsFile)
			if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			v := NewVersions(nil, VersionOptions{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if got := v.Stats().Services; got != 0 || len(v.waits) != 0 || !strings.Contains(log.String(), "learnt anew") {
				t.Errorf("got %d services and said %q, want none and a word on what is lost", got, log.String())
			}
			v.Seen("cart", "1", time.Now(), time.Now())
			v.keep()
			if again := NewVersions(nil, VersionOptions{Dir: dir}); again.Stats().Services != 1 {
				t.Error("what is kept after that cannot be read either")
			}
		})
	}
}

func FuzzTakeUpVersions(f *testing.F) {
	good := someVersions(f)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte(`{"version":1,"services":[{"service":"a","current":"1","newest":"9999-12-31T23:59:59Z","seen":{"1":"0001-01-01T00:00:00Z"},"released":["2001-01-01T00:00:00Z"]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		now := time.Unix(2e9, 0)
		v := NewVersions(nil, VersionOptions{Clock: func() time.Time { return now }})
		if err := v.takeUp(data); err != nil {
			if heal.KindOf(err) != heal.Invalid {
				t.Errorf("error of kind %s: %v", heal.KindOf(err), err)
			}
			if len(v.known)+len(v.waits) != 0 {
				t.Error("part of what cannot be read was taken up")
			}
			return
		}
		// Whatever was taken up can be gone on with, is bounded, and is kept so that it
		// can be taken up again.
		for service, k := range v.known {
			for i := range 2 * versionsOf {
				v.Seen(service, fmt.Sprint("x", i), now.Add(time.Duration(i)*time.Hour), now.Add(time.Duration(i)*time.Hour))
			}
			if len(k.seen) > versionsOf || len(k.released) > maxMixed || len(v.waits) > waitingOf {
				t.Errorf("%q: %d versions, %d releases, %d wait", service, len(k.seen), len(k.released), len(v.waits))
			}
		}
		dir := t.TempDir()
		v.opts.Dir = dir
		v.keep()
		again := NewVersions(nil, VersionOptions{Dir: dir, Clock: v.opts.Clock})
		if len(again.known) != len(v.known) || len(again.waits) != len(v.waits) {
			t.Errorf("kept %d services and %d releases, taken up %d and %d", len(v.known), len(v.waits), len(again.known), len(again.waits))
		}
	})
}
