package auth_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
)

func TestFirstStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "operator-token")
	a := auth.New(open(t), auth.Options{})
	first := func() bool {
		t.Helper()
		made, err := auth.FirstStart(t.Context(), a, path)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	if !first() {
		t.Error("first start: made nobody")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("token file: got mode %v, %v, want 0600", info.Mode(), err)
	}
	token, err := auth.ReadToken(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Can(auth.Administer, heal.Scope{}); err != nil {
		t.Errorf("the first principal: got %v, want an admin", err)
	}
	if first() {
		t.Error("second start: made another principal")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if first() {
		t.Error("after the token was put away: made another principal")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("after the token was put away: the file is back")
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".token-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files left behind: %v, %v", left, err)
	}
}

// TestFirstStartAfterCrash: the file was written, the principal was not.
func TestFirstStartAfterCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "operator-token")
	token := "hst_installer." + strings.Repeat("A", 43)
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := auth.New(open(t), auth.Options{})
	if made, err := auth.FirstStart(t.Context(), a, path); !made || err != nil {
		t.Fatalf("got %v, %v, want the token of the file taken", made, err)
	}
	if p, err := a.Authenticate(t.Context(), token); err != nil || p.Name != "installer" {
		t.Errorf("got %v, %v, want installer", p, err)
	}
}

func TestFirstStartOfManyServers(t *testing.T) {
	db := open(t)
	path := filepath.Join(t.TempDir(), "operator-token")
	var wait sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for range 8 {
		wait.Go(func() {
			ok, err := auth.FirstStart(t.Context(), auth.New(db, auth.Options{}), path)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if ok {
				made++
			}
		})
	}
	wait.Wait()
	if made != 1 {
		t.Errorf("got %d servers that made the first principal, want 1", made)
	}
	token, err := auth.ReadToken(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := auth.New(db, auth.Options{}).Authenticate(t.Context(), token); err != nil {
		t.Errorf("the token in the file: %v", err)
	}
}

func TestReadTokenRefuses(t *testing.T) {
	good := "hst_alice." + strings.Repeat("A", 43)
	tests := []struct {
		name, text string
		mode       os.FileMode
		want       heal.Kind
	}{
		{"readable by others", good, 0o644, heal.Denied},
		{"empty", "", 0o600, heal.Invalid},
		{"something else", "password", 0o600, heal.Invalid},
		{"more than a token", good + "\n" + good, 0o600, heal.Invalid},
		{"huge", strings.Repeat("x", 1<<20), 0o600, heal.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(path, []byte(tt.text), tt.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := auth.ReadToken(path); !heal.Is(err, tt.want) {
				t.Errorf("got %v, want kind %s", err, tt.want)
			}
			if made, err := auth.FirstStart(t.Context(), auth.New(open(t), auth.Options{}), path); made || err == nil {
				t.Errorf("FirstStart with that file: got %v, %v, want an error", made, err)
			}
		})
	}
	if _, err := auth.ReadToken(filepath.Join(t.TempDir(), "none")); !heal.Is(err, heal.NotFound) {
		t.Errorf("no file: got %v, want kind not_found", err)
	}
}
