package http_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/action/actiontest"
	"github.com/homeostat/homeostat/internal/action/http"
	"github.com/homeostat/homeostat/internal/heal"
)

// server remembers what changed it.
type server struct {
	*httptest.Server
	mu   sync.Mutex
	took []string
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{}
	mux := nethttp.NewServeMux()
	mux.HandleFunc("/take", func(w nethttp.ResponseWriter, r *nethttp.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != nethttp.MethodGet {
			s.mu.Lock()
			s.took = append(s.took, fmt.Sprintf("%s %s key=%s auth=%s type=%s", r.Method, body, r.Header.Get("Idempotency-Key"), r.Header.Get("Authorization"), r.Header.Get("Content-Type")))
			s.mu.Unlock()
		}
		fmt.Fprint(w, `{"ok":true}`)
	})
	mux.HandleFunc("/status/{code}", func(w nethttp.ResponseWriter, r *nethttp.Request) {
		code, err := strconv.Atoi(r.PathValue("code"))
		if err != nil {
			panic(err)
		}
		w.WriteHeader(code)
	})
	mux.HandleFunc("/slow", func(_ nethttp.ResponseWriter, r *nethttp.Request) { <-r.Context().Done() })
	mux.HandleFunc("/big", func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		_, _ = io.WriteString(w, strings.Repeat("\xff", 3<<20)) // the client hangs up before the end
	})
	mux.HandleFunc("/to", func(w nethttp.ResponseWriter, r *nethttp.Request) {
		nethttp.Redirect(w, r, r.URL.Query().Get("url"), nethttp.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/hangup", func(nethttp.ResponseWriter, *nethttp.Request) { panic(nethttp.ErrAbortHandler) })
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *server) world() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.took...)
}

func call(act, url string, extra map[string]any) action.Call {
	params := map[string]any{"url": url}
	maps.Copy(params, extra)
	return action.Call{Key: heal.StepKey{Run: "r", Task: "t", Attempt: 1}, Action: act, Params: params}
}

