package engine

import (
	"strconv"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// job is a row of the work queue: a try that is due, one that is claimed, or a
// wake-up of a run.
type job struct {
	Key   string     `json:"key"` // a heal.StepKey; "<run>/wake/<nanoseconds>" for a wake-up
	Run   heal.RunID `json:"run"`
	State jobState   `json:"state"`
	Due   time.Time  `json:"due"`
	Owner string     `json:"owner,omitempty"` // who claimed it, or made it due and comes first; empty: anybody
	Stop  bool       `json:"stop,omitempty"`  // its owner is to end the call under way
	Epoch int64      `json:"epoch"`           // +1 at each claim
	Fence int64      `json:"fence,omitempty"` // epoch of the lease on the target
	Lease time.Time  `json:"lease,omitzero"`
}

// same reports whether j is the row that was found before, unchanged.
func (j job) same(found job) bool {
	return j.State == found.State && j.Epoch == found.Epoch && j.Due.Equal(found.Due)
}

// due is a job to be worked on, with its run if that was just changed here.
type due struct {
	job
	seen *memory
}

type jobState string

const (
	jobReady   jobState = "ready"
	jobClaimed jobState = "claimed"
	jobAsleep  jobState = "asleep" // a wait that has started; due when it is over
	jobWake    jobState = "wake"   // a Tick is due
)

var jobKind = store.Kind[job]{
	Table: store.Steps, Version: 1,
	Key: func(j *job) string { return j.Key },
	Columns: func(j *job) []any {
		return []any{string(j.Run), string(j.State), store.Nanos(j.Due), j.Owner, j.Epoch, store.Nanos(j.Lease)}
	},
}

func (e *Engine) readyJob(key heal.StepKey, due time.Time) job {
	return job{Key: key.String(), Run: key.Run, State: jobReady, Due: due, Owner: e.first()}
}

func (e *Engine) wakeJob(run heal.RunID, at time.Time) job {
	return job{Key: string(run) + "/wake/" + strconv.FormatInt(at.UnixNano(), 10), Run: run, State: jobWake, Due: at, Owner: e.first()}
}

// first is who comes first for what this engine makes due. The others leave it
// alone for a while, so that servers do not reach for the same.
func (e *Engine) first() string {
	if e.opts.Sole {
		return ""
	}
	return e.opts.Owner
}

// dueJobs lists what can be worked on at a time by an owner: tries and wake-ups
// that are due, those of others once they were left for so long. next is when
// something further falls due, zero if nothing is known.
func dueJobs(r store.Reader, now time.Time, owner string, left time.Duration, limit int) (jobs []job, next time.Time, err error) {
	for _, state := range []jobState{jobReady, jobAsleep, jobWake} {
		rows, _, err := jobKind.List(r, store.Query{
			Where: []store.Cond{{Column: "state", Op: store.Eq, Value: string(state)}},
			Order: "due", Limit: limit,
		})
		if err != nil {
			return nil, time.Time{}, err
		}
		for _, row := range rows {
			due := row.Value.Due
			if of := row.Value.Owner; of != "" && of != owner {
				due = due.Add(left)
			}
			if due.After(now) {
				if next.IsZero() || due.Before(next) {
					next = due
				}
				if row.Value.Due.After(now) {
					break
				}
				continue
			}
			jobs = append(jobs, row.Value)
		}
	}
	return jobs, next, nil
}

// leftJobs lists claims whose lease ran out before a time.
func leftJobs(r store.Reader, leases time.Time, limit int) ([]job, error) {
	rows, _, err := jobKind.List(r, store.Query{
		Where: []store.Cond{{Column: "state", Op: store.Eq, Value: string(jobClaimed)}, {Column: "lease", Op: store.Lt, Value: store.Nanos(leases)}},
		Order: "due", Limit: limit,
	})
	jobs := make([]job, len(rows))
	for i := range rows {
		jobs[i] = rows[i].Value
	}
	return jobs, err
}
