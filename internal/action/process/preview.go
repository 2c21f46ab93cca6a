package process

import (
	"context"
	"fmt"
	"strings"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// Previewer says what the driver would do. It reads state files and /proc and
// has no way to start, signal or record anything.
type Previewer struct{ reader *reader }

// NewPreviewer makes the previewer from the options of the driver.
func NewPreviewer(opts Options) (*Previewer, error) {
	r, err := newReader(opts)
	if err != nil {
		return nil, err
	}
	return &Previewer{reader: r}, nil
}

// Specs lists the actions.
func (v *Previewer) Specs() []action.Spec { return specs }

// Preview says which processes would be stopped, started or signalled.
func (v *Previewer) Preview(_ context.Context, call action.Call) (action.Preview, error) {
	o, processes, err := v.reader.plan(call)
	if err != nil {
		return action.Preview{}, err
	}
	var text []string
	for _, p := range processes {
		rec, err := v.reader.load(p)
		if err != nil {
			return action.Preview{}, heal.Wrap("preview "+o.action, err)
		}
		if err := o.aim(rec, p); err != nil {
			return action.Preview{}, heal.Wrap("preview "+o.action, err)
		}
		text = append(text, v.sentence(p, rec, o))
	}
	return action.Preview{Text: strings.Join(text, "\n")}, nil
}

func (v *Previewer) sentence(p *Process, rec *record, o order) string {
	running := rec.running(v.reader.boot)
	pids := make([]string, len(running))
	for i, in := range running {
		pids[i] = fmt.Sprint(in.PID)
	}
	grace := p.Grace
	if o.grace > 0 {
		grace = o.grace
	}
	now := fmt.Sprintf("%d running", len(running))
	if len(pids) > 0 {
		now += ", pid " + strings.Join(pids, ", ")
	}
	wanted := rec.wanted(p)
	if wanted == 0 {
		wanted = p.Instances
	}
	command := strings.Join(p.Command, " ")
	switch o.action {
	case actStart:
		return fmt.Sprintf("Would start %s up to %d instances (%s): %s", p.Name, wanted, now, command)
	case actStop:
		return fmt.Sprintf("Would stop %s (%s): SIGTERM, SIGKILL after %s.", p.Name, now, grace)
	case actRestart:
		return fmt.Sprintf("Would restart %s (%s) one instance after the other: SIGTERM, SIGKILL after %s, then %s", p.Name, now, grace, command)
	case actScale, actScaleBy:
		return fmt.Sprintf("Would scale %s to %d instances (%s).", p.Name, o.want, now)
	case actSignal:
		return fmt.Sprintf("Would send SIG%s to %s (%s).", o.signal, p.Name, now)
	}
	return ""
}
