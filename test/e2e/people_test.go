//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/api/form"
)

// askingBook is a run that calls the world once somebody said yes.
func askingBook(name, approval, url string) playbook {
	return playbook{name, fmt.Sprintf(`playbook_id: %s
name: Ask first
trust: auto
risk: low
approval: {required: always, %s}
tasks: [{id: act, action: http.request_idempotent, parameters: {url: "%s/%s"}}]
`, name, approval, url, name)}
}

// person makes somebody with a role, and gives the file of their token.
func (h *house) person(name, role string) (token string) {
	h.t.Helper()
	h.cli("principals", "create", name, "--role", role)
	token = filepath.Join(h.t.TempDir(), name+".token")
	must(h.t, os.WriteFile(token, []byte(h.cli("principals", "issue-token", name, "--expires-in", "1h")), 0o600))
	return token
}

// as runs the command with somebody's token.
func (h *house) as(token string, args ...string) (code int, stderr string) {
	h.t.Helper()
	code, _, stderr = run(h.t, 20*time.Second, append(args, "--server", "http://"+h.api, "--token-file", token)...)
	return code, stderr
}

// refused wants a command to fail and to say why.
func (h *house) refused(token, why string, args ...string) {
	h.t.Helper()
	if code, stderr := h.as(token, args...); code == 0 || !strings.Contains(stderr, why) {
		h.t.Errorf("homeostat %v: got %d, %q, want a failure that says %q", args, code, stderr, why)
	}
}

func (h *house) allowed(token string, args ...string) {
	h.t.Helper()
	if code, stderr := h.as(token, args...); code != 0 {
		h.t.Errorf("homeostat %v: got %d, %s", args, code, stderr)
	}
}

// TestE2EApproval answers questions as people of several roles do: too late, with
// no, without the role, and more than once.
func TestE2EApproval(t *testing.T) {
	world := newTarget(t)
	h := newHouse(t, nil,
		askingBook("one", "owner: approver, deadline: 20m", world.URL),
		askingBook("two", "owner: approver, quorum: 2, deadline: 20m", world.URL),
		askingBook("soon", "owner: approver, deadline: 2s", world.URL),
	)
	h.start()
	alice, bob, vera := h.person("alice", "approver"), h.person("bob", "approver"), h.person("vera", "viewer")
	waits := func(id string) bool { return h.run(id).State == "waiting_approval" }
	ended := func(id, state, answer string) {
		t.Helper()
		eventually(t, 20*time.Second, "the run ends "+state, func() bool { return h.run(id).State == state })
		if got := h.run(id).Approval; got == nil || got.Answer != answer {
			t.Errorf("approval: got %+v, want the answer %q", got, answer)
		}
	}

	denied := h.started("one", "service/denied").ID
	eventually(t, 10*time.Second, "the run waits", func() bool { return waits(denied) })
	h.refused(vera, "approver", "approve", denied)
	if !waits(denied) {
		t.Error("the word of somebody without the role was taken")
	}
	h.allowed(bob, "deny", denied)
	ended(denied, "cancelled", "denied")
	h.refused(alice, "", "approve", denied)

	late := h.started("soon", "service/late").ID
	ended(late, "cancelled", "expired")
	h.refused(alice, "", "approve", late)

	both := h.started("two", "service/both").ID
	eventually(t, 10*time.Second, "the run waits", func() bool { return waits(both) })
	h.allowed(alice, "approve", both)
	_, _ = h.as(alice, "approve", both) // whatever it is told, one person is one vote
	if run := h.run(both); run.State != "waiting_approval" || len(run.Approval.Votes) != 1 {
		t.Errorf("after alice said yes twice: got %s with %+v, want it waiting with one vote", run.State, run.Approval)
	}
	h.allowed(bob, "approve", both)
	ended(both, "succeeded", "approved")
	h.refused(bob, "", "approve", both)

	calls := map[string]int{"one": len(world.keys("one")), "soon": len(world.keys("soon")), "two": len(world.keys("two"))}
	if diff := cmp.Diff(calls, map[string]int{"one": 0, "soon": 0, "two": 1}); diff != "" {
		t.Errorf("calls, got (-) and want (+):\n%s", diff)
	}
}

const undoneBook = `playbook_id: undone
name: Undone
trust: auto
risk: low
tasks:
  - {id: one, action: http.request_idempotent, parameters: {url: "%[1]s/one"}, rollback: {action: http.request_idempotent, parameters: {url: "%[1]s/undo-one"}}}
  - {id: two, action: http.request_idempotent, depends_on: one, parameters: {url: "%[1]s/two"}, rollback: {action: http.request_idempotent, parameters: {url: "%[1]s/none-there"}}}
  - {id: three, action: http.request_idempotent, depends_on: two, parameters: {url: "%[1]s/three"}, rollback: {action: http.request_idempotent, parameters: {url: "%[1]s/undo-three"}}}
  - {id: four, action: http.request_idempotent, depends_on: three, parameters: {url: "%[1]s/none-there"}, on_failure: rollback}
`

// TestE2ECompensationFails rolls back a run of which one compensation fails in
// the middle: the others run, in reverse order, and the report names it.
func TestE2ECompensationFails(t *testing.T) {
	world := newTarget(t)
	world.refuses("none-there")
	h := newHouse(t, nil, playbook{"undone", fmt.Sprintf(undoneBook, world.URL)})
	h.start()
	id := h.started("undone", "service/cart").ID
	var end form.Run
	eventually(t, 60*time.Second, "the run is rolled back as far as that goes", func() bool {
		end = h.run(id)
		return !end.EndedAt.IsZero() && end.Rollback != "" && end.Rollback != "running"
	})
	order := world.order("one", "two", "three", "undo-three", "undo-one")
	if diff := cmp.Diff(order, []string{"one", "two", "three", "undo-three", "undo-one"}); diff != "" {
		t.Errorf("calls, got (-) and want (+):\n%s", diff)
	}
	undone := map[string]string{}
	for _, task := range end.Tasks {
		if task.Undo != nil {
			undone[task.ID] = task.Undo.State
		}
	}
	if undone["one"] != "succeeded" || undone["two"] != "failed" || undone["three"] != "succeeded" {
		t.Errorf("compensations: got %v, want that of two failed and the others succeeded", undone)
	}
	if !strings.Contains(end.Reason, "the undo of two failed") || !strings.Contains(h.cli("runs", "show", id), "the undo of two failed") {
		t.Errorf("report: got %q, want it to name the undo of two", end.Reason)
	}
}
