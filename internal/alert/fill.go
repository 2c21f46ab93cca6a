package alert

import (
	"fmt"
	"net"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// filler builds one alert from the values of a mapping's expressions.
type filler struct {
	mapping *Mapping
	o       Observed
	failed  []string // why something was left out
}

// field evaluates one field; an error means that the alert must be skipped.
func (f *filler) field(p *program, vars map[string]any) error {
	value, err := p.code.Eval(vars)
	if err == nil {
		err = f.set(p.key, value)
	}
	if err == nil {
		return nil
	}
	err = f.mapping.at(p, err)
	switch p.key {
	case fieldName, fieldStatus, fieldSeverity, fieldFingerprint:
		return err
	}
	f.failed = append(f.failed, err.Error())
	return nil
}

// set puts a value into its field. An absent value (null, empty text) leaves
// the field as it is.
func (f *filler) set(key string, value any) error {
	switch key {
	case fieldStarts:
		return setTime(&f.o.Starts, value)
	case fieldEnds:
		return setTime(&f.o.Ends, value)
	case fieldValue:
		return setNumber(&f.o.Value, value)
	case fieldThreshold:
		return setNumber(&f.o.Threshold, value)
	}
	text, err := toText(value)
	if err != nil || text == "" {
		return err
	}
	switch key {
	case fieldName:
		f.o.Name = text
	case fieldStatus:
		return f.setStatus(text)
	case fieldSeverity:
		f.o.Severity = f.severity(text)
	case fieldFingerprint:
		f.o.Fingerprint = text
	case fieldDescription:
		f.o.Description = text
	case fieldEntity:
		id := heal.EntityID(text)
		if err := id.Validate(); err != nil {
			return err
		}
		f.o.Entity = id
	case fieldService:
		f.o.Service = text
	case fieldHostIP:
		if net.ParseIP(text) == nil {
			return fmt.Errorf("%.60q is not an IP address", text)
		}
		f.o.HostIP = text
	case fieldMetric:
		f.o.Metric = text
	case fieldRuleID:
		f.o.RuleID = text
	case fieldCondition:
		f.o.Condition = heal.Condition{Kind: heal.ConditionPromQL, Expr: text}
	case fieldAcknowledgedBy:
		f.o.AcknowledgedBy = text
	}
	return nil
}

func (f *filler) setStatus(text string) error {
	status, ok := statusWord(translate(f.mapping.statuses, text))
	if !ok {
		return fmt.Errorf("%.60q is no known status; add it to statuses as firing, acknowledged or resolved", text)
	}
	f.o.Status = status
	return nil
}

func (f *filler) severity(text string) heal.Severity {
	return Severity(translate(f.mapping.severities, text))
}

// translate looks text up in a user's table, without regard to case if it is
// not there as written.
func translate(table map[string]string, text string) string {
	if to, ok := table[text]; ok {
		return to
	}
	for from, to := range table {
		if strings.EqualFold(from, text) {
			return to
		}
	}
	return text
}

// text puts the value of one label or annotation.
func (f *filler) text(p *program, vars map[string]any, into map[string]string) {
	value, err := p.code.Eval(vars)
	var text string
	if err == nil {
		text, err = toText(value)
	}
	if err != nil {
		f.failed = append(f.failed, f.mapping.at(p, err).Error())
		return
	}
	if text != "" {
		into[p.key] = text
	}
}

// merge takes a map of labels.
func (f *filler) merge(p *program, vars map[string]any) {
	value, err := p.code.Eval(vars)
	if err != nil {
		f.failed = append(f.failed, f.mapping.at(p, err).Error())
		return
	}
	labels, ok := value.(map[string]any)
	if !ok && value != nil {
		f.failed = append(f.failed, f.mapping.at(p, fmt.Errorf("does not give a map of labels")).Error())
	}
	for name, value := range labels {
		if text, err := toText(value); err == nil && text != "" {
			f.o.Labels[name] = text
		}
	}
}
