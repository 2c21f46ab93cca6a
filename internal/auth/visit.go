package auth

import (
	"context"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// RolesOf are the roles that groups stand for, without those that another of
// them contains: who is in the groups of viewers and of operators is an operator.
func RolesOf(groups []string, stand map[string]Role) []Role {
	var all []Role
	for _, r := range Roles() {
		if slices.ContainsFunc(groups, func(g string) bool { return stand[g] == r }) {
			all = append(all, r)
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(r Role) bool {
		return slices.ContainsFunc(all, func(other Role) bool { return other != r && other.contains(r) })
	})
}

// contains reports whether the role allows whatever the other does.
func (r Role) contains(other Role) bool {
	mine := r.Verbs()
	return !slices.ContainsFunc(other.Verbs(), func(v Verb) bool { return !slices.Contains(mine, v) })
}

// visitLabel marks the tokens of visits.
const visitLabel = "session of the page"

// Visit makes a token for somebody whom others vouch for, good until a time. A
// principal is what it is here, whatever the roles. Anybody else is a guest for
// as long as the visits last, with the roles, everywhere, as of the newest
// visit; without any they are nobody, kind NotFound, and earlier visits end.
func (a *Accounts) Visit(ctx context.Context, name string, roles []Role, until time.Time) (string, error) {
	op := "let " + name + " in"
	now := a.now()
	if !until.After(now) {
		return "", heal.Errorf(heal.Invalid, op, "the visit would end at %s, which is past", until.Format(time.RFC3339))
	}
	token, err := makeToken(name, a.entropy)
	if err != nil {
		return "", err
	}
	if err := validName(name); err != nil {
		return "", heal.Errorf(heal.NotFound, op, "%w", err)
	}
	kept := keep(token, visitLabel, now, until, a.entropy)
	known := true
	err = a.store.Update(ctx, func(tx store.Tx) error {
		known = true
		was, err := AccountKind.Get(tx, name)
		switch {
		case heal.Is(err, heal.NotFound):
			was = store.Stored[Account]{Value: Account{Name: name, Created: now, Guest: true}, Revision: store.Absent}
		case err != nil:
			return err
		}
		account := &was.Value
		if account.Guest {
			if known = len(roles) > 0; !known && was.Revision == store.Absent {
				return nil
			}
			if !known {
				return tx.Delete(store.Principals, name)
			}
			account.Grants = nil
			for _, r := range roles {
				account.Grants = append(account.Grants, Grant{Role: r})
			}
		}
		account.admit(kept, now)
		_, err = AccountKind.Put(tx, account, was.Revision)
		return err
	})
	if err != nil {
		return "", heal.Wrap(op, err)
	}
	if !known {
		return "", heal.Errorf(heal.NotFound, op, "no principal has that name, and no group of theirs a role")
	}
	return token, nil
}

// admit adds the token of a visit. Too many make the oldest visit end: people
// must be able to come in.
func (a *Account) admit(kept Token, now time.Time) {
	a.Tokens = slices.DeleteFunc(a.Tokens, func(t Token) bool { return t.expired(now) })
	if len(a.Tokens) >= maxTokens {
		if i := slices.IndexFunc(a.Tokens, func(t Token) bool { return t.Label == visitLabel }); i >= 0 {
			a.Tokens = slices.Delete(a.Tokens, i, i+1)
		}
	}
	a.Tokens = append(a.Tokens, kept)
}

// Leave ends the visit of a token. A guest is forgotten with the last one. A
// token that is not known is left at that.
func (a *Accounts) Leave(ctx context.Context, token string) error {
	name, ok := nameOf(token)
	if !ok {
		return nil
	}
	return heal.Wrap("end the visit of "+name, a.store.Update(ctx, func(tx store.Tx) error {
		was, err := AccountKind.Get(tx, name)
		if heal.Is(err, heal.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		account := &was.Value
		found, ok := match(account.Tokens, token)
		if !ok {
			return nil
		}
		now := a.now()
		account.Tokens = slices.DeleteFunc(account.Tokens, func(t Token) bool { return t.ID == found.ID || account.Guest && t.expired(now) })
		if account.Guest && len(account.Tokens) == 0 {
			return tx.Delete(store.Principals, name)
		}
		_, err = AccountKind.Put(tx, account, was.Revision)
		return err
	}))
}
