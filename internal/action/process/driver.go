package process

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// The actions.
const (
	actStart   = "process.start"
	actStop    = "process.stop"
	actRestart = "process.restart"
	actScale   = "process.scale"
	actScaleBy = "process.scale_by"
	actSignal  = "process.signal"
)

var grace = action.Param{
	Name: "grace", Type: action.Duration,
	Doc: "Time from SIGTERM to SIGKILL; as configured for the process if not given, at most half of the time the call has left.",
}

var specs = []action.Spec{
	{
		Name: actStart, Doc: "Starts the instances of the process that do not run and waits until they are ready.",
		Outputs: []string{"instances", "pids", "previous"}, Effect: action.Observable, Impact: action.Reversible, Duration: 5 * time.Second,
	},
	{
		Name: actStop, Doc: "Stops every instance of the process: SIGTERM, then SIGKILL.", Params: []action.Param{grace},
		Outputs: []string{"instances", "pids", "previous"}, Effect: action.Observable, Impact: action.Disruptive, Duration: 5 * time.Second,
	},
	{
		Name: actRestart, Doc: "Stops and starts the instances of the process one after the other, each ready before the next is stopped.", Params: []action.Param{grace},
		Outputs: []string{"instances", "pids", "previous"}, Effect: action.Observable, Impact: action.Disruptive, Duration: 10 * time.Second,
	},
	{
		Name: actScale, Doc: "Starts or stops instances until as many run as asked.",
		Params: []action.Param{
			{Name: "instances", Type: action.Int, Doc: "How many shall run, from 1 to the most configured for the process.", Required: true},
			grace,
		},
		Outputs: []string{"instances", "pids", "previous"}, Effect: action.Observable, Impact: action.Reversible, Duration: 5 * time.Second,
	},
	{
		Name: actScaleBy, Doc: "Starts or stops instances until some more, or fewer, run than were wanted before; a further try of one task aims at the size the first one did.",
		Params: []action.Param{
			{Name: "by", Type: action.Int, Doc: "How many more shall run, negative for fewer; the sum lies between 1 and the most configured for the process.", Required: true},
			grace,
		},
		Outputs: []string{"instances", "pids", "previous"}, Effect: action.Observable, Impact: action.Reversible, Duration: 5 * time.Second,
	},
	{
		Name: actSignal, Doc: "Sends a signal to every running instance of the process.",
		Params:  []action.Param{{Name: "signal", Type: action.String, Doc: "Its name without SIG, as in HUP; one of those the configuration allows.", Required: true}},
		Outputs: []string{"instances", "pids", "previous"}, Effect: action.Once, Impact: action.Disruptive, Duration: time.Second,
	},
}

// Driver acts on processes. Close it when done; what it started runs on.
type Driver struct {
	*reader
	log      *slog.Logger
	children *children
	save     func(name string, rec *record) error // a seam for crash tests
}

// New makes the driver and its state directory. Kind Invalid names every
// mistake in the options.
func New(opts Options) (*Driver, error) {
	r, err := newReader(opts)
	if err != nil {
		return nil, err
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, heal.Errorf(heal.Invalid, "make state directory", "%w", err)
	}
	self, err := holdPID(os.Getpid())
	if err != nil {
		return nil, heal.Errorf(heal.Invalid, "hold processes by pidfd", "the kernel does not let us (Linux 5.10 or newer is needed): %w", err)
	}
	return &Driver{
		reader:   r,
		log:      opts.Log,
		children: &children{held: map[int]*handle{}},
		save:     writeRecord,
	}, self.Close()
}

// Close stops reaping. The processes run on.
func (d *Driver) Close() error {
	d.children.release()
	return nil
}

// Specs lists the actions.
func (d *Driver) Specs() []action.Spec { return specs }

// Do carries the action out on every process of the target, one after the
// other. The same key again finds what is done and does the rest; it repeats
// nothing. An epoch lower than one seen before for the target is Denied.
func (d *Driver) Do(ctx context.Context, call action.Call) (action.Result, error) {
	o, processes, err := d.plan(call)
	if err != nil {
		return action.Result{}, err
	}
	outputs := make([]*output, 0, len(processes))
	for _, p := range processes {
		out, err := d.perform(ctx, p, o)
		if err != nil {
			return action.Result{}, heal.Wrap(o.action+" "+string(call.Target), err)
		}
		outputs = append(outputs, out)
	}
	return action.Result{Output: join(outputs)}, nil
}

