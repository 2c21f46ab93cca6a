package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// answered takes a person's answer to the run's or a task's question.
func (m *machine) answered(ev Answered) error {
	if ev.Answer != heal.Approved && ev.Answer != heal.DeniedBy {
		return heal.Errorf(heal.Invalid, "answer", "%q is neither approved nor denied", ev.Answer)
	}
	if ev.Task == "" {
		if m.run.State != heal.RunWaiting || m.run.Approval == nil || m.run.Approval.Answer != "" {
			return m.conflict("waits for no approval, it is %s", m.run.State)
		}
		enough, err := m.vote(m.run.Approval, ev)
		if err != nil {
			return err
		}
		if ev.Answer == heal.Approved {
			if enough {
				m.start()
			}
			return nil
		}
		m.end(heal.RunCancelled, "denied by "+ev.By)
		return nil
	}
	t := m.run.Task(ev.Task)
	if t == nil || t.State != heal.RunWaiting || t.Approval == nil {
		return m.conflict("task %q waits for no confirmation", ev.Task)
	}
	enough, err := m.vote(t.Approval, ev)
	if err != nil {
		return err
	}
	if ev.Answer == heal.Approved {
		if enough {
			m.enqueue(t)
		}
		return nil
	}
	t.ErrorKind = heal.Denied.String()
	m.fail(t, heal.RunFailed, "denied by "+ev.By)
	return nil
}

// vote counts one person's answer and reports whether the question has all the
// yes it needs. One no is enough for a no.
func (m *machine) vote(a *heal.Approval, ev Answered) (enough bool, err error) {
	names := ev.As
	if len(names) == 0 {
		names = []string{ev.By}
	}
	if !a.Asks(names) {
		return false, heal.Errorf(heal.Denied, "run "+string(m.run.ID), "%s may not answer %q: %s is asked", ev.By, a.Question, a.Owner)
	}
	if ev.Answer == heal.DeniedBy {
		a.Answer, a.By, a.Note, a.AnswerAt = ev.Answer, ev.By, ev.Note, m.now
		return false, nil
	}
	voted := func(v heal.Consent) bool { return v.By == ev.By }
	if slices.ContainsFunc(a.Votes, voted) {
		return false, m.conflict("has the yes of %s already; %d more must come from others", ev.By, a.Missing())
	}
	a.Votes = append(slices.Clone(a.Votes), heal.Consent{By: ev.By, Note: ev.Note, At: m.now})
	if left := a.Missing(); left > 0 {
		m.emit(Tell{Text: fmt.Sprintf("%s approved %q; %d more must", ev.By, a.Question, left)})
		return false, nil
	}
	by := make([]string, len(a.Votes))
	for i, v := range a.Votes {
		by[i] = v.By
	}
	a.Answer, a.By, a.Note, a.AnswerAt = ev.Answer, strings.Join(by, ", "), ev.Note, m.now
	return true, nil
}

// settled takes a person's word on a task nobody could be sure of.
func (m *machine) settled(ev Settled) error {
	t := m.run.Task(ev.Task)
	if t == nil || t.State != heal.RunUnknown {
		return m.conflict("task %q is not uncertain", ev.Task)
	}
	if m.run.Ending != "" || m.run.State.Ended() {
		return m.conflict("is over or ending; what became of task %q is for the record only", ev.Task)
	}
	if ev.As == SettleRetry && m.ending(t) {
		return m.conflict("lets no part of task %s begin any more; say whether task %q happened, or give it up", t.Of, ev.Task)
	}
	t.Approval.Answer, t.Approval.By = string(ev.As), ev.By
	t.Approval.Note, t.Approval.AnswerAt = ev.Note, m.now
	switch ev.As {
	case SettleHappened:
		m.complete(t)
	case SettleRetry:
		t.Attempt++
		t.State = heal.RunPending
		m.emit(Queue{Key: m.key(t), Due: m.now})
	case SettleGiveUp:
		m.fail(t, heal.RunFailed, "given up by "+ev.By)
	default:
		return heal.Errorf(heal.Invalid, "settle task "+ev.Task, "%q is none of happened, retry, give_up", ev.As)
	}
	return nil
}

