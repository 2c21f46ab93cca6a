package form

import "time"

// Me is who asks.
type Me struct {
	Name   string  `json:"name" example:"alice@example.com"`
	Grants []Grant `json:"grants"`
}

// Overview counts the open cases.
type Overview struct {
	Total    int         `json:"total"`
	Open     []OpenCount `json:"open" doc:"What is not zero, the most urgent states first, in each the worst severity first."`
	Complete bool        `json:"complete" doc:"False if there are more open cases than one answer counts for a reader of part of the installation."`
	Revision int64       `json:"revision" doc:"The state of the store this was read from. Watch since it to miss nothing."`
}

// OpenCount is how many open cases have a state and a severity.
type OpenCount struct {
	State    string `json:"state" enum:"open,diagnosing,deciding,waiting_approval,acting,verifying,escalated"`
	Severity string `json:"severity" enum:"info,warning,critical"`
	Count    int    `json:"count"`
}

// Trend is what was healed over some days.
type Trend struct {
	Days     []TrendDay `json:"days" doc:"The oldest first; each has 24 hours."`
	Complete bool       `json:"complete" doc:"False if there were more cases than one answer reads; it then lacks the oldest."`
}

// TrendDay is what was healed on one day.
type TrendDay struct {
	From        time.Time `json:"from"`
	Healed      int       `json:"healed" doc:"Verified."`
	Unattended  int       `json:"unattended" doc:"Of the healed, those no person had to answer for."`
	MTTRSeconds float64   `json:"mttr_seconds" doc:"Mean time from detection to the verified end."`
	MTTRP90     float64   `json:"mttr_p90_seconds"`
}

// Change says that something changed.
type Change struct {
	Revision int64  `json:"revision" doc:"Watch since it to go on after this change."`
	ID       string `json:"id,omitempty" doc:"Of what changed; absent for kill switches."`
	Incident string `json:"incident_id,omitempty" doc:"The case a run is for."`
	Deleted  bool   `json:"deleted,omitempty"`
}
