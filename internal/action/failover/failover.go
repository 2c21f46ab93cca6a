// Package failover is the driver of switches between a primary and its backup:
// failover.switch checks the one to switch to, switches, looks again and
// switches back if that went wrong; failover.await waits until one of them is
// healthy.
//
// The switch is at a URL the configuration names: GET tells which one is asked,
// as {"active": "primary"} or {"active": "backup"}, and PUT of the same changes
// it. A proxy whose own API is another needs a few lines in front of it.
//
// Its one invariant: it never switches to what is not healthy by its own look.
// It is not for deciding when to switch.
package failover

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// The actions.
const (
	Switch = "failover.switch"
	Await  = "failover.await"
)

// The sides of a pair, as the parameters and the switch name them.
const (
	Primary = "primary"
	Backup  = "backup"
)

// Options of the driver.
type Options struct {
	Pairs    []Pair
	Interval time.Duration // between two looks of failover.await; 1 s if zero
}

// Pair is a primary with its backup and the switch between them.
type Pair struct {
	Entity  heal.EntityID // the primary, as cases name it; unique
	Switch  string        // URL, see the package
	Primary string        // URL that answers 2xx while the primary can serve
	Backup  string        // URL that answers 2xx while the backup can serve
	// BackupEntity is the backup as telemetry names it; an output for playbooks
	// that look at it.
	BackupEntity heal.EntityID
}

var outputs = []string{"active", "backup"}

var specs = []action.Spec{
	{
		Name:   Switch,
		Doc:    "Switches to the backup or the primary if that one is healthy, and back if it is not any more right after.",
		Params: []action.Param{{Name: "to", Type: action.String, Doc: "Which one is asked from now on: backup or primary.", Default: Backup}},
		// The same switch thrown twice is thrown once.
		Outputs: outputs, Effect: action.Idempotent, Impact: action.Reversible, Duration: time.Second,
	},
	{
		Name: Await,
		Doc:  "Waits until the primary or the backup is healthy.",
		Params: []action.Param{
			{Name: "which", Type: action.String, Doc: "Which one: backup or primary.", Default: Primary},
			{Name: "for", Type: action.Duration, Doc: "How long it must be healthy without a break.", Default: "30s"},
			{Name: "timeout", Type: action.Duration, Doc: "When to give up.", Default: "12h"},
		},
		Outputs: outputs, Effect: action.ReadOnly, Impact: action.Harmless, Duration: time.Minute,
	},
}

// catalog is the checked configuration.
type catalog map[heal.EntityID]Pair

func newCatalog(opts Options) (catalog, error) {
	c := catalog{}
	for i, p := range opts.Pairs {
		refuse := func(format string, args ...any) (catalog, error) {
			return nil, heal.Errorf(heal.Invalid, "failovers", "entry %d: "+format, append([]any{i + 1}, args...)...)
		}
		if p.Entity.Validate() != nil || p.BackupEntity.Validate() != nil || p.Entity == p.BackupEntity {
			return refuse("entity %q and backup entity %q are not two different kind/name", p.Entity, p.BackupEntity)
		}
		if _, taken := c[p.Entity]; taken {
			return refuse("%s has a backup already", p.Entity)
		}
		for _, text := range []string{p.Switch, p.Primary, p.Backup} {
			u, err := url.Parse(text)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
				return refuse("%q is no http or https URL", text)
			}
		}
		c[p.Entity] = p
	}
	return c, nil
}

// order is a checked call.
type order struct {
	Pair
	action        string
	side          string
	hold, timeout time.Duration
}

func (o order) health() string {
	if o.side == Primary {
		return o.Primary
	}
	return o.Backup
}

func (o order) result() action.Result {
	return action.Result{Output: map[string]any{"active": o.side, "backup": o.BackupEntity.Name()}}
}

// parse checks a call; kind NotFound if its target has no backup.
func (c catalog) parse(call action.Call) (order, error) {
	call, err := action.CheckCall(specs, call)
	if err != nil {
		return order{}, err
	}
	o := order{action: call.Action}
	param := map[string]string{Switch: "to", Await: "which"}[call.Action]
	o.side, _ = call.Params[param].(string)
	if o.side != Primary && o.side != Backup {
		return order{}, heal.Errorf(heal.Invalid, "check "+call.Action, "parameter %q is %.20q, expected backup or primary", param, o.side)
	}
	o.hold, _ = call.Params["for"].(time.Duration)
	o.timeout, _ = call.Params["timeout"].(time.Duration)
	if o.hold > o.timeout {
		return order{}, heal.Errorf(heal.Invalid, "check "+call.Action, "parameter \"for\" (%s) is longer than \"timeout\" (%s)", o.hold, o.timeout)
	}
	pair, ok := c[call.Target]
	if !ok {
		return order{}, heal.Errorf(heal.NotFound, call.Action, "%s has no backup in the configuration", call.Target)
	}
	o.Pair = pair
	return o, nil
}

// Previewer says what would be switched. It has no client.
type Previewer struct{ catalog }

// NewPreviewer makes the previewer from the options of the driver.
func NewPreviewer(opts Options) (*Previewer, error) {
	c, err := newCatalog(opts)
	return &Previewer{c}, err
}

// Specs lists the actions.
func (*Previewer) Specs() []action.Spec { return specs }

// Preview names what would be asked instead of what.
func (v *Previewer) Preview(_ context.Context, call action.Call) (action.Preview, error) {
	o, err := v.parse(call)
	if err != nil {
		return action.Preview{}, err
	}
	if o.action == Await {
		return action.Preview{Text: fmt.Sprintf("Would wait up to %s until the %s of %s is healthy for %s, by %s.", o.timeout, o.side, o.Entity, o.hold, o.health())}, nil
	}
	return action.Preview{Text: fmt.Sprintf("Would switch %s to its %s at %s, if %s says that it is healthy.", o.Entity, o.side, o.Switch, o.health())}, nil
}
