package auth

import (
	"context"
	"crypto/rand"
	"io"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Account is a principal as it is stored.
type Account struct {
	Name    string    `json:"name"`
	Grants  []Grant   `json:"grants"`
	Tokens  []Token   `json:"tokens"`
	Created time.Time `json:"created"`
	Guest   bool      `json:"guest,omitempty"` // made by Visit: what it may do, others say at each visit
}

// AccountKind stores accounts.
var AccountKind = store.Kind[Account]{
	Table: store.Principals, Version: 1,
	Key: func(a *Account) string { return a.Name },
}

// maxTokens is how many tokens one principal may hold; expired ones go when
// another is made.
const maxTokens = 50

// Options of Accounts.
type Options struct {
	Now     func() time.Time // time.Now if nil
	Entropy io.Reader        // crypto/rand.Reader if nil
}

// Accounts knows the principals of an installation.
type Accounts struct {
	store   store.Store
	now     func() time.Time
	entropy io.Reader
}

// New makes Accounts on the store.
func New(s store.Store, o Options) *Accounts {
	a := &Accounts{store: s, now: o.Now, entropy: o.Entropy}
	if a.now == nil {
		a.now = time.Now
	}
	if a.entropy == nil {
		a.entropy = rand.Reader
	}
	return a
}

// Authenticate gives the principal whose token it is. Every token that is not
// good gets the same error of kind Denied, whatever is wrong with it.
func (a *Accounts) Authenticate(ctx context.Context, token string) (Principal, error) {
	refused := heal.Errorf(heal.Denied, "authenticate", "the token is not known, was revoked, or has expired")
	name, ok := nameOf(token)
	if !ok {
		return Principal{}, refused
	}
	var account Account
	err := a.store.View(ctx, func(r store.Reader) error {
		got, err := AccountKind.Get(r, name)
		account = got.Value
		return err
	})
	if err != nil && !heal.Is(err, heal.NotFound) {
		return Principal{}, heal.Wrap("authenticate", err)
	}
	// Without an account there are no tokens to match: the same way out.
	kept, ok := match(account.Tokens, token)
	if !ok || kept.expired(a.now()) {
		return Principal{}, refused
	}
	return Principal{Name: account.Name, Grants: account.Grants}, nil
}

// Create makes a principal without tokens; kind Conflict if the name is taken,
// unless by a guest, whose visits end with it.
func (a *Accounts) Create(ctx context.Context, name string, grants []Grant) error {
	account, err := a.account(name, grants)
	if err != nil {
		return err
	}
	return heal.Wrap("create principal "+name, a.store.Update(ctx, func(tx store.Tx) error {
		expect := store.Absent
		if was, err := AccountKind.Get(tx, name); err == nil && was.Value.Guest {
			expect = was.Revision
		}
		_, err := AccountKind.Put(tx, &account, expect)
		return err
	}))
}

// Grant replaces what a principal may do. A guest becomes a principal by it.
func (a *Accounts) Grant(ctx context.Context, name string, grants []Grant) error {
	if err := validGrants(grants); err != nil {
		return err
	}
	return a.change(ctx, "grant to "+name, name, func(account *Account) error {
		account.Grants, account.Guest = grants, false
		return nil
	})
}

// IssueToken makes another token for the principal. What it gives is the only
// copy. A zero expiry means never.
func (a *Accounts) IssueToken(ctx context.Context, name, label string, expires time.Time) (token string, kept Token, err error) {
	op := "issue token for " + name
	now := a.now()
	if !expires.IsZero() && !expires.After(now) {
		return "", Token{}, heal.Errorf(heal.Invalid, op, "it would expire at %s, which is past", expires.Format(time.RFC3339))
	}
	if len(label) > 200 {
		return "", Token{}, heal.Errorf(heal.Invalid, op, "the label is %d bytes long, at most 200 are taken", len(label))
	}
	token, err = makeToken(name, a.entropy)
	if err != nil {
		return "", Token{}, err
	}
	kept = keep(token, label, now, expires, a.entropy)
	err = a.change(ctx, op, name, func(account *Account) error {
		account.Tokens = slices.DeleteFunc(account.Tokens, func(t Token) bool { return t.expired(now) })
		if len(account.Tokens) >= maxTokens {
			return heal.Errorf(heal.Conflict, op, "there are %d tokens already; revoke one first", maxTokens)
		}
		account.Tokens = append(account.Tokens, kept)
		return nil
	})
	if err != nil {
		return "", Token{}, err
	}
	return token, kept, nil
}

// RevokeToken makes a token useless at once.
func (a *Accounts) RevokeToken(ctx context.Context, name, id string) error {
	op := "revoke token " + id
	return a.change(ctx, op, name, func(account *Account) error {
		left := slices.DeleteFunc(slices.Clone(account.Tokens), func(t Token) bool { return t.ID == id })
		if len(left) == len(account.Tokens) {
			return heal.Errorf(heal.NotFound, op, "%s has no such token", name)
		}
		account.Tokens = left
		return nil
	})
}

// Remove deletes a principal with all tokens.
func (a *Accounts) Remove(ctx context.Context, name string) error {
	return heal.Wrap("remove principal "+name, a.store.Update(ctx, func(tx store.Tx) error {
		return tx.Delete(store.Principals, name)
	}))
}

// List gives every account by name. The hashes in it are not secret, yet there
// is no reason to show them.
func (a *Accounts) List(ctx context.Context) ([]Account, error) {
	var accounts []Account
	err := a.store.View(ctx, func(r store.Reader) error {
		stored, err := AccountKind.All(r, store.Query{})
		accounts = make([]Account, 0, len(stored))
		for _, s := range stored {
			accounts = append(accounts, s.Value)
		}
		return err
	})
	return accounts, heal.Wrap("list principals", err)
}

func (a *Accounts) account(name string, grants []Grant) (Account, error) {
	if err := validName(name); err != nil {
		return Account{}, err
	}
	if err := validGrants(grants); err != nil {
		return Account{}, err
	}
	return Account{Name: name, Grants: grants, Created: a.now()}, nil
}

// change rewrites one account in a transaction.
func (a *Accounts) change(ctx context.Context, op, name string, f func(*Account) error) error {
	return heal.Wrap(op, a.store.Update(ctx, func(tx store.Tx) error {
		got, err := AccountKind.Get(tx, name)
		if err != nil {
			return err
		}
		if err := f(&got.Value); err != nil {
			return err
		}
		_, err = AccountKind.Put(tx, &got.Value, got.Revision)
		return err
	}))
}

func validGrants(grants []Grant) error {
	if len(grants) == 0 || len(grants) > 100 {
		return heal.Errorf(heal.Invalid, "grants", "there are %d, expected 1 to 100", len(grants))
	}
	for _, g := range grants {
		if err := g.Role.Validate(); err != nil {
			return err
		}
	}
	return nil
}
