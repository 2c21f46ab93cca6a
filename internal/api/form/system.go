package form

import "time"

// Playbook is a playbook that can be run.
type Playbook struct {
	ID               string  `json:"id" example:"restart-service"`
	Name             string  `json:"name"`
	Description      string  `json:"description,omitempty"`
	File             string  `json:"file" doc:"Where it comes from; shipped/ is Homeostat's own."`
	Digest           string  `json:"digest" doc:"SHA-256 of the source, in hex."`
	Tier             string  `json:"tier" enum:"quick_fix,standard_recovery,deep_recovery,manual_intervention"`
	Trust            string  `json:"trust" enum:"observe,suggest,auto" doc:"How far it may go on its own, as configured here."`
	Risk             string  `json:"risk" enum:"low,medium,high,critical"`
	Approval         string  `json:"approval" enum:"always,by_risk,never"`
	Params           []Param `json:"params"`
	Tasks            int     `json:"tasks"`
	TimeoutSeconds   float64 `json:"timeout_seconds"`
	EstimatedSeconds float64 `json:"estimated_seconds,omitempty"`
	Source           string  `json:"source,omitempty" doc:"The YAML. Only when one playbook is asked for."`
}

// Param is a declared parameter of a playbook.
type Param struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Default     any    `json:"default,omitempty"`
	Required    bool   `json:"required"`
	Description string `json:"description,omitempty"`
}

// PlaybookCheck is the verdict on a playbook's source.
type PlaybookCheck struct {
	OK       bool      `json:"ok"`
	Problems []Problem `json:"problems"`
}

// Problem is one mistake in a file.
type Problem struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty" doc:"From 1."`
	Column int    `json:"column,omitempty" doc:"From 1."`
	Key    string `json:"key,omitempty"`
	Text   string `json:"text" doc:"What is wrong and what was expected."`
	Hint   string `json:"hint,omitempty"`
}

// Switch is a kill switch.
type Switch struct {
	Scope  string    `json:"scope" doc:"Empty: everything."`
	On     bool      `json:"on"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	ETag   string    `json:"etag" doc:"Give it as If-Match to turn the switch only if nobody else did meanwhile."`
}

// Switches lists the kill switches ever turned.
type Switches struct {
	Items []Switch `json:"items"`
}

// Services is the topology: who depends on whom.
type Services struct {
	Entities []Entity `json:"entities" doc:"By id."`
	Edges    []Edge   `json:"edges" doc:"By from, then to."`
}

// Entity is one thing that can be healthy or not.
type Entity struct {
	ID         string            `json:"id" example:"service/cart"`
	Kind       string            `json:"kind" example:"service"`
	Name       string            `json:"name" example:"cart"`
	Scope      string            `json:"scope"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Sources    []string          `json:"sources" doc:"Who has told of it."`
	LastSeen   time.Time         `json:"last_seen,omitzero"`
	RED        *RED              `json:"red,omitempty" doc:"Absent if nothing is known of its traffic."`
}

// RED is the traffic of a service over a recent window.
type RED struct {
	WindowSeconds float64 `json:"window_seconds" example:"300"`
	Rate          float64 `json:"rate" doc:"Calls a second."`
	ErrorShare    float64 `json:"error_share" doc:"Of the calls, 0 to 1."`
	P50Seconds    float64 `json:"p50_seconds"`
	P99Seconds    float64 `json:"p99_seconds"`
}

// Edge says that From depends on To.
type Edge struct {
	From     string    `json:"from" example:"service/frontend"`
	To       string    `json:"to" example:"service/cart"`
	Sources  []string  `json:"sources"`
	Calls    int64     `json:"calls" doc:"Counted by the source that saw most."`
	Errors   int64     `json:"errors" doc:"Of the calls."`
	LastSeen time.Time `json:"last_seen"`
}

// Knowledge is what is known of one plan against one cause.
type Knowledge struct {
	Pattern     string    `json:"pattern" example:"process_down"`
	Playbook    string    `json:"playbook" example:"restart-service"`
	Uses        int       `json:"uses"`
	Successes   int       `json:"successes"`
	Partial     int       `json:"partial"`
	SuccessRate float64   `json:"success_rate" doc:"Smoothed: (successes + partial/2 + 1) / (uses + 2)."`
	Trusted     bool      `json:"trusted" doc:"Used often enough for the rate to count."`
	MeanSeconds float64   `json:"mean_seconds"`
	LastUsed    time.Time `json:"last_used,omitzero"`
}

// KnowledgeList is everything that is known.
type KnowledgeList struct {
	Items []Knowledge `json:"items" doc:"By pattern, then playbook."`
}

// Report is the return on having Homeostat, over the cases detected in a window.
type Report struct {
	From            time.Time `json:"from"`
	Until           time.Time `json:"until"`
	Complete        bool      `json:"complete" doc:"False if there were more cases than one report reads; it then covers the newest."`
	Cases           int       `json:"cases"`
	Open            int       `json:"open"`
	Healed          int       `json:"healed" doc:"Verified, by an action of Homeostat's."`
	Unattended      int       `json:"unattended" doc:"Of the healed, those no person had to answer for."`
	Escalated       int       `json:"escalated" doc:"Handed to a person."`
	Closed          int       `json:"closed" doc:"Ended otherwise."`
	Signals         int       `json:"signals" doc:"Faults grouped into the cases."`
	MTTDSeconds     float64   `json:"mttd_seconds" doc:"Mean time from the first sign to detection."`
	MTTRSeconds     float64   `json:"mttr_seconds" doc:"Mean time from detection to the verified end, healed cases only."`
	MTTRP90         float64   `json:"mttr_p90_seconds" doc:"90th percentile of the same, nearest rank."`
	UnattendedShare float64   `json:"unattended_share" doc:"Unattended of all ended or escalated cases, 0 to 1."`
	NoiseShare      float64   `json:"noise_share" doc:"Signals that opened no case of their own, 0 to 1."`
}

// Version says what is running.
type Version struct {
	Version string `json:"version" example:"0.1.0"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go" example:"go1.26"`
}

// ProblemDetails is how every error is told (RFC 9457).
type ProblemDetails struct {
	Type   string          `json:"type,omitempty"`
	Title  string          `json:"title"`
	Status int             `json:"status"`
	Detail string          `json:"detail"`
	Errors []ProblemDetail `json:"errors,omitempty"`
}

// ProblemDetail is one of several things that are wrong.
type ProblemDetail struct {
	Message  string `json:"message"`
	Location string `json:"location,omitempty"`
	Value    any    `json:"value,omitempty"`
}

// PlaybookVersion is one state of a playbook.
type PlaybookVersion struct {
	Number    int       `json:"number"`
	At        time.Time `json:"at"`
	Author    string    `json:"author" doc:"Who changed it; file if its file was changed and does not say."`
	Reason    string    `json:"reason"`
	File      string    `json:"file,omitempty"`
	Digest    string    `json:"digest,omitempty" doc:"SHA-256 of the source, in hex."`
	Withdrawn bool      `json:"withdrawn,omitempty" doc:"Its file was gone; it was not in force."`
	Source    string    `json:"source,omitempty" doc:"Only when one version is asked for."`
}

// PlaybookDiff is what changed between two versions.
type PlaybookDiff struct {
	From int    `json:"from" doc:"0: nothing, the playbook did not exist."`
	To   int    `json:"to"`
	Diff string `json:"diff"`
}

// StoreCheck says whether the store is undamaged.
type StoreCheck struct {
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}