func open(t *testing.T, opts http.Options) *http.Driver {
	t.Helper()
	d, err := http.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestContract(t *testing.T) {
	actiontest.Run(t, func(t *testing.T) actiontest.Subject {
		s := newServer(t)
		v, err := http.NewPreviewer(http.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return actiontest.Subject{
			Driver: open(t, http.Options{}), Previewer: v, World: s.world,
			Calls: []action.Call{
				call(http.Get, s.URL+"/take", nil),
				call(http.Request, s.URL+"/take", map[string]any{"body": "x"}),
				call(http.RequestIdempotent, s.URL+"/take", map[string]any{"method": "PUT", "json": map[string]any{"a": 1}}),
			},
			Slow: []action.Call{
				call(http.Get, s.URL+"/slow", nil),
				call(http.Request, s.URL+"/slow", nil),
			},
		}
	})
}

func TestSends(t *testing.T) {
	s := newServer(t)
	d := open(t, http.Options{Secret: func(_ context.Context, name string) (string, error) { return "Bearer of-" + name, nil }})
	got, err := d.Do(t.Context(), call(http.Request, s.URL+"/take", map[string]any{
		"method": "PATCH", "json": map[string]any{"n": 1}, "headers": map[string]any{"Authorization": "secret:shop"},
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"status": int64(200), "body": `{"ok":true}`, "json": map[string]any{"ok": true}, "truncated": false}
	if diff := cmp.Diff(got.Output, want); diff != "" {
		t.Errorf("output, got(-) want(+):\n%s", diff)
	}
	sent := []string{`PATCH {"n":1} key=r/t/1 auth=Bearer of-shop type=application/json`}
	if diff := cmp.Diff(s.world(), any(sent)); diff != "" {
		t.Errorf("sent, got(-) want(+):\n%s", diff)
	}
}

func TestAnswers(t *testing.T) {
	s := newServer(t)
	for _, tc := range []struct {
		name, path string
		read, once heal.Kind
	}{
		{"unavailable", "/status/503", heal.Transient, heal.Unknown},
		{"too many", "/status/429", heal.Transient, heal.Transient},
		{"not found", "/status/404", heal.NotFound, heal.NotFound},
		{"forbidden", "/status/403", heal.Denied, heal.Denied},
		{"conflict", "/status/409", heal.Conflict, heal.Conflict},
		{"bad request", "/status/400", heal.Invalid, heal.Invalid},
		{"hangs up", "/hangup", heal.Transient, heal.Unknown},
		{"too slow", "/slow", heal.Transient, heal.Unknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := open(t, http.Options{})
			for act, want := range map[string]heal.Kind{http.Get: tc.read, http.RequestIdempotent: tc.read, http.Request: tc.once} {
				_, err := d.Do(t.Context(), call(act, s.URL+tc.path, map[string]any{"timeout": "300ms"}))
				if !heal.Is(err, want) {
					t.Errorf("%s: got %v (%v), want kind %v", act, err, heal.KindOf(err), want)
				}
			}
		})
	}
	_, err := open(t, http.Options{}).Do(t.Context(), call(http.Get, s.URL+"/status/404", map[string]any{"expect_status": []any{"404", "2xx"}}))
	if err != nil {
		t.Errorf("an expected 404: %v", err)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = open(t, http.Options{}).Do(t.Context(), call(http.Request, "http://"+l.Addr().String()+"/hook?token=hush", nil))
	if !heal.Is(err, heal.Transient) {
		t.Errorf("got %v, want kind transient: nothing was sent", err)
	}
	if strings.Contains(err.Error(), "hush") {
		t.Errorf("the error tells the query: %v", err)
	}
}

func TestAnswerIsBounded(t *testing.T) {
	s := newServer(t)
	got, err := open(t, http.Options{}).Do(t.Context(), call(http.Get, s.URL+"/big", nil))
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := got.Output["body"].(string); len(body) > 3<<20 || got.Output["truncated"] != true {
		t.Errorf("got %d bytes, truncated %v, want 1 MiB of replaced bytes", len(body), got.Output["truncated"])
	}
}

func TestRedirects(t *testing.T) {
	s, other := newServer(t), newServer(t)
	d := open(t, http.Options{Allow: []string{s.URL}})
	if _, err := d.Do(t.Context(), call(http.Get, s.URL+"/to?url=/take", nil)); err != nil {
		t.Errorf("within the server: %v", err)
	}
	_, err := d.Do(t.Context(), call(http.Request, s.URL+"/to?url="+other.URL+"/take", nil))
	if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("to another server: got %v, want kind invalid with the reason", err)
	}
	if got := other.world(); !cmp.Equal(got, any([]string{})) {
		t.Errorf("the other server took %v", got)
	}
}

func TestAllowed(t *testing.T) {
	hooks := []string{"https://api.example.org/hooks/", "http://10.0.0.1:8080"}
	for _, tc := range []struct {
		name  string
		allow []string
		url   string
		want  bool
	}{
		{"loopback by default", nil, "http://127.0.0.1:1/", true},
		{"loopback by name", nil, "http://LocalHost:1/", true},
		{"loopback in IPv6", nil, "http://[::1]:1/", true},
		{"no other by default", nil, "http://169.254.169.254/latest", false},
		{"no lookalike by default", nil, "http://127.0.0.1.example.org/", false},
		{"below the path", hooks, "https://api.example.org/hooks/a?b=c", true},
		{"the path itself, port spelt out", hooks, "https://API.example.org:443/hooks", true},
		{"any path of a host", hooks, "http://10.0.0.1:8080/x/../y", true},
		{"beside the path", hooks, "https://api.example.org/hooksmith", false},
		{"out of the path", hooks, "https://api.example.org/hooks/../admin", false},
		{"out of the path, escaped", hooks, "https://api.example.org/hooks/%2e%2e/admin", false},
		{"out of the path, slash escaped", hooks, "https://api.example.org/hooks/..%2fadmin", false},
		{"another scheme", hooks, "http://api.example.org/hooks/a", false},
		{"another port", hooks, "http://10.0.0.1:8081/", false},
		{"loopback once others are named", hooks, "http://127.0.0.1/", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, err := http.NewPreviewer(http.Options{Allow: tc.allow})
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Preview(t.Context(), call(http.Get, tc.url, nil))
			if tc.want && err != nil || !tc.want && !heal.Is(err, heal.Denied) {
				t.Errorf("got %v, want allowed %v", err, tc.want)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	deep := any("x")
	for range 20_000 {
		deep = map[string]any{"x": deep}
	}
	d := open(t, http.Options{})
	const url = "http://127.0.0.1:1/"
	for _, tc := range []struct {
		name string
		call action.Call
		want string
	}{
		{"no scheme", call(http.Get, "127.0.0.1/x", nil), "http://"},
		{"file", call(http.Get, "file:///etc/passwd", nil), "http://"},
		{"user in the URL", call(http.Get, "http://me:hush@127.0.0.1/", nil), "user name"},
		{"10 MB of URL", call(http.Get, url+strings.Repeat("a", 10<<20), nil), "bytes long"},
		{"invalid UTF-8 and control", call(http.Get, "http://127.0.0.1/\xff\x00", nil), "control character"},
		{"reading method", call(http.Request, url, map[string]any{"method": "GET"}), http.Get},
		{"unknown method", call(http.Request, url, map[string]any{"method": "BREW"}), "POST, PUT"},
		{"two bodies", call(http.Request, url, map[string]any{"body": "x", "json": map[string]any{}}), "both"},
		{"10 MB of body", call(http.Request, url, map[string]any{"body": strings.Repeat("a", 10<<20)}), "bytes long"},
		{"not a status", call(http.Get, url, map[string]any{"expect_status": []any{"fine"}}), "200 or 2xx"},
		{"split header", call(http.Get, url, map[string]any{"headers": map[string]any{"X-A": "b\r\nX-C: d"}}), "control character"},
		{"header name", call(http.Get, url, map[string]any{"headers": map[string]any{"X A": "b"}}), "name of a header"},
		{"forged key", call(http.Request, url, map[string]any{"headers": map[string]any{"idempotency-key": "b"}}), "set by the driver"},
		{"number in a header", call(http.Get, url, map[string]any{"headers": map[string]any{"X": 1}}), "expected a string"},
		{"secret without a keeper", call(http.Get, url, map[string]any{"headers": map[string]any{"X": "secret:a"}}), "no secrets"},
		{"zero timeout", call(http.Get, url, map[string]any{"timeout": "0s"}), "zero"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := d.Do(t.Context(), tc.call)
			if !heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %.300v, want kind invalid with %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "hush") || len(err.Error()) > 1000 {
				t.Errorf("the error tells too much: %.300v", err)
			}
		})
	}
	if _, err := d.Do(t.Context(), call(http.Request, url, map[string]any{"json": map[string]any{"deep": deep}})); err == nil {
		t.Error("deeply nested body to nobody: got no error")
	}
	if _, err := http.New(http.Options{Allow: []string{"example.org"}}); !heal.Is(err, heal.Invalid) {
		t.Errorf("allowed URL without scheme: got %v, want kind invalid", err)
	}
}

func TestSecretsFailClosed(t *testing.T) {
	s := newServer(t)
	for name, secret := range map[string]func(context.Context, string) (string, error){
		"missing": func(context.Context, string) (string, error) {
			return "", heal.Errorf(heal.NotFound, "secret", "there is none")
		},
		"broken": func(context.Context, string) (string, error) { return "hush\r\nX: y", nil },
		"failing": func(context.Context, string) (string, error) {
			return "", errors.New("vault is sealed")
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, http.Options{Secret: secret}).Do(t.Context(), call(http.Request, s.URL+"/take", map[string]any{"headers": map[string]any{"X": "secret:a"}}))
			if err == nil || strings.Contains(err.Error(), "hush") {
				t.Errorf("got %v, want an error that tells no secret", err)
			}
		})
	}
	if got := s.world(); !cmp.Equal(got, any([]string{})) {
		t.Errorf("the server took %v", got)
	}
}

func FuzzAllowed(f *testing.F) {
	f.Add("https://api.example.org/hooks/%2e%2e/x")
	f.Add("http://\xff")
	v, err := http.NewPreviewer(http.Options{Allow: []string{"https://api.example.org/hooks"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, url string) {
		_, err := v.Preview(context.Background(), call(http.Get, url, nil))
		if err == nil && !strings.HasPrefix(strings.ToLower(url), "https://api.example.org") {
			t.Errorf("%q was allowed", url)
		}
	})
}

func TestDeadlineOfTheCallWins(t *testing.T) {
	s := newServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := open(t, http.Options{}).Do(ctx, call(http.Get, s.URL+"/slow", nil)); !heal.Is(err, heal.Transient) {
		t.Errorf("got %v, want kind transient", err)
	}
}