func (m *machine) pause(ev PauseAsked) error {
	if !m.going() {
		return m.conflict("cannot be paused, it is %s", m.run.State)
	}
	if m.run.Approval != nil && m.run.Approval.Answer == "" {
		return m.conflict("waits for its approval and cannot be paused; deny it instead")
	}
	m.run.State, m.run.Reason = heal.RunPaused, because("paused by "+ev.By, ev.Why)
	return nil
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

func (m *machine) resume() error {
	if m.run.State != heal.RunPaused {
		return m.conflict("is not paused, it is %s", m.run.State)
	}
	m.run.State, m.run.Reason = heal.RunRunning, ""
	for i := range m.run.Tasks {
		if t := &m.run.Tasks[i]; t.State == heal.RunPending && t.Attempt > 0 {
			t.Refusal = nil
			m.emit(Queue{Key: m.key(t), Due: m.now})
		}
	}
	if m.plan.Timeout > 0 {
		m.emit(Wake{At: m.now.Add(m.plan.Timeout)})
	}
	return nil
}

func (m *machine) cancel(ev CancelAsked) error {
	if m.run.State.Ended() {
		return m.conflict("has ended, it is %s", m.run.State)
	}
	if m.run.Ending != "" {
		return m.conflict("is ending as %s already", m.run.Ending)
	}
	m.end(heal.RunCancelled, because("cancelled by "+ev.By, ev.Why))
	m.emit(Interrupt{})
	return nil
}

// tick looks at every deadline.
func (m *machine) tick() {
	if m.run.State.Ended() || m.run.Ending != "" {
		return
	}
	if m.late(m.run.Approval, "run") {
		m.end(heal.RunCancelled, silence(m.run.Approval))
		return
	}
	for i := range m.run.Tasks {
		t := &m.run.Tasks[i]
		waiting := t.State == heal.RunWaiting || t.State == heal.RunUnknown
		if waiting && m.late(t.Approval, "task "+t.ID) {
			m.fail(t, heal.RunFailed, silence(t.Approval))
		}
	}
	m.timeout()
}

// silence says what a deadline that passed means.
func silence(a *heal.Approval) string {
	if yes := len(a.Votes); yes > 0 {
		return fmt.Sprintf("only %d of the %d yes it needs came from %s by the deadline; silence means no", yes, a.Quorum, a.Owner)
	}
	return fmt.Sprintf("nobody among %s answered by the deadline; silence means no", a.Owner)
}

// late reminds at half time and reports whether the deadline has passed; it
// then writes the answer nobody gave.
func (m *machine) late(a *heal.Approval, what string) bool {
	if a == nil || a.Answer != "" {
		return false
	}
	if !m.now.Before(a.Deadline) {
		a.Answer, a.AnswerAt = heal.Expired, m.now
		m.emit(Escalate{Text: fmt.Sprintf("%s: nobody answered %q", what, a.Question)})
		return true
	}
	if !a.Escalated && m.now.Sub(a.AskedAt) >= a.Deadline.Sub(a.AskedAt)/2 {
		a.Escalated = true
		m.emit(Escalate{Text: fmt.Sprintf("%s still waits for %s: %s", what, a.Owner, a.Question)})
	}
	return false
}

// timeout ends a run that has been working for too long. Time spent waiting
// for people does not count: the limit begins anew.
func (m *machine) timeout() {
	if m.plan.Timeout <= 0 || m.run.StartedAt.IsZero() || m.run.Ending != "" {
		return
	}
	if m.now.Sub(m.run.StartedAt) < m.plan.Timeout {
		return
	}
	if m.run.State != heal.RunRunning {
		m.emit(Wake{At: m.now.Add(m.plan.Timeout)})
		return
	}
	m.end(heal.RunTimedOut, fmt.Sprintf("took longer than its %s", m.plan.Timeout))
	m.emit(Interrupt{})
}
