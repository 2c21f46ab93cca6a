package auth_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
	"github.com/homeostat/homeostat/internal/store/storetest"
)

var rewrite = flag.Bool("rewrite", false, "write the samples of stored forms anew")

func TestStoredForm(t *testing.T) { storetest.Golden(t, auth.AccountKind, "testdata", *rewrite) }

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that tests move by hand.
type clock struct{ now time.Time }

func open(t *testing.T) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "store.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func accounts(t *testing.T, c *clock) *auth.Accounts {
	t.Helper()
	return auth.New(open(t), auth.Options{Now: func() time.Time { return c.now }})
}

func issue(t *testing.T, a *auth.Accounts, name string, expires time.Time) (string, auth.Token) {
	t.Helper()
	token, kept, err := a.IssueToken(t.Context(), name, "test", expires)
	if err != nil {
		t.Fatal(err)
	}
	return token, kept
}

func TestTokenLife(t *testing.T) {
	c := &clock{start}
	a := accounts(t, c)
	grants := []auth.Grant{{Role: auth.Operator, Scope: heal.DefaultScope}}
	if err := a.Create(t.Context(), "alice@example.com", grants); err != nil {
		t.Fatal(err)
	}
	forever, kept := issue(t, a, "alice@example.com", time.Time{})
	short, _ := issue(t, a, "alice@example.com", start.Add(time.Hour))

	for _, token := range []string{forever, short} {
		got, err := a.Authenticate(t.Context(), token)
		want := auth.Principal{Name: "alice@example.com", Grants: grants}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Authenticate: %v (-want +got):\n%s", err, diff)
		}
	}

	denied := func(what, token string) {
		t.Helper()
		if p, err := a.Authenticate(t.Context(), token); !heal.Is(err, heal.Denied) {
			t.Errorf("%s: got %v, %v, want kind denied", what, p, err)
		}
	}
	c.now = start.Add(time.Hour)
	denied("expired", short)
	changed := []byte(forever)
	changed[len(changed)-10] ^= 1
	denied("one bit changed", string(changed))
	denied("another name", strings.Replace(forever, "alice@", "bob@", 1))
	denied("empty", "")
	denied("huge", strings.Repeat("x", 10<<20))
	denied("invalid UTF-8", "hst_\xff\xfe."+forever[len(forever)-43:])

	if err := a.RevokeToken(t.Context(), "alice@example.com", kept.ID); err != nil {
		t.Fatal(err)
	}
	denied("revoked", forever)
	if err := a.RevokeToken(t.Context(), "alice@example.com", kept.ID); !heal.Is(err, heal.NotFound) {
		t.Errorf("revoked twice: got %v, want kind not_found", err)
	}

	again, _ := issue(t, a, "alice@example.com", time.Time{})
	if err := a.Remove(t.Context(), "alice@example.com"); err != nil {
		t.Fatal(err)
	}
	denied("of a removed principal", again)
}

