package series

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/rules"
)

// RuleState is whether an alert of a rule holds.
type RuleState string

// The states of an alert that is told of.
const (
	RuleFiring   RuleState = "firing"
	RuleResolved RuleState = "resolved"
)

// RuleAlert is one alert of one rule.
type RuleAlert struct {
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels"` // with alertname and those of the rule
	Annotations map[string]string `json:"annotations"`
	Value       float64           `json:"value"` // of the expression, when last evaluated
	Expr        string            `json:"expr"`
	Interval    time.Duration     `json:"interval"` // between evaluations
	For         time.Duration     `json:"for"`
	Group       string            `json:"group"`
	ActiveAt    time.Time         `json:"active_at"` // the expression became true
	FiredAt     time.Time         `json:"fired_at"`  // and stayed so for For
	ResolvedAt  time.Time         `json:"resolved_at,omitzero"`
	State       RuleState         `json:"state"`
}

// outbox is what one group has told the sink and has yet to tell. It is used
// by the group's goroutine only.
type outbox struct {
	letters map[string]*letter
}

// letter is one alert, by rule and labels, through all its episodes.
type letter struct {
	current RuleAlert   // as last seen
	unsent  []RuleAlert // in order; of several episodes the last
	told    time.Time   // when the sink last took it
}

// deliver tells the sink what changed in a group: each transition at once,
// what keeps firing again after ResendDelay, and what it did not take before.
func (r *Rules) deliver(ctx context.Context, g *rules.Group, now time.Time) {
	box := r.outbox(g)
	seen := map[string]bool{}
	for i, rule := range g.Rules() {
		alerting, ok := rule.(*rules.AlertingRule)
		if !ok {
			continue
		}
		prefix := alerting.Name() + "\xff" + ruleNumber(g, i) + "\xff"
		healthy := alerting.Health() == rules.HealthGood
		for _, alert := range alertsOf(g, alerting) {
			key := prefix + alert.key
			seen[key] = true
			if healthy { // an evaluation that failed says nothing
				box.see(key, alert.RuleAlert, now, r.opts.ResendDelay)
			}
		}
		for key, l := range box.letters {
			if !strings.HasPrefix(key, prefix) || seen[key] {
				continue
			}
			seen[key] = true
			if healthy && l.current.State == RuleFiring { // gone without a word: the rule starts over
				gone := l.current
				gone.State, gone.ResolvedAt = RuleResolved, now
				box.see(key, gone, now, r.opts.ResendDelay)
			}
		}
	}
	for key := range box.letters { // of a rule that is no more
		if !seen[key] {
			delete(box.letters, key)
		}
	}
	batch := box.unsent()
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.SinkTimeout)
	defer cancel()
	if err := r.sink(ctx, batch); err != nil {
		r.failed.Add(1)
		r.opts.Logger.WarnContext(ctx, "alerts not taken, they are sent again", slog.String("group", g.Name()), slog.Int("alerts", len(batch)), slog.Any("error", err))
		return
	}
	r.delivered.Add(uint64(len(batch)))
	box.taken(now)
}

// see notes the state of an alert and what must be told of it.
func (b *outbox) see(key string, alert RuleAlert, now time.Time, resend time.Duration) {
	l, known := b.letters[key]
	switch {
	case !known && alert.State == RuleResolved:
		return // told before, kept by the rule for a while
	case !known:
		l = &letter{}
		b.letters[key] = l
	}
	before := l.current
	l.current = alert
	again := known && before.State == RuleFiring && !before.FiredAt.Equal(alert.FiredAt)
	switch {
	case alert.State == RuleFiring && again: // a new episode, the end of the old one unseen
		before.State, before.ResolvedAt = RuleResolved, alert.ActiveAt
		l.unsent = []RuleAlert{before, alert}
	case before.State != alert.State:
		if len(l.unsent) == 2 { // an episode the sink never heard of; the last two words count
			l.unsent = l.unsent[1:]
		}
		l.unsent = append(l.unsent, alert)
	case len(l.unsent) > 0:
		l.unsent[len(l.unsent)-1] = alert // the newest value
	case alert.State == RuleFiring && now.Sub(l.told) >= resend:
		l.unsent = append(l.unsent, alert)
	}
}

// unsent is all that must be told, in a stable order.
func (b *outbox) unsent() []RuleAlert {
	keys := make([]string, 0, len(b.letters))
	for key, l := range b.letters {
		if len(l.unsent) > 0 {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var out []RuleAlert
	for _, key := range keys {
		out = append(out, b.letters[key].unsent...)
	}
	return out
}

// taken notes that the sink took all that was unsent.
func (b *outbox) taken(now time.Time) {
	for key, l := range b.letters {
		switch {
		case len(l.unsent) == 0:
		case l.current.State == RuleResolved:
			delete(b.letters, key)
		default:
			l.unsent, l.told = nil, now
		}
	}
}

func (r *Rules) outbox(g *rules.Group) *outbox {
	key := rules.GroupKey(g.File(), g.Name())
	r.boxesMu.Lock()
	defer r.boxesMu.Unlock()
	box, ok := r.boxes[key]
	if !ok {
		box = &outbox{letters: map[string]*letter{}}
		r.boxes[key] = box
	}
	return box
}

// ruleNumber tells rules of one name apart by their position among them.
func ruleNumber(g *rules.Group, index int) string {
	n := 0
	all := g.Rules()
	for _, before := range all[:index] {
		if before.Name() == all[index].Name() {
			n++
		}
	}
	return strconv.Itoa(n)
}

type keyed struct {
	RuleAlert
	key string
}

// alertsOf copies the alerts of a rule that fire or have just ceased to.
func alertsOf(g *rules.Group, rule *rules.AlertingRule) []keyed {
	var out []keyed
	expr := rule.Query().String()
	rule.ForEachActiveAlert(func(a *rules.Alert) {
		alert := keyed{key: string(a.Labels.Bytes(nil)), RuleAlert: RuleAlert{
			Name: rule.Name(), Labels: a.Labels.Map(), Annotations: a.Annotations.Map(), Value: a.Value,
			Expr: expr, Interval: g.Interval(), For: rule.HoldDuration(), Group: g.Name(),
			ActiveAt: a.ActiveAt, FiredAt: a.FiredAt, ResolvedAt: a.ResolvedAt,
		}}
		switch a.State {
		case rules.StateFiring:
			alert.State, alert.ResolvedAt = RuleFiring, time.Time{}
		case rules.StateInactive:
			alert.State = RuleResolved
		case rules.StatePending, rules.StateUnknown:
			return
		}
		out = append(out, alert)
	})
	return out
}
