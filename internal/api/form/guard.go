package form

import "time"

// GuardExplanation says what would be allowed now and why.
type GuardExplanation struct {
	Target  string        `json:"target"`
	Action  string        `json:"action,omitempty" doc:"Absent: a playbook as automation would begin it."`
	Impact  string        `json:"impact,omitempty" doc:"What the action can do: reversible, disruptive, destructive. Absent if not known."`
	Scope   string        `json:"scope"`
	Case    string        `json:"case,omitempty" doc:"The open case whose cause the target is; its attempts count."`
	Attempt int           `json:"attempt" doc:"Which one of the case it would be."`
	At      time.Time     `json:"at"`
	Allowed bool          `json:"allowed"`
	Rule    string        `json:"rule,omitempty" doc:"The first guard that refuses."`
	Reason  Reason        `json:"reason"`
	Retry   time.Time     `json:"retry,omitzero" doc:"When the answer may be another; absent: never by itself."`
	Rules   []GuardRule   `json:"rules" doc:"What every guard says, in the order they are asked."`
	Scopes  []GuardScope  `json:"scopes" doc:"The numbers of the scopes it lies in, the narrowest first."`
	Entries []GuardHappen `json:"entries" doc:"What the history has of the target and the case, newest first."`
}

// GuardRule is what one guard says.
type GuardRule struct {
	Rule   string    `json:"rule" example:"cooldown"`
	Allows bool      `json:"allows"`
	Reason Reason    `json:"reason"`
	Retry  time.Time `json:"retry,omitzero"`
}

// GuardScope is how a scope stands.
type GuardScope struct {
	Scope      string        `json:"scope"`
	Known      bool          `json:"known" doc:"False: nobody can say how big it is, and it is taken as small."`
	Instances  int           `json:"instances"`
	Bad        int           `json:"bad" doc:"Entities with a primary fault, after correlation."`
	Worst      []string      `json:"worst" doc:"Some of them."`
	Fault      string        `json:"fault,omitempty" doc:"The fault that most entities have at once."`
	FaultReach int           `json:"fault_reach,omitempty" doc:"How many have it."`
	Acted      []GuardHappen `json:"acted" doc:"What automation and people touched within the window, newest first."`
	At         time.Time     `json:"at" doc:"When it was counted."`
}

// GuardHappen is a line of the history of the guards.
type GuardHappen struct {
	At       time.Time `json:"at"`
	What     string    `json:"what" doc:"run_began, case_ended."`
	Target   string    `json:"target"`
	Run      string    `json:"run,omitempty"`
	Incident string    `json:"incident,omitempty"`
}

// Breaker stops automation where it did not help.
type Breaker struct {
	Scope  string    `json:"scope"`
	Open   bool      `json:"open"`
	By     string    `json:"by" doc:"homeostat opens it, a person closes it."`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Breakers lists the breakers that ever opened.
type Breakers struct {
	Items []Breaker `json:"items"`
}

// BreakerOrder closes a breaker.
type BreakerOrder struct {
	Scope  string `json:"scope" minLength:"1" maxLength:"512" doc:"Exactly that of the breaker." example:"default/default/default"`
	Reason string `json:"reason" minLength:"1" maxLength:"1000"`
}