func TestStoreHoldsNoSecret(t *testing.T) {
	db := open(t)
	a := auth.New(db, auth.Options{})
	if err := a.Create(t.Context(), "alice", []auth.Grant{{Role: auth.Viewer}}); err != nil {
		t.Fatal(err)
	}
	token, _ := issue(t, a, "alice", time.Time{})
	err := db.View(t.Context(), func(r store.Reader) error {
		rec, err := r.Get(store.Principals, "alice")
		_, secret, _ := strings.Cut(token, ".")
		if bytes.Contains(rec.Body, []byte(secret)) {
			t.Error("the stored principal contains the secret of its token")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestGrantsChange(t *testing.T) {
	a := accounts(t, &clock{start})
	if err := a.Create(t.Context(), "alice", []auth.Grant{{Role: auth.Viewer}}); err != nil {
		t.Fatal(err)
	}
	token, _ := issue(t, a, "alice", time.Time{})
	if err := a.Grant(t.Context(), "alice", []auth.Grant{{Role: auth.Approver}}); err != nil {
		t.Fatal(err)
	}
	p, err := a.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Can(auth.Approve, heal.DefaultScope); err != nil {
		t.Errorf("an approver: got %v, want no error", err)
	}
	list, err := a.List(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != "alice" || len(list[0].Tokens) != 1 {
		t.Errorf("List: got %v, %v, want alice with one token", list, err)
	}
}

func TestAccountsRefuse(t *testing.T) {
	at := &clock{start}
	a := accounts(t, at)
	viewer := []auth.Grant{{Role: auth.Viewer}}
	if err := a.Create(t.Context(), "alice", viewer); err != nil {
		t.Fatal(err)
	}
	issueErr := func(name, label string, expires time.Time) error {
		_, _, err := a.IssueToken(t.Context(), name, label, expires)
		return err
	}
	tests := []struct {
		name string
		err  error
		want heal.Kind
	}{
		{"name taken", a.Create(t.Context(), "alice", viewer), heal.Conflict},
		{"no name", a.Create(t.Context(), "", viewer), heal.Invalid},
		{"long name", a.Create(t.Context(), strings.Repeat("a", 65), viewer), heal.Invalid},
		{"name with a slash", a.Create(t.Context(), "a/b", viewer), heal.Invalid},
		{"name in invalid UTF-8", a.Create(t.Context(), "a\xff", viewer), heal.Invalid},
		{"no grants", a.Create(t.Context(), "bob", nil), heal.Invalid},
		{"unknown role", a.Create(t.Context(), "bob", []auth.Grant{{Role: "root"}}), heal.Invalid},
		{"unknown role later", a.Grant(t.Context(), "alice", []auth.Grant{{}}), heal.Invalid},
		{"grant to nobody", a.Grant(t.Context(), "bob", viewer), heal.NotFound},
		{"token for nobody", issueErr("bob", "", time.Time{}), heal.NotFound},
		{"token in the past", issueErr("alice", "", start), heal.Invalid},
		{"long label", issueErr("alice", strings.Repeat("x", 201), time.Time{}), heal.Invalid},
		{"remove nobody", a.Remove(t.Context(), "bob"), heal.NotFound},
	}
	for _, tt := range tests {
		if !heal.Is(tt.err, tt.want) {
			t.Errorf("%s: got %v, want kind %s", tt.name, tt.err, tt.want)
		}
	}
	for range 50 {
		if err := issueErr("alice", "", time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := issueErr("alice", "", time.Time{}); !heal.Is(err, heal.Conflict) {
		t.Errorf("token 51: got %v, want kind conflict", err)
	}
	if err := a.Create(t.Context(), "carol", viewer); err != nil {
		t.Fatal(err)
	}
	for i := range 51 { // each has expired when the next is made
		if err := issueErr("carol", "", at.now.Add(time.Second)); err != nil {
			t.Fatalf("token %d after expired ones: %v", i+1, err)
		}
		at.now = at.now.Add(time.Minute)
	}
}

// TestBrokenStoreIsNotDenied: people must not be told that their token is bad
// when it could not be looked up.
func TestBrokenStoreIsNotDenied(t *testing.T) {
	a := accounts(t, &clock{start})
	if err := a.Create(t.Context(), "alice", []auth.Grant{{Role: auth.Viewer}}); err != nil {
		t.Fatal(err)
	}
	token, _ := issue(t, a, "alice", time.Time{})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the store is gone"))
	if _, err := a.Authenticate(ctx, token); err == nil || heal.Is(err, heal.Denied) {
		t.Errorf("got %v, want an error that is not of kind denied", err)
	}
}

func FuzzAuthenticate(f *testing.F) {
	db, err := sqlite.Open(f.Context(), sqlite.Options{Path: filepath.Join(f.TempDir(), "store.db")})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	a := auth.New(db, auth.Options{})
	if err := a.Create(f.Context(), "alice", []auth.Grant{{Role: auth.Admin}}); err != nil {
		f.Fatal(err)
	}
	good, _, err := a.IssueToken(f.Context(), "alice", "", time.Time{})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "hst_", "hst_alice.", "hst_.", "hst_alice." + strings.Repeat("A", 43)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		_, err := a.Authenticate(t.Context(), token)
		if token != good && !heal.Is(err, heal.Denied) {
			t.Errorf("Authenticate(%q): got %v, want kind denied", token, err)
		}
	})
}
