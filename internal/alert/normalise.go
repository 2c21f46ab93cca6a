package alert

import (
	"fmt"
	"maps"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// normalise applies the options to what an adapter read: limits, the severity,
// the condition and the well-known labels and annotations.
func (o Options) normalise(in Observed) (heal.Alert, error) {
	if err := o.Limits.check(in); err != nil {
		return heal.Alert{}, err
	}
	either := func(name string) string {
		if v := in.Labels[name]; v != "" {
			return v
		}
		return in.Annotations[name]
	}
	in.Source, in.EntityRules, in.Scope = o.Source, o.Entity, o.Scope
	if in.Severity == "" {
		in.Severity = Severity(either(o.SeverityLabel))
	}
	if expr := either(o.ConditionAnnotation); expr != "" && in.Condition.Kind == heal.ConditionNone {
		in.Condition = heal.Condition{Kind: heal.ConditionPromQL, Expr: expr}
	}
	if size := len(in.Condition.Expr); size > o.Limits.Description {
		in.Condition = heal.Condition{}
		in.Annotations = with(in.Annotations, "condition_error", fmt.Sprintf("left out: has %d bytes, at most %d are taken", size, o.Limits.Description))
	}
	if in.Name == "" {
		in.Name = "unnamed alert"
	}
	if in.Metric == "" {
		in.Metric = firstOf(in.Labels, "__name__", "metric", "metric_name")
	}
	if in.RuleID == "" {
		in.RuleID = cut(either("rule_id"), o.Limits.LabelValue)
	}
	if in.Value == nil {
		in.Value = number(either("value"))
	}
	if in.Threshold == nil {
		in.Threshold = number(either("threshold"))
	}
	in.Annotations = o.Limits.cutAll(in.Annotations)
	in.Description = cut(in.Description, o.Limits.Description)
	return New(in), nil
}

// check refuses an alert whose identity cannot be kept whole, or that nothing
// could show or store.
func (l Limits) check(o Observed) error {
	for _, f := range []struct{ what, text string }{
		{"name", o.Name},
		{"entity", string(o.Entity)},
		{"service", o.Service},
		{"metric", o.Metric},
		{"rule id", o.RuleID},
		{"acknowledged by", o.AcknowledgedBy},
	} {
		if len(f.text) > l.LabelValue {
			return fmt.Errorf("%s has %d bytes, at most %d are taken", f.what, len(f.text), l.LabelValue)
		}
		if strings.ContainsRune(f.text, 0) {
			return fmt.Errorf("%s has a NUL character", f.what)
		}
	}
	if strings.ContainsRune(o.Fingerprint, 0) {
		return fmt.Errorf("fingerprint has a NUL character")
	}
	if err := l.checkNames("label", o.Labels); err != nil {
		return err
	}
	for name, value := range o.Labels {
		if len(value) > l.LabelValue {
			return fmt.Errorf("label %q has a value of %d bytes, at most %d are taken", name, len(value), l.LabelValue)
		}
		if strings.ContainsRune(value, 0) {
			return fmt.Errorf("label %q has a NUL character", name)
		}
	}
	return l.checkNames("annotation", o.Annotations)
}

func (l Limits) checkNames(what string, in map[string]string) error {
	if len(in) > l.Labels {
		return fmt.Errorf("has %d %ss, at most %d are taken", len(in), what, l.Labels)
	}
	for name := range in {
		switch {
		case name == "":
			return fmt.Errorf("has %s without a name", article(what))
		case len(name) > l.LabelName:
			return fmt.Errorf("has %s with a name of %d bytes, at most %d are taken", article(what), len(name), l.LabelName)
		case strings.ContainsRune(name, 0):
			return fmt.Errorf("has %s with a NUL character in its name", article(what))
		}
	}
	return nil
}

func article(noun string) string {
	if strings.HasPrefix(noun, "a") {
		return "an " + noun
	}
	return "a " + noun
}

// cutAll shortens what is only there to be read.
func (l Limits) cutAll(in map[string]string) map[string]string {
	long := false
	for _, v := range in {
		long = long || len(v) > l.Description
	}
	if !long {
		return in
	}
	out := maps.Clone(in)
	for k, v := range out {
		out[k] = cut(v, l.Description)
	}
	return out
}

// with adds one entry to a map that may be nil, unless the key is taken.
func with(in map[string]string, key, value string) map[string]string {
	if in == nil {
		in = make(map[string]string, 1)
	}
	if _, taken := in[key]; !taken {
		in[key] = value
	}
	return in
}
