package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/homeostat/homeostat/internal/heal"
)

// record is the state file of one process, <StateDir>/<name>.json. It is the
// only truth the driver keeps; every operation begins by reading it and every
// change is on disk before the next step is taken.
type record struct {
	Version   int                     `json:"version"`
	Process   string                  `json:"process"`
	Epochs    map[heal.EntityID]int64 `json:"epochs,omitempty"` // highest seen for each target that means the process
	Wanted    *int                    `json:"wanted,omitempty"` // instances, set by stop and scale; nil: as configured
	Instances []instance              `json:"instances"`        // newest start of each number, running or not
	Steps     []step                  `json:"steps"`            // newest last
}

const (
	recordVersion = 1
	maxSteps      = 64      // steps remembered for Observe, far more than one run holds
	maxRecord     = 4 << 20 // bytes
)

// instance is the newest start of one instance.
type instance struct {
	identity
	N         int       `json:"instance"`
	Key       string    `json:"key"` // of the step that started it
	StartedAt time.Time `json:"started_at,omitzero"`
}

// attrs names the instance in logs.
func (in instance) attrs(p *Process) slog.Attr {
	return slog.Group("process", slog.String("name", p.Name), slog.Int("instance", in.N), slog.Int("pid", in.PID))
}

// step is one action on the process: begun before the world is touched, done
// after.
type step struct {
	Key    string  `json:"key"`
	Action string  `json:"action"`
	Before int     `json:"before"` // instances that ran
	Want   int     `json:"want"`   // instances that shall run
	Output *output `json:"output,omitempty"`
}

// output is what an action gives back for one process.
type output struct {
	PIDs     []int64 `json:"pids"` // of the running instances, by number
	Previous int     `json:"previous"`
}

func (s *step) done() bool { return s.Output != nil }

func (r *record) step(key string) *step {
	for i := range r.Steps {
		if r.Steps[i].Key == key {
			return &r.Steps[i]
		}
	}
	return nil
}

// earlierTry is the newest step of the task whose further try the key names.
func (r *record) earlierTry(key string) *step {
	task := key[:strings.LastIndex(key, "/")+1]
	for i := range slices.Backward(r.Steps) {
		if s := &r.Steps[i]; s.Key != key && strings.HasPrefix(s.Key, task) {
			return s
		}
	}
	return nil
}

func (r *record) begin(s step) *step {
	r.Steps = append(r.Steps, s)
	if extra := len(r.Steps) - maxSteps; extra > 0 {
		r.Steps = slices.Delete(r.Steps, 0, extra)
	}
	return &r.Steps[len(r.Steps)-1]
}

func (r *record) instance(n int) *instance {
	for i := range r.Instances {
		if r.Instances[i].N == n {
			return &r.Instances[i]
		}
	}
	return nil
}

// put replaces the instance of that number.
func (r *record) put(in instance) {
	if old := r.instance(in.N); old != nil {
		*old = in
		return
	}
	r.Instances = append(r.Instances, in)
	slices.SortFunc(r.Instances, func(a, b instance) int { return a.N - b.N })
}

func (r *record) wanted(p *Process) int {
	if r.Wanted != nil {
		return *r.Wanted
	}
	return p.Instances
}

// running gives the instances that run, by number.
func (r *record) running(boot string) []instance {
	var out []instance
	for _, in := range r.Instances {
		if in.alive(boot) {
			out = append(out, in)
		}
	}
	return out
}

// fence remembers the epoch of an order, or refuses one of an owner that has
// been replaced. Epochs are those of the lease on the target, so they compare
// only within one target.
func (r *record) fence(target heal.EntityID, epoch int64) error {
	if seen := r.Epochs[target]; epoch < seen {
		return heal.Errorf(heal.Denied, "act on process "+r.Process, "the order is of epoch %d, epoch %d has been seen for %s: another server has taken over", epoch, seen, target)
	}
	if r.Epochs == nil {
		r.Epochs = map[heal.EntityID]int64{}
	}
	r.Epochs[target] = epoch
	return nil
}

// started counts the instances whose newest start was by the key.
func (r *record) started(key string) int {
	n := 0
	for _, in := range r.Instances {
		if in.Key == key {
			n++
		}
	}
	return n
}

