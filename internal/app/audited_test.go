package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
)

func TestEntriesOf(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	run := func(state heal.RunState, tasks ...heal.TaskRun) heal.Run {
		return heal.Run{ID: "r", IncidentID: "i", DecisionID: "d", Playbook: "restart", Target: "service/a", RequestedBy: "alice", State: state, Tasks: tasks}
	}
	task := func(state heal.RunState, attempt int) heal.TaskRun {
		return heal.TaskRun{ID: "one", Action: "process.restart", State: state, Attempt: attempt}
	}
	asked := func(answer string) heal.Run {
		r := run(heal.RunWaiting)
		r.Approval = &heal.Approval{Owner: "approver", Answer: answer, AskedAt: at}
		return r
	}
	held := task(heal.RunPending, 1)
	held.Refusal = &heal.Reason{Code: "guard_lease", Text: "it is held"}
	undoing, undone := task(heal.RunSucceeded, 1), task(heal.RunRolledBack, 1)
	undoing.Undo = &heal.UndoRun{Action: "process.start", State: heal.RunRunning}
	undone.Undo = &heal.UndoRun{Action: "process.start", State: heal.RunSucceeded}
	tests := []struct {
		name          string
		before, after heal.Run
		over          bool
		want          []string
	}{
		{"begins", heal.Run{}, run(heal.RunRunning, task(heal.RunPending, 1)), false, []string{"alice began  restart on service/a"}},
		{"a try starts", run(heal.RunRunning, task(heal.RunPending, 1)), run(heal.RunRunning, task(heal.RunRunning, 1)), false, nil},
		{"a try succeeds", run(heal.RunRunning, task(heal.RunRunning, 1)), run(heal.RunRunning, task(heal.RunSucceeded, 1)), false, []string{" acted succeeded process.restart on service/a, task one: succeeded"}},
		{"a try fails", run(heal.RunRunning, task(heal.RunRunning, 1)), run(heal.RunRunning, task(heal.RunPending, 2)), false, []string{" acted failed, it is tried again process.restart on service/a, task one: failed, it is tried again"}},
		{"nobody knows", run(heal.RunRunning, task(heal.RunRunning, 1)), run(heal.RunUnknown, task(heal.RunUnknown, 1)), false, []string{" acted unknown process.restart on service/a, task one: unknown"}},
		{"a guard refuses", run(heal.RunRunning, task(heal.RunPending, 1)), run(heal.RunRunning, held), false, []string{" refused denied process.restart of task one: it is held"}},
		{"nobody answers", asked(""), asked(heal.Expired), false, []string{" expired denied approver was asked about the run and did not answer; silence means no"}},
		{"somebody answers", asked(""), asked(heal.Approved), false, nil}, // the request of the person is the entry
		{"an undo", run(heal.RunSucceeded, undoing), run(heal.RunSucceeded, undone), false, []string{" acted succeeded process.start on service/a, undo of task one: succeeded"}},
		{"ends", run(heal.RunRunning, task(heal.RunRunning, 1)), run(heal.RunSucceeded, task(heal.RunSucceeded, 1)), true, []string{
			" acted succeeded process.restart on service/a, task one: succeeded", " ended succeeded restart on service/a: succeeded",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, e := range entriesOf(&tt.before, &tt.after, tt.over) {
				got = append(got, fmt.Sprintf("%s %s %s %s", e.Actor, e.Act, e.Result, e.Text))
				if e.Run != "r" || e.Incident != "i" || e.Decision != "d" || e.Subject != "service/a" {
					t.Errorf("entry %+v: want it to name run, case, decision and target", e)
				}
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("entries (-got +want):\n%s", diff)
			}
		})
	}
}