// Observe says whether the action happened on every process of the target.
func (d *Driver) Observe(_ context.Context, call action.Call) (action.Observation, error) {
	o, processes, err := d.plan(call)
	if err != nil {
		return action.Observation{}, err
	}
	outputs := make([]*output, 0, len(processes))
	for _, p := range processes {
		rec, err := d.load(p)
		if err != nil {
			return action.Observation{}, heal.Wrap("observe "+o.key, err)
		}
		state, out, detail := d.observed(rec, p, o)
		if state != action.Happened {
			return action.Observation{State: state, Detail: detail}, nil
		}
		outputs = append(outputs, out)
	}
	return action.Observation{State: action.Happened, Result: action.Result{Output: join(outputs)}}, nil
}

// order is a checked call.
type order struct {
	key    string
	target heal.EntityID // whose epoch counts; empty when a program starts its own processes
	epoch  int64
	action string
	grace  time.Duration // zero: as configured
	want   int           // of process.scale
	by     int           // of process.scale_by
	signal string
}

// plan checks the call and finds its processes.
func (r *reader) plan(call action.Call) (order, []*Process, error) {
	call, err := action.CheckCall(specs, call)
	if err != nil {
		return order{}, nil, err
	}
	processes, err := r.resolve(call.Target)
	if err != nil {
		return order{}, nil, heal.Wrap(call.Action, err)
	}
	o := order{key: call.Key.String(), target: call.Target, epoch: call.Epoch, action: call.Action}
	o.grace, _ = call.Params["grace"].(time.Duration)
	o.signal, _ = call.Params["signal"].(string)
	instances, _ := call.Params["instances"].(int64)
	switch call.Action {
	case actScale, actScaleBy:
		if len(processes) > 1 {
			return order{}, nil, heal.Errorf(heal.Invalid, call.Action, "%s is served by %d processes; name one, as in process/%s", call.Target, len(processes), processes[0].Name)
		}
		most := int64(processes[0].MaxInstances)
		by, relative := call.Params["by"].(int64)
		switch {
		case relative && (by == 0 || by < -most || by > most):
			return order{}, nil, heal.Errorf(heal.Invalid, call.Action, "parameter \"by\" is %d, expected some more or some fewer of at most %d instances", by, most)
		case !relative && (instances < 1 || instances > most):
			return order{}, nil, heal.Errorf(heal.Invalid, call.Action, "parameter \"instances\" is %d, expected 1 to %d", instances, most)
		}
		o.want, o.by = int(instances), int(by)
	case actSignal:
		if _, ok := r.signals[o.signal]; !ok {
			return order{}, nil, heal.Errorf(heal.Invalid, call.Action, "the signal %.20q is not among those the configuration allows", o.signal)
		}
	}
	return o, processes, nil
}

// join makes the outputs of several processes those of one action.
func join(outputs []*output) map[string]any {
	pids, previous := []any{}, 0
	for _, out := range outputs {
		for _, pid := range out.PIDs {
			pids = append(pids, pid)
		}
		previous += out.Previous
	}
	return map[string]any{"instances": int64(len(pids)), "pids": pids, "previous": int64(previous)}
}

// observed judges one process.
func (r *reader) observed(rec *record, p *Process, o order) (action.State, *output, string) {
	s := rec.step(o.key)
	if s == nil && rec.started(o.key) > 0 { // the state file was lost, the processes were not
		s = &step{Key: o.key, Want: rec.wanted(p)}
	}
	if s == nil {
		return action.NotHappened, nil, p.Name + ": nothing is known of the key"
	}
	if s.done() {
		return action.Happened, s.Output, ""
	}
	done := 0 // instances the order has seen to
	switch o.action {
	case actSignal:
		return action.CannotTell, nil, p.Name + ": a signal was about to be sent, whether it was leaves no trace"
	case actRestart:
		done = rec.started(o.key)
	case actStart, actStop, actScale, actScaleBy:
		done = len(rec.running(r.boot))
	}
	if done == s.Want {
		return action.Happened, rec.output(r.boot, s), ""
	}
	return action.NotHappened, nil, fmt.Sprintf("%s: begun, it stands at %d instances of %d; the same key does the rest", p.Name, done, s.Want)
}