func (r *record) output(boot string, s *step) *output {
	out := &output{PIDs: []int64{}, Previous: s.Before}
	for _, in := range r.running(boot) {
		out.PIDs = append(out.PIDs, int64(in.PID))
	}
	return out
}

// reader reads state files and the world. It has no way to change either.
type reader struct {
	*catalog
	boot string
}

func newReader(opts Options) (*reader, error) {
	c, err := newCatalog(opts)
	if err != nil {
		return nil, err
	}
	boot, err := bootID()
	if err != nil {
		return nil, heal.Errorf(heal.Internal, "read the boot id", "%w", err)
	}
	return &reader{catalog: c, boot: boot}, nil
}

func (r *reader) file(p *Process, suffix string) string {
	return filepath.Join(r.dir, p.Name+suffix)
}

// load reads what is known of a process and corrects it by the world: what was
// started right before a crash runs without being recorded, and is found by its
// environment.
func (r *reader) load(p *Process) (*record, error) {
	rec, err := r.read(p)
	if err != nil {
		return nil, err
	}
	found, err := marked(r.dir, p.Name, r.boot)
	if err != nil {
		return nil, heal.Errorf(heal.Internal, "look for processes of "+p.Name, "%w", err)
	}
	for n, in := range found {
		if known := rec.instance(n); known == nil || !known.alive(r.boot) {
			rec.put(in)
		}
	}
	return rec, nil
}

func (r *reader) read(p *Process) (*record, error) {
	name := r.file(p, ".json")
	op := "read process state " + name
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &record{Version: recordVersion, Process: p.Name}, nil
	}
	if err != nil {
		return nil, heal.Errorf(heal.Internal, op, "%w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err != nil {
		return nil, heal.Errorf(heal.Internal, op, "%w", err)
	}
	rec, err := parseRecord(data)
	if err != nil {
		return nil, heal.Errorf(heal.Internal, op, "%w; move the file away to begin anew, processes that run are found again", err)
	}
	if rec.Process != p.Name {
		return nil, heal.Errorf(heal.Internal, op, "is of the process %q", rec.Process)
	}
	return rec, nil
}

func parseRecord(data []byte) (*record, error) {
	if len(data) > maxRecord {
		return nil, errors.New("is larger than 4 MiB")
	}
	var rec record
	if err := json.Unmarshal(data, &rec); err != nil {
		return nil, err
	}
	if rec.Version != recordVersion {
		return nil, fmt.Errorf("has the form %d, this version reads %d", rec.Version, recordVersion)
	}
	if !rec.plausible() {
		return nil, errors.New("is damaged: a number of instances is negative or absurd")
	}
	return &rec, nil
}

// plausible keeps a damaged file from starting processes without number.
func (r *record) plausible() bool {
	within := func(n int) bool { return n >= 0 && n < 1<<16 }
	ok := r.Wanted == nil || within(*r.Wanted)
	for _, in := range r.Instances {
		ok = ok && within(in.N)
	}
	for _, s := range r.Steps {
		ok = ok && within(s.Want)
	}
	return ok
}

// writeRecord replaces the state file at once and returns when it is on disk.
func writeRecord(name string, rec *record) error {
	op := "write process state " + name
	data, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return heal.Errorf(heal.Internal, op, "%w", err)
	}
	if err := replace(name, data); err != nil {
		return heal.Errorf(heal.Internal, op, "%w", err)
	}
	return nil
}

func replace(name string, data []byte) error {
	next := name + ".next"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(next, name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// lock keeps every other actor, in this program or another, off the process
// until unlock is called. The kernel drops the lock when its holder dies.
func (r *reader) lock(ctx context.Context, p *Process) (unlock func(), err error) {
	op := "lock process " + p.Name
	f, err := os.OpenFile(r.file(p, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, heal.Errorf(heal.Internal, op, "%w", err)
	}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := ctx.Err()
		if err == nil {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		}
		switch {
		case err == nil:
			return func() { _ = f.Close() }, nil // closing unlocks; nothing was written
		case !errors.Is(err, unix.EWOULDBLOCK):
			_ = f.Close()
			return nil, heal.Errorf(heal.Transient, op, "%w", err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			_ = f.Close()
			return nil, heal.Errorf(heal.Transient, op, "another action is at work on it: %w", ctx.Err())
		}
	}
}
