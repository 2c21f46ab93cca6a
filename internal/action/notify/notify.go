// Package notify is the driver by which a playbook tells people something.
//
// Its one invariant: every repetition of a step carries the same delivery id, so
// that a receiver can show one message once. It is not for the messages before
// and after a run, which need no step (see notify at the top).
package notify

import (
	"context"
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/notify"
)

// Webhook is the name of the one action.
const Webhook = "notify.webhook"

var specs = []action.Spec{{
	Name: Webhook,
	Doc:  "Sends a message to the configured webhook.",
	Params: []action.Param{
		{Name: "message", Type: action.String, Doc: "What to tell.", Required: true},
		{Name: "title", Type: action.String, Doc: "What it is about, in a few words."},
		{Name: "severity", Type: action.String, Doc: "info, warning or critical.", Default: string(heal.Info)},
	},
	Effect:   action.Idempotent,
	Impact:   action.Harmless,
	Duration: time.Second,
}}

// Driver sends messages through one channel.
type Driver struct{ channel notify.Channel }

// New makes the driver. Without a channel, nil, every call is refused with the
// word that none is configured.
func New(channel notify.Channel) *Driver { return &Driver{channel: channel} }

// Specs lists notify.webhook.
func (d *Driver) Specs() []action.Spec { return specs }

// Do sends the message and returns when it is delivered; the kind of an error
// is that of the channel.
func (d *Driver) Do(ctx context.Context, call action.Call) (action.Result, error) {
	m, err := parse(call)
	if err != nil {
		return action.Result{}, err
	}
	if d.channel == nil {
		return action.Result{}, heal.Errorf(heal.Invalid, call.Action, "no webhook is configured")
	}
	m.At = time.Now().UTC()
	return action.Result{}, d.channel.Send(ctx, m)
}

// Observe cannot tell; sending again with the same delivery id does no harm.
func (d *Driver) Observe(_ context.Context, call action.Call) (action.Observation, error) {
	if _, err := parse(call); err != nil {
		return action.Observation{}, err
	}
	return action.Observation{State: action.CannotTell, Detail: "whether a message was delivered is known to the receiver alone"}, nil
}

func parse(call action.Call) (notify.Message, error) {
	call, err := action.CheckCall(specs, call)
	if err != nil {
		return notify.Message{}, err
	}
	m := notify.Message{ID: call.Key.String(), Phase: notify.Note, RunID: call.Key.Run, Entity: call.Target}
	m.Text, _ = call.Params["message"].(string)
	m.Title, _ = call.Params["title"].(string)
	severity, _ := call.Params["severity"].(string)
	switch m.Severity = heal.Severity(severity); m.Severity {
	case heal.Info, heal.Warning, heal.Critical:
	default:
		return m, heal.Errorf(heal.Invalid, "check "+call.Action, "parameter \"severity\" is %.20q, expected info, warning or critical", severity)
	}
	if m.Text == "" {
		return m, heal.Errorf(heal.Invalid, "check "+call.Action, "parameter \"message\" is empty")
	}
	return m, nil
}

// Previewer says what would be sent. It has no channel.
type Previewer struct{}

// NewPreviewer makes the previewer.
func NewPreviewer() Previewer { return Previewer{} }

// Specs lists notify.webhook.
func (Previewer) Specs() []action.Spec { return specs }

// Preview gives the message.
func (Previewer) Preview(_ context.Context, call action.Call) (action.Preview, error) {
	m, err := parse(call)
	if err != nil {
		return action.Preview{}, err
	}
	return action.Preview{Text: fmt.Sprintf("Would send to the webhook (%s): %s", m.Severity, m.Text)}, nil
}
