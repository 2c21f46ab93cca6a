package form

// Note is a person's remark.
type Note struct {
	Text string `json:"text" minLength:"1" maxLength:"4000" example:"the provider confirmed an outage"`
}

// Why is a person's reason for what they ask.
type Why struct {
	Reason string `json:"reason,omitempty" maxLength:"1000" example:"maintenance of the database"`
}

// Because is a reason that must be given.
type Because struct {
	Reason string `json:"reason" minLength:"1" maxLength:"1000" example:"restarted by hand"`
}

// Remark goes with what is done to an alert.
type Remark struct {
	Note string `json:"note,omitempty" maxLength:"4000"`
}

// Answer goes with an approval or its denial.
type Answer struct {
	Task string `json:"task,omitempty" maxLength:"128" doc:"Which task's question is answered. May be left out if only one question waits."`
	Note string `json:"note,omitempty" maxLength:"4000"`
}

// Settlement is a person's word on a task nobody could be sure of.
type Settlement struct {
	Task string `json:"task" minLength:"1" maxLength:"128" example:"restart"`
	As   string `json:"as" enum:"happened,retry,give_up" doc:"happened: go on; retry: it did not happen, try again; give_up: treat it as failed."`
	Note string `json:"note,omitempty" maxLength:"4000"`
}

// RunOrder asks for a run of a playbook.
type RunOrder struct {
	Target string            `json:"target" minLength:"3" maxLength:"512" doc:"Exactly one entity, as kind/name." example:"service/cart"`
	Params map[string]string `json:"params,omitempty" maxProperties:"64" doc:"As a person types them; lists with commas or as JSON."`
	DryRun bool              `json:"dry_run,omitempty" doc:"Only say what would be done. Nothing is touched."`
}

// PlaybookSource is a playbook to be checked.
type PlaybookSource struct {
	File   string `json:"file,omitempty" maxLength:"512" doc:"Only for the messages."`
	Source string `json:"source" maxLength:"1048576" doc:"The YAML."`
}

// SwitchOrder turns a kill switch.
type SwitchOrder struct {
	Scope  string `json:"scope,omitempty" maxLength:"512" doc:"tenant/env/cluster/service, trailing parts may be left out. Empty: everything." example:"default/prod"`
	On     bool   `json:"on" doc:"While it is on, nothing touches its scope."`
	Reason string `json:"reason" minLength:"1" maxLength:"1000"`
}

// Rerun says where an ended run is gone on with.
type Rerun struct {
	From   []string `json:"from,omitempty" maxItems:"200" doc:"Tasks to begin at; absent: those that failed or ran out of time." example:"restart"`
	Reason string   `json:"reason,omitempty" maxLength:"1000"`
}

// PlaybookChange is a new version of a playbook.
type PlaybookChange struct {
	Source string `json:"source" minLength:"1" maxLength:"1048576" doc:"The YAML."`
	Reason string `json:"reason" minLength:"1" maxLength:"1000" doc:"Why, kept with the version."`
}

// PlaybookRollback names an earlier version.
type PlaybookRollback struct {
	To     int    `json:"to" minimum:"1" doc:"Number of the version that is to be the newest again."`
	Reason string `json:"reason" minLength:"1" maxLength:"1000" doc:"Why, kept with the version."`
}
