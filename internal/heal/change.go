package heal

import (
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ChangeID names a change. It is unique within a tenant, environment and
// cluster.
type ChangeID string

// ChangeKind is what sort of thing was changed.
type ChangeKind string

// The kinds of change.
const (
	ChangeDeploy        ChangeKind = "deploy"
	ChangeConfiguration ChangeKind = "configuration"
	ChangeFlag          ChangeKind = "feature_flag"
	ChangeSchema        ChangeKind = "schema"
	ChangeOther         ChangeKind = "other"
)

// ChangeKinds lists them.
func ChangeKinds() []ChangeKind {
	return []ChangeKind{ChangeDeploy, ChangeConfiguration, ChangeFlag, ChangeSchema, ChangeOther}
}

// The sources of changes.
const (
	FromCaller    = "api"       // somebody told
	FromTelemetry = "telemetry" // nobody told; it shows in what the entity sends
)

// Change is something that people or their tools changed about an entity while
// it ran: what is asked after first when it breaks.
type Change struct {
	ID         ChangeID   `json:"id"`
	Kind       ChangeKind `json:"kind"`
	Entity     EntityID   `json:"entity"`
	Scope      Scope      `json:"scope"`
	At         time.Time  `json:"at"`          // event time: when it took effect
	ReceivedAt time.Time  `json:"received_at"` // when it was told
	By         string     `json:"by,omitempty"`
	Summary    string     `json:"summary,omitempty"`
	Link       string     `json:"link,omitempty"`    // http or https: where to read more
	Version    string     `json:"version,omitempty"` // what a deploy brought
	Source     string     `json:"source"`            // FromCaller or FromTelemetry

	Suspected []Suspicion `json:"suspected,omitempty"` // the cases it speaks in, the newest last; at most MaxSuspicions
}

// Suspicion is a case whose diagnosis counts a change for its entity.
type Suspicion struct {
	Incident IncidentID `json:"incident"`
	Scope    Scope      `json:"scope"` // of the case
	Title    string     `json:"title"` // of the case, as it was then
}

// MaxSuspicions is how many cases are kept with a change; beyond it the oldest
// give way.
const MaxSuspicions = 20

// The longest texts of a change, in bytes.
const (
	maxChangeID   = 200
	maxChangeText = 2000
)

// Validate says what is wrong with a change; the kind is Invalid. Times are the
// caller's to judge.
func (c *Change) Validate() error {
	const op = "change"
	if c.ID == "" || len(c.ID) > maxChangeID || strings.ContainsFunc(string(c.ID), func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return Errorf(Invalid, op, "id: %.64q is not 1 to %d bytes of printable text", string(c.ID), maxChangeID)
	}
	known := false
	for _, kind := range ChangeKinds() {
		known = known || c.Kind == kind
	}
	if !known {
		return Errorf(Invalid, op, "kind: %.64q, expected deploy, configuration, feature_flag, schema or other", string(c.Kind))
	}
	if err := c.Entity.Validate(); err != nil {
		return Wrap(op, err)
	}
	if c.At.IsZero() {
		return Errorf(Invalid, op, "at: no time, expected when it took effect")
	}
	for _, text := range []struct{ name, value string }{{"by", c.By}, {"summary", c.Summary}, {"link", c.Link}, {"version", c.Version}, {"source", c.Source}} {
		if len(text.value) > maxChangeText || !utf8.ValidString(text.value) || strings.ContainsRune(text.value, 0) {
			return Errorf(Invalid, op, "%s: not UTF-8 of at most %d bytes without NUL", text.name, maxChangeText)
		}
	}
	if c.Link != "" {
		u, err := url.Parse(c.Link)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return Errorf(Invalid, op, "link: %.64q, expected a URL with http or https", c.Link)
		}
	}
	return nil
}

// changeWords are the kinds of change in words.
var changeWords = map[ChangeKind]string{
	ChangeDeploy: "deploy", ChangeConfiguration: "change of configuration", ChangeFlag: "feature flag", ChangeSchema: "change of schema", ChangeOther: "change",
}

// Text says what was changed, in a phrase: "deploy of 1.4.2 by ci: new cart".
func (c *Change) Text() string {
	text := changeWords[c.Kind]
	if c.Version != "" {
		text += " of " + c.Version
	}
	if c.By != "" {
		text += " by " + c.By
	}
	if c.Source == FromTelemetry {
		text += ", which nobody told of"
	}
	if c.Summary != "" {
		text += ": " + c.Summary
	}
	return text
}
