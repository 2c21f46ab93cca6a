package shop

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	open := func() *ledger {
		l, err := openLedger(path)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	for _, text := range []string{"", "paid", strings.Repeat("long", 100)} {
		if err := l.add(text); err != nil {
			t.Errorf("add %q: %v", text, err)
		}
	}
	if err := l.damage(); err != nil {
		t.Fatal(err)
	}
	if err := l.add("paid"); !errors.Is(err, errLedger) {
		t.Errorf("add to a damaged ledger: got %v", err)
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	l = open()
	if err := l.check(); !errors.Is(err, errLedger) {
		t.Errorf("after a restart: got %v, want it to be as damaged", err)
	}
	if err := errors.Join(l.repair(), l.check(), l.add("paid"), l.close()); err != nil {
		t.Errorf("repair: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || len(text) != 4*recordSize {
		t.Errorf("got %d bytes, %v, want the four records that are whole", len(text), err)
	}
	if err := os.WriteFile(path, []byte("half a rec"), 0o600); err != nil {
		t.Fatal(err)
	}
	l = open()
	if err := l.check(); !errors.Is(err, errLedger) {
		t.Errorf("half a record: got %v", err)
	}
	if err := errors.Join(l.repair(), l.check(), l.close()); err != nil {
		t.Errorf("repair half a record: %v", err)
	}
}

func TestSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "settings.json")
	good, bad, other := Settings{"EUR"}, Settings{"XTS"}, Settings{"USD"}
	open := func() *settings {
		s, err := openSettings(path, good)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	now := time.Unix(1000, 0)
	s := open()
	if err := s.rollBack(1, "k0", now); !errors.Is(err, errFirst) {
		t.Errorf("roll back of the first version: got %v", err)
	}
	if err := s.push(Settings{"eur"}, now); err == nil {
		t.Error("a value that is not well formed was taken")
	}
	if err := s.push(bad, now); err != nil {
		t.Fatal(err)
	}
	if err := s.rollBack(1, "k1", now); !errors.Is(err, errStale) {
		t.Errorf("roll back of a version not in force: got %v", err)
	}
	for range 2 { // the same key again does nothing
		if err := s.rollBack(2, "k2", now); err != nil {
			t.Fatal(err)
		}
		if got := s.standing(); got.Version != 3 || got.Value != good || got.Rollback.Refused != 2 || got.Rollback.Restored != 1 {
			t.Errorf("after the roll back: got %+v", got)
		}
	}
	s = open() // a restart forgets nothing
	if err := s.push(bad, now); !errors.Is(err, errRefused) {
		t.Errorf("the refused value pushed again: got %v", err)
	}
	if err := s.push(other, now); err != nil {
		t.Errorf("another value: %v", err)
	}
	if got := s.standing(); got.Version != 4 || got.Previous != 3 || got.Value != other {
		t.Errorf("got %+v, want version 4 before which 3 would be restored", got)
	}
	for n := range 3 * maxVersions {
		if err := s.push([]Settings{good, other}[n%2], now); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.Versions) > maxVersions {
		t.Errorf("%d versions are kept, at most %d should be", len(s.Versions), maxVersions)
	}
	for _, text := range []string{"", "{}", "[", `{"versions":[]}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openSettings(path, good); err == nil {
			t.Errorf("a file with %q was taken", text)
		}
	}
}

func TestSettingsOverHTTP(t *testing.T) {
	st := newStreet(t, "", io.Discard)
	pay := st.service("x-payment")
	pays := func(want int) {
		t.Helper()
		if status, text, _ := st.ask(http.MethodPost, pay.Listen, "/pay", ""); status != want {
			t.Errorf("pay: got %d %s, want %d", status, text, want)
		}
	}
	put := func(value string, want int) {
		t.Helper()
		if status, text, _ := st.ask(http.MethodPut, pay.Admin, "/settings", value); status != want {
			t.Errorf("put %s: got %d %s, want %d", value, status, text, want)
		}
	}
	pays(200)
	put(`{"currency":"XTS"}`, 200)
	pays(502)
	st.stop(pay.Name)
	st.start(pay.Name)
	if status, text, _ := st.ask(http.MethodPost, pay.Admin, "/settings/rollback", `{"version":9}`); status != 409 {
		t.Errorf("roll back of another version: got %d %s", status, text)
	}
	put(`{"currency":"?"}`, 400)
	put(`{"colour":"red"}`, 400)
}

func TestSwitchover(t *testing.T) {
	st := newStreet(t, "", io.Discard)
	front, pay := st.service("x-frontend"), st.service("x-payment")
	checkout := func(want int) {
		t.Helper()
		if status, text, _ := st.ask(http.MethodPost, front.Listen, "/checkout", ""); status != want {
			t.Errorf("checkout: got %d %s, want %d", status, text, want)
		}
	}
	turn := func(role, body string, want int) {
		t.Helper()
		if status, text, _ := st.ask(http.MethodPut, front.Admin, "/upstreams/"+role, body); status != want {
			t.Errorf("switch %s to %s: got %d %s, want %d", role, body, status, text, want)
		}
	}
	if status, text, _ := st.ask(http.MethodPost, pay.Admin, "/fault", `{"kind":"torn_write"}`); status != http.StatusNoContent {
		t.Fatalf("damage: got %d %s", status, text)
	}
	checkout(502)
	if status, _, _ := st.ask(http.MethodGet, pay.Listen, "/readyz", ""); status != http.StatusServiceUnavailable {
		t.Errorf("readyz of a damaged payment: got %d, want 503", status)
	}
	turn("payment", `{"active":"backup"}`, 200)
	checkout(200)
	turn("payment", `{"active":"third"}`, 400)
	turn("cart", `{"active":"backup"}`, 404)
	if _, text, _ := st.ask(http.MethodGet, front.Admin, "/upstreams/payment", ""); strings.TrimSpace(text) != `{"active":"backup"}` {
		t.Errorf("the switch says %s", text)
	}
	turn("payment", `{"active":"primary"}`, 200)
	checkout(502)
}

func TestSwitchboardOutlivesItsProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "upstreams.json")
	service := Service{Upstreams: map[Role]string{Payment: "http://a"}, Backups: map[Role]string{Payment: "http://b"}}
	open := func() *switchboard {
		b, err := openSwitchboard(service, path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if err := open().put(Payment, backup); err != nil {
		t.Fatal(err)
	}
	if got := open().url(Payment); got != "http://b" {
		t.Errorf("after a restart: got %s, want the backup", got)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openSwitchboard(service, path); err == nil {
		t.Error("a damaged file was taken")
	}
}

func TestMemoryLimit(t *testing.T) {
	used := int64(10)
	m := newMemory(20)
	m.used = func() (int64, bool) { return used, true }
	if err := m.room(); err != nil {
		t.Errorf("below the limit: %v", err)
	}
	used = 21
	if err := m.room(); !errors.Is(err, errMemory) {
		t.Errorf("above the limit: got %v", err)
	}
	m.used = func() (int64, bool) { return 0, false }
	if err := m.room(); err != nil {
		t.Errorf("where nothing is known: %v", err)
	}
	before, _ := resident()
	m.keep(64 << 20)
	if after, ok := resident(); ok && after < before+32<<20 {
		t.Errorf("resident memory went from %d to %d, want what is kept to be in it", before, after)
	}
}

// TestDesk holds the deadlock to what a deadlock is: nothing is answered, a
// graceful stop waits, and the watch tells of it.
func TestDesk(t *testing.T) {
	d := &desk{}
	if !d.enter() {
		t.Fatal("an open desk let nobody in")
	}
	d.leave()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan time.Duration, 100)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		d.watch(ctx, func(held time.Duration) { told <- held })
	}()
	d.jam(ctx)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		d.close()
	}()
	if held := <-told; held < patience {
		t.Errorf("told of a lock held %s, want no sooner than %s", held, patience)
	}
	select {
	case <-closed:
		t.Error("the desk was closed while its lock is held")
	default:
	}
	cancel() // nothing but the end of the process ends the real one
	<-closed
	<-watching
	if d.enter() {
		t.Error("a closed desk let somebody in")
	}
}

// TestStopEndsRequestsInFlight is what makes a restart a drain.
func TestStopEndsRequestsInFlight(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began, finish := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- serveHTTP(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(began)
			<-finish
			answer(w, "done")
		}))
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answered := make(chan bool, 1)
	go func() {
		resp, err := client.Get("http://" + l.Addr().String())
		if err != nil {
			answered <- false
			return
		}
		answered <- resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	}()
	<-began
	cancel()
	refused := func() bool {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	}
	for tick := time.Tick(time.Millisecond); !refused(); <-tick {
	}
	close(finish)
	if got := <-answered; !got {
		t.Error("the request in flight was not answered")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
