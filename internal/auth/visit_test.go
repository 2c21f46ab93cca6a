package auth_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
)

func TestRolesOf(t *testing.T) {
	stand := map[string]auth.Role{"staff": auth.Viewer, "sre": auth.Operator, "leads": auth.Approver, "root": auth.Admin}
	tests := []struct {
		name   string
		groups []string
		want   []auth.Role
	}{
		{"none", nil, nil},
		{"nobody's", []string{"sales"}, nil},
		{"one", []string{"sales", "staff"}, []auth.Role{auth.Viewer}},
		{"the highest", []string{"staff", "sre"}, []auth.Role{auth.Operator}},
		{"the very highest", []string{"leads", "root", "sre", "staff"}, []auth.Role{auth.Admin}},
		{"neither contains the other", []string{"leads", "sre", "staff"}, []auth.Role{auth.Approver, auth.Operator}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, auth.RolesOf(tt.groups, stand)); diff != "" {
				t.Errorf("roles (-want +got):\n%s", diff)
			}
		})
	}
}

// TestVisits follows somebody without a principal through groups that change.
func TestVisits(t *testing.T) {
	ctx := t.Context()
	c := &clock{start}
	a := accounts(t, c)
	visit := func(roles ...auth.Role) (string, error) {
		return a.Visit(ctx, "alice@example.com", roles, c.now.Add(time.Hour))
	}
	may := func(token string) string {
		p, err := a.Authenticate(ctx, token)
		if err != nil {
			return "outside"
		}
		text := p.Name
		for _, g := range p.Grants {
			text += " " + string(g.Role)
		}
		return text
	}
	if _, err := visit(); !heal.Is(err, heal.NotFound) {
		t.Errorf("without a role: got %v, want NotFound", err)
	}
	first, err := visit(auth.Viewer)
	if err != nil || may(first) != "alice@example.com viewer" {
		t.Fatalf("as a viewer: got %q, %v", may(first), err)
	}
	second, err := visit(auth.Approver, auth.Operator)
	if err != nil || may(second) != "alice@example.com approver operator" || may(first) != may(second) {
		t.Errorf("in other groups since: got %q and %q, %v", may(first), may(second), err)
	}
	if _, err := visit(); !heal.Is(err, heal.NotFound) || may(first) != "outside" || may(second) != "outside" {
		t.Errorf("out of every group: got %v, %q and %q", err, may(first), may(second))
	}

	if first, err = visit(auth.Viewer); err != nil {
		t.Fatal(err)
	}
	if err := a.Leave(ctx, first); err != nil || may(first) != "outside" {
		t.Errorf("after leaving: got %v, %q", err, may(first))
	}
	if list, err := a.List(ctx); err != nil || len(list) != 0 {
		t.Errorf("after the last visit: got %+v, %v, want nobody", list, err)
	}
	if err := a.Leave(ctx, first); err != nil {
		t.Errorf("leaving twice: got %v", err)
	}
	if second, err = visit(auth.Viewer); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(time.Hour)
	if may(second) != "outside" {
		t.Errorf("an hour later: got %q", may(second))
	}
}

// TestPrincipalsAreNoGuests: groups give nothing to who is a principal here, and
// take nothing; a guest can be made one.
func TestPrincipalsAreNoGuests(t *testing.T) {
	ctx := t.Context()
	c := &clock{start}
	a := accounts(t, c)
	grants := []auth.Grant{{Role: auth.Viewer}}
	rolesNow := func(token string) int {
		p, err := a.Authenticate(ctx, token)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Grants) != 1 {
			t.Fatalf("got %+v", p)
		}
		return map[auth.Role]int{auth.Viewer: 1, auth.Admin: 2}[p.Grants[0].Role]
	}
	if err := a.Create(ctx, "own", grants); err != nil {
		t.Fatal(err)
	}
	for _, roles := range [][]auth.Role{{auth.Admin}, nil} {
		token, err := a.Visit(ctx, "own", roles, c.now.Add(time.Hour))
		if err != nil || rolesNow(token) != 1 {
			t.Errorf("a principal with groups of %v: got %v", roles, err)
		}
		if err := a.Leave(ctx, token); err != nil {
			t.Error(err)
		}
	}
	if list, _ := a.List(ctx); len(list) != 1 {
		t.Errorf("a principal that left: got %+v, want it kept", list)
	}

	guest, err := a.Visit(ctx, "guest", []auth.Role{auth.Admin}, c.now.Add(time.Hour))
	if err != nil || rolesNow(guest) != 2 {
		t.Fatal(err)
	}
	if err := a.Create(ctx, "guest", grants); err != nil {
		t.Errorf("make a guest a principal: %v", err)
	}
	if _, err := a.Authenticate(ctx, guest); err == nil {
		t.Errorf("the visit goes on beside the principal")
	}
	if err := a.Create(ctx, "guest", grants); !heal.Is(err, heal.Conflict) {
		t.Errorf("again: got %v, want Conflict", err)
	}
	for _, name := range []string{"", "UPPER", "a b", "x/y"} {
		if _, err := a.Visit(ctx, name, []auth.Role{auth.Viewer}, c.now.Add(time.Hour)); !heal.Is(err, heal.NotFound) {
			t.Errorf("%q: got %v, want NotFound", name, err)
		}
	}
}

// TestVisitsEndTheOldest: somebody with as many tokens as may be comes in.
func TestVisitsEndTheOldest(t *testing.T) {
	c := &clock{start}
	a := accounts(t, c)
	var tokens []string
	for range 51 {
		token, err := a.Visit(t.Context(), "alice", []auth.Role{auth.Viewer}, c.now.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	for i, want := range map[int]bool{0: false, 1: true, 50: true} {
		if _, err := a.Authenticate(t.Context(), tokens[i]); (err == nil) != want {
			t.Errorf("token %d: got %v, want good: %v", i, err, want)
		}
	}
}
