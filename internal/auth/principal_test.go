package auth_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
)

func TestRoles(t *testing.T) {
	verbs := []auth.Verb{auth.Send, auth.Read, auth.Operate, auth.Approve, auth.Administer}
	tests := []struct {
		role auth.Role
		want string // one letter a verb, in the order above; - where it may not
	}{
		{auth.Sender, "s----"},
		{auth.Viewer, "-r---"},
		{auth.Approver, "-r-a-"},
		{auth.Operator, "sro--"},
		{auth.Admin, "sroaa"},
		{"", "-----"},
		{"root", "-----"},
	}
	for _, tt := range tests {
		p := auth.Principal{Name: "p", Grants: []auth.Grant{{Role: tt.role}}}
		got := ""
		for _, v := range verbs {
			if p.Can(v, heal.DefaultScope) == nil {
				got += string(v)[:1]
			} else {
				got += "-"
			}
		}
		if got != tt.want {
			t.Errorf("role %q: got %s, want %s", tt.role, got, tt.want)
		}
	}
}

func TestScopes(t *testing.T) {
	prod := heal.Scope{Tenant: "acme", Env: "prod"}
	cart := heal.Scope{Tenant: "acme", Env: "prod", Cluster: "eu", Service: "cart"}
	p := auth.Principal{Name: "alice", Grants: []auth.Grant{{Role: auth.Viewer}, {Role: auth.Operator, Scope: prod}}}
	tests := []struct {
		name  string
		verb  auth.Verb
		scope heal.Scope
		want  string // part of the refusal; "" if allowed
	}{
		{"within the scope", auth.Operate, cart, ""},
		{"the scope itself", auth.Operate, prod, ""},
		{"another environment", auth.Operate, heal.Scope{Tenant: "acme", Env: "test"}, "operator or admin"},
		{"wider than the scope", auth.Operate, heal.Scope{Tenant: "acme"}, "alice may not operate in acme"},
		{"the whole installation", auth.Operate, heal.Scope{}, "the whole installation"},
		{"seen everywhere", auth.Read, heal.Scope{}, ""},
		{"approving", auth.Approve, cart, "approver or admin"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := p.Can(tt.verb, tt.scope)
			if tt.want == "" && err != nil {
				t.Errorf("got %v, want no error", err)
			}
			if tt.want != "" && (!heal.Is(err, heal.Denied) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want kind denied that says %q", err, tt.want)
			}
		})
	}
	if diff := cmp.Diff([]heal.Scope{{}, prod}, p.Scopes(auth.Read)); diff != "" {
		t.Errorf("Scopes(read) (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]heal.Scope{prod}, p.Scopes(auth.Operate)); diff != "" {
		t.Errorf("Scopes(operate) (-want +got):\n%s", diff)
	}
}

func TestContext(t *testing.T) {
	if err := auth.Can(t.Context(), auth.Read, heal.Scope{}); !heal.Is(err, heal.Denied) {
		t.Errorf("without a principal: got %v, want kind denied", err)
	}
	ctx := auth.With(t.Context(), auth.Principal{Name: "alice", Grants: []auth.Grant{{Role: auth.Viewer}}})
	if err := auth.Can(ctx, auth.Read, heal.Scope{}); err != nil {
		t.Errorf("a viewer: got %v, want no error", err)
	}
}
