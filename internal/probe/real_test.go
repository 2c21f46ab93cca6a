package probe_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/probe"
)

// once makes one probe and gives its error text, "" if all is well.
func once(t *testing.T, c probe.Config) string {
	t.Helper()
	c.Name, c.Entity = "m", "service/cart"
	s, err := probe.New(probe.Options{Monitors: []probe.Config{c}, Sink: ignore})
	if err != nil {
		t.Fatal(err)
	}
	state, err := s.CheckNow(t.Context(), "m")
	if err != nil {
		t.Fatal(err)
	}
	if state.OK() != (state.LastError == "") {
		t.Errorf("state: got OK %t with error %q", state.OK(), state.LastError)
	}
	return state.LastError
}

func check(t *testing.T, got, want string) {
	t.Helper()
	if (want == "") != (got == "") || !strings.Contains(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHTTP(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "status: green, token %s, host %s", r.Header.Get("X-Token"), r.Host)
	})
	mux.HandleFunc("/busy", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	mux.HandleFunc("/hops/{n}", func(w http.ResponseWriter, r *http.Request) {
		if n, _ := strconv.Atoi(r.PathValue("n")); n > 0 {
			http.Redirect(w, r, fmt.Sprintf("/hops/%d", n-1), http.StatusFound)
		}
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("green"))
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	plain := httptest.NewServer(mux)
	defer plain.Close()
	secure := httptest.NewUnstartedServer(mux)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of every refused handshake
	secure.StartTLS()
	defer secure.Close()
	gone := httptest.NewServer(mux)
	gone.Close()

	for _, tc := range []struct {
		name string
		http probe.HTTP
		want string // in the error; empty: well
	}{
		{"well", probe.HTTP{URL: plain.URL + "/ok"}, ""},
		{"HEAD", probe.HTTP{URL: plain.URL + "/ok", Method: "HEAD"}, ""},
		{"status not wanted", probe.HTTP{URL: plain.URL + "/busy"}, "answered with status 503"},
		{"status wanted", probe.HTTP{URL: plain.URL + "/busy", Statuses: []int{200, 503}}, ""},
		{"200 not wanted", probe.HTTP{URL: plain.URL + "/ok", Statuses: []int{204}}, "answered with status 200"},
		{"body matches", probe.HTTP{URL: plain.URL + "/ok", Body: `status: gr[ae]{0}e+n`}, ""},
		{"body does not match", probe.HTTP{URL: plain.URL + "/ok", Body: "red"}, `body does not match "red"`},
		{"header", probe.HTTP{URL: plain.URL + "/ok", Header: map[string]string{"X-Token": "t1", "Host": "shop"}, Body: "token t1, host shop"}, ""},
		{"three redirects", probe.HTTP{URL: plain.URL + "/hops/3"}, ""},
		{"four redirects", probe.HTTP{URL: plain.URL + "/hops/4"}, "redirects more than 3 times"},
		{"redirect wanted", probe.HTTP{URL: plain.URL + "/hops/9", Statuses: []int{302}}, ""},
		{"endless body", probe.HTTP{URL: plain.URL + "/endless", Body: "^green"}, ""},
		{"endless body without regex", probe.HTTP{URL: plain.URL + "/endless"}, ""},
		{"hanging", probe.HTTP{URL: plain.URL + "/hang"}, "no answer within 200ms"},
		{"unknown certificate", probe.HTTP{URL: secure.URL + "/ok"}, "certificate"},
		{"any certificate", probe.HTTP{URL: secure.URL + "/ok", SkipVerify: true}, ""},
		{"nobody there", probe.HTTP{URL: gone.URL + "/ok"}, "connection refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			timeout := 10 * time.Second
			if tc.name == "hanging" {
				timeout = 200 * time.Millisecond
			}
			check(t, once(t, probe.Config{HTTP: &tc.http, Timeout: timeout}), tc.want)
		})
	}
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	check(t, once(t, probe.Config{TCP: &probe.TCP{Address: address}}), "")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, once(t, probe.Config{TCP: &probe.TCP{Address: address}}), "connection refused")
}

// TestDetectionTime measures from the failing probe to the sink.
func TestDetectionTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	type seen struct {
		t  probe.Transition
		at time.Time
	}
	transitions := make(chan seen, 16)
	s, err := probe.New(probe.Options{
		Monitors: []probe.Config{{
			Name: "cart", Entity: "service/cart", TCP: &probe.TCP{Address: l.Addr().String()},
			Interval: probe.MinInterval, Failures: 1, Successes: 1,
		}},
		Sink: func(_ context.Context, tr probe.Transition) error {
			transitions <- seen{tr, time.Now()}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	if first := <-transitions; first.t.State.Status != probe.Up {
		t.Errorf("first: got %+v, want up", first.t)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	down := <-transitions
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: got %v", err)
	}
	if down.t.State.Status != probe.Down || down.t.From != probe.Up {
		t.Fatalf("got %+v, want up to down", down.t)
	}
	delay := down.at.Sub(down.t.State.CheckedAt)
	t.Logf("from the start of the failing probe to the sink: %s", delay)
	if delay > time.Second {
		t.Errorf("got %s, want milliseconds (1 s allowed on a busy machine)", delay)
	}
	if got := s.StatesOf("service/cart"); len(got) != 1 || got[0].LastError == "" {
		t.Errorf("StatesOf: got %+v", got)
	}
	if got, ok := s.State("nobody"); ok {
		t.Errorf("State of an unknown monitor: got %+v", got)
	}
}
