package alert

import (
	"net"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// EntityRule finds the entity of an alert by one label. Rules are tried in
// order; one whose label is missing, or does not make a valid id, is passed
// over.
type EntityRule struct {
	Label string          // the label with the name
	Kind  heal.EntityKind // of the entity; empty: the label holds a whole id such as service/cart
	In    string          // label whose value goes before the name, as the namespace of a pod does
	Host  bool            // the label may be host:port, of which the host counts
}

// DefaultEntityRules are the rules for sources that name none: what is closest
// to the thing that can be healed comes first.
func DefaultEntityRules() []EntityRule {
	return []EntityRule{
		{Label: "entity"},
		{Label: "service_name", Kind: heal.KindService},
		{Label: "service", Kind: heal.KindService},
		{Label: "app", Kind: heal.KindService},
		{Label: "job", Kind: heal.KindService},
		{Label: "pod", Kind: heal.KindPod, In: "namespace"},
		{Label: "host", Kind: heal.KindHost, Host: true},
		{Label: "host_name", Kind: heal.KindHost, Host: true},
		{Label: "instance", Kind: heal.KindHost, Host: true},
		{Label: "node", Kind: heal.KindHost, Host: true},
	}
}

// EntityOf applies the rules; an alert that names nothing known is about the
// source itself, external/<source>.
func EntityOf(rules []EntityRule, labels map[string]string, source string) heal.EntityID {
	for _, r := range rules {
		if id := r.apply(labels); id != "" {
			return id
		}
	}
	return heal.NewEntityID(heal.KindExternal, source)
}

func (r EntityRule) apply(labels map[string]string) heal.EntityID {
	value := labels[r.Label]
	if value == "" {
		return ""
	}
	if r.Host {
		value = hostPart(value)
	}
	if r.In != "" && labels[r.In] != "" {
		value = labels[r.In] + "/" + value
	}
	id := heal.EntityID(value)
	if r.Kind != "" {
		id = heal.NewEntityID(r.Kind, value)
	}
	if id.Validate() != nil {
		return ""
	}
	return id
}

// serviceOf is the service an alert speaks of: that of its entity, else that
// of the labels.
func serviceOf(entity heal.EntityID, rules []EntityRule, labels map[string]string) string {
	if entity.Kind() == heal.KindService {
		return entity.Name()
	}
	for _, r := range rules {
		if r.Kind != heal.KindService {
			continue
		}
		if id := r.apply(labels); id != "" {
			return id.Name()
		}
	}
	return ""
}

// hostIPOf is the first IP address among the labels that name a host.
func hostIPOf(entity heal.EntityID, rules []EntityRule, labels map[string]string) string {
	for _, name := range []string{"host_ip", "ip"} {
		if ip := net.ParseIP(labels[name]); ip != nil {
			return ip.String()
		}
	}
	if entity.Kind() == heal.KindHost {
		if ip := net.ParseIP(entity.Name()); ip != nil {
			return ip.String()
		}
	}
	for _, r := range rules {
		if !r.Host {
			continue
		}
		if ip := net.ParseIP(hostPart(labels[r.Label])); ip != nil {
			return ip.String()
		}
	}
	return ""
}

// hostPart is the host of host, host:port or [host]:port.
func hostPart(text string) string {
	if !strings.Contains(text, ":") {
		return text
	}
	if host, _, err := net.SplitHostPort(text); err == nil && host != "" {
		return host
	}
	return strings.Trim(text, "[]")
}
