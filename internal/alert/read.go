package alert

import (
	"encoding/json"

	"github.com/homeostat/homeostat/internal/heal"
)

// storedDepth is how deep the JSON of a stored alert may nest.
const storedDepth = 1000

// Read reads an alert from its JSON as heal.Alert writes it; false if it is
// anything else, which encoding/json may know to read. The alert shares memory
// with what it was read from, all of it.
func Read(data []byte) (heal.Alert, bool) {
	p := newPlain(string(data), storedDepth)
	a := p.alert()
	return a, p.done()
}

// ReadList reads a list of alerts, as Read reads one, from the object that it is
// a member of, and calls other for each other member; false of it is an answer
// for the whole.
func ReadList(data []byte, list string, other func(name, value string) bool) ([]heal.Alert, bool) {
	p := newPlain(string(data), storedDepth)
	var out []heal.Alert
	var seen uint64
	p.members(func(name string) {
		if name != list {
			value := p.value()
			p.odd = p.odd || !other(name, value)
			return
		}
		p.once(&seen, 0)
		out = []heal.Alert{}
		p.elements(func() { out = append(out, p.alert()) })
	})
	return out, p.done()
}

var alertNames = []string{
	"alert_id", "fingerprint", "source_system", "alert_name", "metric_name", "severity", "status", "service_name", "host_ip", "entity", "scope", "metric_value",
	"threshold", "rule_id", "timestamp", "received_at", "clock_skewed", "labels", "description", "context", "acknowledged_by", "acknowledged_at", "resolved_at",
	"silenced_by", "condition", "count", "opened", "events", "raw",
}

func (p *plain) alert() (a heal.Alert) {
	var seen uint64
	p.members(func(name string) {
		switch name {
		case "alert_id":
			p.once(&seen, 0)
			a.ID = heal.AlertID(p.str())
		case "fingerprint":
			p.once(&seen, 1)
			a.Fingerprint = p.str()
		case "source_system":
			p.once(&seen, 2)
			a.SourceSystem = p.str()
		case "alert_name":
			p.once(&seen, 3)
			a.Name = p.str()
		case "metric_name":
			p.once(&seen, 4)
			a.MetricName = p.str()
		case "severity":
			p.once(&seen, 5)
			a.Severity = heal.Severity(p.str())
		case "status":
			p.once(&seen, 6)
			a.Status = heal.AlertStatus(p.str())
		case "service_name":
			p.once(&seen, 7)
			a.ServiceName = p.str()
		case "host_ip":
			p.once(&seen, 8)
			a.HostIP = p.str()
		case "entity":
			p.once(&seen, 9)
			a.Entity = heal.EntityID(p.str())
		case "scope":
			p.once(&seen, 10)
			a.Scope = p.scope()
		case "metric_value":
			p.once(&seen, 11)
			a.MetricValue = p.float()
		case "threshold":
			p.once(&seen, 12)
			a.Threshold = p.float()
		case "rule_id":
			p.once(&seen, 13)
			a.RuleID = p.str()
		case "timestamp":
			p.once(&seen, 14)
			a.Timestamp = p.time()
		case "received_at":
			p.once(&seen, 15)
			a.ReceivedAt = p.time()
		case "clock_skewed":
			p.once(&seen, 16)
			a.ClockSkewed = p.flag()
		case "labels":
			p.once(&seen, 17)
			a.Labels = p.strs()
		case "description":
			p.once(&seen, 18)
			a.Description = p.str()
		case "context":
			p.once(&seen, 19)
			a.Context = p.strs()
		case "acknowledged_by":
			p.once(&seen, 20)
			a.AcknowledgedBy = p.str()
		case "acknowledged_at":
			p.once(&seen, 21)
			a.AcknowledgedAt = p.time()
		case "resolved_at":
			p.once(&seen, 22)
			a.ResolvedAt = p.time()
		case "silenced_by":
			p.once(&seen, 28)
			a.SilencedBy = heal.SilenceID(p.str())
		case "condition":
			p.once(&seen, 23)
			data := p.value()
			p.odd = p.odd || json.Unmarshal([]byte(data), &a.Condition) != nil
		case "count":
			p.once(&seen, 24)
			a.Count = int(p.integer())
		case "opened":
			p.once(&seen, 25)
			a.Opened = int(p.integer())
		case "events":
			p.once(&seen, 26)
			a.Events = int(p.integer())
		case "raw":
			p.once(&seen, 27)
			a.Raw = json.RawMessage(p.value())
		default:
			p.skip(name, alertNames...)
		}
	})
	return a
}

func (p *plain) scope() (s heal.Scope) {
	var seen uint64
	p.members(func(name string) {
		switch name {
		case "tenant":
			p.once(&seen, 0)
			s.Tenant = p.str()
		case "env":
			p.once(&seen, 1)
			s.Env = p.str()
		case "cluster":
			p.once(&seen, 2)
			s.Cluster = p.str()
		case "service":
			p.once(&seen, 3)
			s.Service = p.str()
		default:
			p.skip(name, "tenant", "env", "cluster", "service")
		}
	})
	return s
}
