package auth

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// firstName is the principal that the first start makes.
const firstName = "operator"

// FirstStart gives an installation without any principal its first one, an
// admin, whose token is in the file at path, readable by its owner only. It
// reports whether it did; with a principal there it does nothing.
//
// The file is complete before its token is good, and a file that is there is
// taken as it is. So a crash between the two is made up for by the next start,
// several servers that start at once agree, and whoever installs may bring a
// token.
func FirstStart(ctx context.Context, a *Accounts, path string) (bool, error) {
	const op = "make the first operator"
	there, err := a.any(ctx)
	if err != nil || there {
		return false, heal.Wrap(op, err)
	}
	token, err := a.firstToken(path)
	if err != nil {
		return false, heal.Wrap(op, err)
	}
	name, _ := nameOf(token)
	account, err := a.account(name, []Grant{{Role: Admin}})
	if err != nil {
		return false, heal.Wrap(op, err)
	}
	account.Tokens = []Token{keep(token, "first start", a.now(), time.Time{}, a.entropy)}
	made := false
	err = a.store.Update(ctx, func(tx store.Tx) error {
		n, err := tx.Count(store.Principals)
		if made = err == nil && n == 0; !made {
			return err
		}
		_, err = AccountKind.Put(tx, &account, store.Absent)
		return err
	})
	return made && err == nil, heal.Wrap(op, err)
}

func (a *Accounts) any(ctx context.Context) (bool, error) {
	var n int64
	err := a.store.View(ctx, func(r store.Reader) (err error) {
		n, err = r.Count(store.Principals)
		return err
	})
	return n > 0, err
}

// firstToken gives the token in the file, which it makes if there is none.
func (a *Accounts) firstToken(path string) (string, error) {
	token, err := ReadToken(path)
	if !heal.Is(err, heal.NotFound) {
		return token, err
	}
	token, err = makeToken(firstName, a.entropy)
	if err != nil {
		return "", err
	}
	err = writeNew(path, token+"\n")
	if errors.Is(err, fs.ErrExist) {
		return ReadToken(path) // another server was faster
	}
	if err != nil {
		return "", heal.Errorf(heal.Invalid, "write token "+path, "%w", err)
	}
	return token, nil
}

// ReadToken reads a token file. It refuses one that others can read: its token
// is as good as published.
func ReadToken(path string) (string, error) {
	op := "read token " + path
	f, err := os.Open(path)
	if err != nil {
		kind := heal.Invalid
		if errors.Is(err, fs.ErrNotExist) {
			kind = heal.NotFound
		}
		return "", heal.Errorf(kind, op, "%w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", heal.Errorf(heal.Transient, op, "%w", err)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return "", heal.Errorf(heal.Denied, op, "its mode is %#o, so others can reach it; make it 0600 and revoke the token", info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxToken+2))
	if err != nil {
		return "", heal.Errorf(heal.Transient, op, "%w", err)
	}
	token := strings.TrimSpace(string(text))
	if _, ok := nameOf(token); !ok {
		return "", heal.Errorf(heal.Invalid, op, "it does not hold a token of the form hst_name.secret")
	}
	return token, nil
}

// writeNew puts a new file in place whole or not at all, durably. A file that is
// there already is left alone: fs.ErrExist.
func writeNew(path, text string) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".token-*") // mode 0600 from the start
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link never replaces what is there.
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
