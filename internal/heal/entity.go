package heal

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// EntityKind is what sort of thing an entity is.
type EntityKind string

// The kinds of entity.
const (
	KindService  EntityKind = "service"
	KindProcess  EntityKind = "process"
	KindHost     EntityKind = "host"
	KindPod      EntityKind = "pod"
	KindDatabase EntityKind = "database"
	KindCache    EntityKind = "cache"
	KindQueue    EntityKind = "queue"
	KindExternal EntityKind = "external"
)

// EntityID names one entity as "<kind>/<name>", for example "service/cart".
type EntityID string

// NewEntityID joins a kind and a name.
func NewEntityID(kind EntityKind, name string) EntityID {
	return EntityID(string(kind) + "/" + name)
}

// ServiceID is the entity id of a service.
func ServiceID(name string) EntityID { return NewEntityID(KindService, name) }

// Kind is the part before the first slash.
func (id EntityID) Kind() EntityKind {
	kind, _, _ := strings.Cut(string(id), "/")
	return EntityKind(kind)
}

// Name is the part after the first slash.
func (id EntityID) Name() string {
	_, name, _ := strings.Cut(string(id), "/")
	return name
}

// Validate refuses ids that name nothing or everything: an action aimed at
// them could hit what nobody meant.
func (id EntityID) Validate() error {
	kind, name, ok := strings.Cut(string(id), "/")
	switch {
	case !ok || kind == "":
		return Errorf(Invalid, "entity id", "%q is not of the form kind/name, as in service/cart", string(id))
	case name == "" || strings.TrimSpace(name) != name:
		return Errorf(Invalid, "entity id", "%q has an empty name or spaces around it", string(id))
	case strings.ContainsAny(string(id), "*?"):
		return Errorf(Invalid, "entity id", "%q has a wildcard; exactly one entity must be named", string(id))
	case !utf8.ValidString(string(id)) || strings.ContainsFunc(string(id), unicode.IsControl):
		return Errorf(Invalid, "entity id", "%.64q has a control character or is not valid UTF-8", string(id))
	case len(id) > 512:
		return Errorf(Invalid, "entity id", "is %d bytes long, at most 512 are taken", len(id))
	}
	return nil
}

// Entity is one thing that can be healthy or not.
type Entity struct {
	ID         EntityID          `json:"id"`
	Scope      Scope             `json:"scope"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// Scope says where something lives and who may touch it.
type Scope struct {
	Tenant  string `json:"tenant"`
	Env     string `json:"env"`
	Cluster string `json:"cluster"`
	Service string `json:"service,omitempty"`
}

// DefaultScope is the scope of an installation that names none.
var DefaultScope = Scope{Tenant: "default", Env: "default", Cluster: "default"}

// WithService is the scope narrowed to one service.
func (s Scope) WithService(name string) Scope {
	s.Service = name
	return s
}

// String gives "tenant/env/cluster/service", the service left out if empty.
func (s Scope) String() string {
	text := s.Tenant + "/" + s.Env + "/" + s.Cluster
	if s.Service != "" {
		text += "/" + s.Service
	}
	return text
}

// ParseScope reads what String wrote. Trailing parts may be left out; "" is
// the whole installation.
func ParseScope(text string) (Scope, error) {
	if text == "" {
		return Scope{}, nil
	}
	parts := strings.SplitN(text, "/", 4)
	for i, p := range parts {
		if p == "" {
			return Scope{}, fmt.Errorf("scope %q: part %d is empty, expected tenant/env/cluster/service", text, i+1)
		}
	}
	var s Scope
	for i, into := range []*string{&s.Tenant, &s.Env, &s.Cluster, &s.Service} {
		if i < len(parts) {
			*into = parts[i]
		}
	}
	return s, nil
}

// Contains reports whether other lies inside s; an empty part of s stands for
// every value.
func (s Scope) Contains(other Scope) bool {
	return (s.Tenant == "" || s.Tenant == other.Tenant) &&
		(s.Env == "" || s.Env == other.Env) &&
		(s.Cluster == "" || s.Cluster == other.Cluster) &&
		(s.Service == "" || s.Service == other.Service)
}
