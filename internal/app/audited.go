package app

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/homeostat/homeostat/internal/audit"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// AuditHeadFile keeps the head of the audit's chain outside the store.
func (c *Config) AuditHeadFile() string { return filepath.Join(c.DataDir, "audit.head") }

// openAudit seals the record of who did what, and begins it.
func (s *Server) openAudit(ctx context.Context) error {
	sealer := audit.NewSealer(audit.SealerOptions{Store: s.store, Anchor: s.cfg.AuditHeadFile(), Clock: s.clock.Now, Logger: s.log})
	s.add("audit", func(ctx context.Context) error { return s.share.While(ctx, dutyAudit, sealer.Run) })
	config, err := json.Marshal(s.cfg)
	if err != nil {
		return heal.Errorf(heal.Internal, "digest of the configuration", "%w", err)
	}
	digest := fmt.Sprintf("%x", sha256.Sum256(config))
	return s.store.Update(ctx, func(tx store.Tx) error {
		return s.audit.Record(tx, audit.Entry{
			Act: audit.Started, Result: audit.Done, Scope: s.cfg.HomeScope(),
			Text: "the server started", Details: map[string]string{"version": s.opts.Version, "configuration": digest},
		})
	})
}

// Audited is a listener that tells the audit what became of a run, in the
// transaction that says so, before the next hears of it.
func Audited(r *audit.Recorder, next engine.Listener) engine.Listener {
	return auditedRuns{recorder: r, next: next}
}

type auditedRuns struct {
	recorder *audit.Recorder
	next     engine.Listener
}

func (a auditedRuns) RunChanged(tx store.Tx, change engine.Change) error {
	for _, e := range entriesOf(&change.Before, &change.After, change.Over) {
		e.At = change.At.UTC()
		if err := a.recorder.Record(tx, e); err != nil {
			return err
		}
	}
	return a.next.RunChanged(tx, change)
}

// entriesOf says what the audit keeps of one change of a run.
func entriesOf(before, after *heal.Run, over bool) []audit.Entry {
	var list []audit.Entry
	add := func(e audit.Entry) {
		e.Subject, e.Scope, e.Incident, e.Run, e.Decision = string(after.Target), after.Scope, after.IncidentID, after.ID, after.DecisionID
		list = append(list, e)
	}
	if before.ID == "" {
		add(audit.Entry{Actor: after.RequestedBy, Act: audit.Began, Text: fmt.Sprintf("%s on %s", after.Playbook, after.Target)})
	}
	expired(add, before.Approval, after.Approval, "the run")
	for i := range after.Tasks {
		was, now := before.Task(after.Tasks[i].ID), &after.Tasks[i]
		if was == nil {
			was = &heal.TaskRun{}
		}
		expired(add, was.Approval, now.Approval, "task "+now.ID)
		if was.Refusal == nil && now.Refusal != nil {
			add(audit.Entry{Act: audit.Refused, Result: audit.Denied, Text: fmt.Sprintf("%s of task %s: %s", now.Action, now.ID, now.Refusal.Text), Reasons: []heal.Reason{*now.Refusal}})
		}
		if result := tryResult(was, now); result != "" {
			add(audit.Entry{Act: audit.Acted, Result: result, Text: fmt.Sprintf("%s on %s, task %s: %s", now.Action, after.Target, now.ID, result), Details: errorOf(now.Error)})
		}
		if was, now := undoOf(was), undoOf(now); was.State == heal.RunRunning && now.State != heal.RunRunning {
			add(audit.Entry{Act: audit.Acted, Result: string(now.State), Text: fmt.Sprintf("%s on %s, undo of task %s: %s", now.Action, after.Target, after.Tasks[i].ID, now.State), Details: errorOf(now.Error)})
		}
	}
	if over {
		state := after.State
		if after.Rollback != "" {
			state = after.Rollback
		}
		add(audit.Entry{Act: audit.Ended, Result: string(state), Text: fmt.Sprintf("%s on %s: %s", after.Playbook, after.Target, state), Details: errorOf(after.Reason)})
	}
	return list
}

func expired(add func(audit.Entry), was, now *heal.Approval, of string) {
	if now != nil && now.Answer == heal.Expired && (was == nil || was.Answer != heal.Expired) {
		add(audit.Entry{Act: audit.Expired, Result: audit.Denied, Text: fmt.Sprintf("%s was asked about %s and did not answer; silence means no", now.Owner, of)})
	}
}

// tryResult is how a try of a task ended in a change; empty if none did.
func tryResult(was, now *heal.TaskRun) string {
	switch {
	case was.State != heal.RunRunning || now.State == heal.RunRunning || now.Group != "": // a group is no try
		return ""
	case now.State == heal.RunPending:
		return "failed, it is tried again"
	}
	return string(now.State)
}

func undoOf(t *heal.TaskRun) heal.UndoRun {
	if t.Undo == nil {
		return heal.UndoRun{}
	}
	return *t.Undo
}

func errorOf(text string) map[string]string {
	if text == "" {
		return nil
	}
	return map[string]string{"why": text}
}
