// Package auth says who somebody is and what they may do: principals with roles
// per scope, their tokens, the gate in front of the API, and the secrets of
// webhooks.
//
// Its one invariant: a secret is shown once, when it is made; what is stored is
// a hash that cannot be turned back. It is not for whether an action is safe
// (see guard) nor for the record of who did what (see audit).
package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// Role is a bundle of verbs.
type Role string

// The roles. Approver and operator do not contain each other, so that asking and
// answering can be kept apart.
const (
	Viewer   Role = "viewer"   // sees everything
	Operator Role = "operator" // sees and acts: alerts, runs, playbooks, kill switches
	Approver Role = "approver" // sees and answers approvals
	Admin    Role = "admin"    // everything, principals and configuration too
	Sender   Role = "sender"   // only hands in telemetry and alerts; for machines
)

// Verb is something one may be allowed to do.
type Verb string

// The verbs.
const (
	Send       Verb = "send"       // hand in telemetry and alerts
	Read       Verb = "read"       // see
	Operate    Verb = "operate"    // act
	Approve    Verb = "approve"    // answer an approval
	Administer Verb = "administer" // change principals and configuration
)

// Roles lists every role, the least first.
func Roles() []Role { return []Role{Sender, Viewer, Approver, Operator, Admin} }

// Verbs lists what the role allows; nothing for a role that does not exist.
func (r Role) Verbs() []Verb {
	switch r {
	case Sender:
		return []Verb{Send}
	case Viewer:
		return []Verb{Read}
	case Operator:
		return []Verb{Read, Operate, Send}
	case Approver:
		return []Verb{Read, Approve}
	case Admin:
		return []Verb{Send, Read, Operate, Approve, Administer}
	}
	return nil
}

// Validate refuses roles that do not exist.
func (r Role) Validate() error {
	if r.Verbs() == nil {
		return heal.Errorf(heal.Invalid, "role", "%q is none of %s", string(r), join(Roles()))
	}
	return nil
}

// Grant gives a role within a scope; the zero scope is the whole installation.
type Grant struct {
	Role  Role       `json:"role"`
	Scope heal.Scope `json:"scope"`
}

// Principal is an authenticated person or machine.
type Principal struct {
	Name   string
	Grants []Grant
}

// Can is nil if the principal may do the verb everywhere in the scope, else an
// error of kind Denied that names the roles which may.
func (p Principal) Can(verb Verb, scope heal.Scope) error {
	for _, g := range p.Grants {
		if slices.Contains(g.Role.Verbs(), verb) && g.Scope.Contains(scope) {
			return nil
		}
	}
	var need []Role
	for _, r := range Roles() {
		if slices.Contains(r.Verbs(), verb) {
			need = append(need, r)
		}
	}
	return heal.Errorf(heal.Denied, string(verb), "%s may not %s in %s; that needs the role %s there",
		p.Name, verb, place(scope), join(need))
}

// Scopes lists where the principal may do the verb, for narrowing lists.
func (p Principal) Scopes(verb Verb) []heal.Scope {
	var scopes []heal.Scope
	for _, g := range p.Grants {
		if slices.Contains(g.Role.Verbs(), verb) {
			scopes = append(scopes, g.Scope)
		}
	}
	return scopes
}

// Names are those the principal may answer questions under: its own, unless it
// reads as a role, and the roles it holds in the scope. An admin holds them all.
func (p Principal) Names(scope heal.Scope) []string {
	var names []string
	if Role(p.Name).Validate() != nil {
		names = append(names, p.Name)
	}
	for _, g := range p.Grants {
		switch {
		case !g.Scope.Contains(scope):
		case g.Role == Admin:
			for _, r := range Roles() {
				names = append(names, string(r))
			}
		default:
			names = append(names, string(g.Role))
		}
	}
	return names
}

func place(s heal.Scope) string {
	if s == (heal.Scope{}) {
		return "the whole installation"
	}
	return s.String()
}

func join(roles []Role) string {
	var b strings.Builder
	for i, r := range roles {
		switch {
		case i > 0 && i == len(roles)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		fmt.Fprint(&b, string(r))
	}
	return b.String()
}

type contextKey struct{}

// With gives ctx the principal who asks.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From gives the principal who asks; false if nobody was authenticated.
func From(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(contextKey{}).(Principal)
	return p, ok
}

// Can asks for the principal of ctx; without one the answer is Denied.
func Can(ctx context.Context, verb Verb, scope heal.Scope) error {
	p, ok := From(ctx)
	if !ok {
		return heal.Errorf(heal.Denied, string(verb), "nobody is authenticated; send a token")
	}
	return p.Can(verb, scope)
}
