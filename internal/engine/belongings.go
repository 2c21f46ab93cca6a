package engine

import (
	"slices"

	"github.com/homeostat/homeostat/internal/guard"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// belongings are what the store holds because of a run. What is there was put
// there by a change of the run; what is not there any more may be named still.
type belongings struct {
	jobs   []string // keys
	leases []string // resources
}

// belongingsOf finds what the store holds because of a run, and checks that a job
// of it is as it was found; the error is errGone if it is not.
func belongingsOf(r store.Reader, run heal.RunID, found job) (*belongings, error) {
	rows, err := jobsOf(r, run)
	if err != nil {
		return nil, err
	}
	var own belongings
	still := false
	for i := range rows {
		j := &rows[i].Value
		own.addJob(j.Key)
		still = still || j.Key == found.Key && j.same(found)
	}
	if !still {
		return nil, errGone
	}
	own.leases, err = guard.Held(r, run)
	return &own, err
}

// jobsOf lists the jobs of a run.
func jobsOf(r store.Reader, run heal.RunID) ([]store.Stored[job], error) {
	return jobKind.All(r, store.Query{Where: []store.Cond{{Column: "run", Op: store.Eq, Value: string(run)}}})
}

func (b *belongings) clone() *belongings {
	if b == nil {
		return nil
	}
	return &belongings{jobs: slices.Clone(b.jobs), leases: slices.Clone(b.leases)}
}

func (b *belongings) addJob(key string) {
	if b != nil && !slices.Contains(b.jobs, key) {
		b.jobs = append(b.jobs, key)
	}
}

func (b *belongings) dropJob(key string) {
	if b != nil {
		b.jobs = slices.DeleteFunc(b.jobs, func(k string) bool { return k == key })
	}
}

func (b *belongings) addLeases(resources []string) {
	if b == nil {
		return
	}
	for _, r := range resources {
		if !slices.Contains(b.leases, r) {
			b.leases = append(b.leases, r)
		}
	}
}

// clear removes what the store holds because of a run that is over.
func (d *edit) clear() error {
	if d.own == nil {
		if err := dropJobs(d.tx, d.run.ID); err != nil {
			return err
		}
		return guard.Release(d.tx, d.run.ID)
	}
	for _, key := range d.own.jobs {
		if err := d.tx.Delete(store.Steps, key); err != nil && !heal.Is(err, heal.NotFound) {
			return err
		}
	}
	if err := guard.ReleaseThese(d.tx, d.run.ID, d.own.leases); err != nil {
		return err
	}
	d.own = &belongings{}
	return nil
}

// dropJobs removes every job of a run.
func dropJobs(tx store.Tx, run heal.RunID) error {
	rows, err := jobsOf(tx, run)
	for _, row := range rows {
		if err := tx.Delete(store.Steps, row.Value.Key); err != nil {
			return err
		}
	}
	return err
}
