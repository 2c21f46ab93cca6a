package store

// Table names a table of the schema.
type Table string

// Column is an indexed property of a record, kept beside its body.
type Column struct {
	Name string
	Int  bool // int64; else text
}

// Index speeds up queries by the columns, in this order.
type Index struct {
	Columns []string
	Unique  bool // nil values do not collide
}

// TableSchema declares one table. The engines' migrations create it; a test
// keeps them equal.
type TableSchema struct {
	Watched bool // Reader.Changes tells of what is put and deleted
	Columns []Column
	Indexes []Index
}

// The tables.
const (
	Deliveries  Table = "delivery" // accepted webhook bodies, until the alert stage took them
	Alerts      Table = "alert"    // one per fingerprint
	AlertEvents Table = "alert_event"
	Faults      Table = "fault" // signals handed from the alert stage to the incident stage
	Incidents   Table = "incident"
	Timeline    Table = "timeline" // the story of a case
	Decisions   Table = "decision"
	Runs        Table = "run"
	Steps       Table = "step"    // the work queue of the engine
	Journal     Table = "journal" // proposed, approved, started, finished
	Actions     Table = "action"  // the guard's history of what touched a target
	Refusals    Table = "refusal" // what a guard refused, and why
	Leases      Table = "lease"
	Outcomes    Table = "outcome"
	Knowledge   Table = "knowledge" // success per cause pattern and plan
	Changes     Table = "change"    // deploys, settings and the like, as they were told or seen
	Switches    Table = "switch"    // kill switches
	Principals  Table = "principal" // identities and the hashes of their tokens
	Requests    Table = "request"   // idempotency keys of writes
	Topologies  Table = "topology"  // entities and edges, with age and source
	Playbooks   Table = "playbook"  // sources by digest, for the runs that pin them
	Settings    Table = "setting"
	Audit       Table = "audit" // who or what did what, and why
	Seals       Table = "seal"  // the chain of hashes over the audit
	Silences    Table = "silence"
)

// Schema declares every table.
var Schema = map[Table]TableSchema{
	Deliveries: {
		Columns: []Column{{Name: "source"}, {Name: "received", Int: true}},
		Indexes: []Index{{Columns: []string{"revision"}}}, // taken in the order they were accepted
	},
	Alerts: {
		Watched: true,
		Columns: []Column{{Name: "fingerprint"}, {Name: "status"}, {Name: "severity"}, {Name: "service"}, {Name: "entity"}, {Name: "name"}, {Name: "source"}, {Name: "updated", Int: true}},
		Indexes: []Index{{Columns: []string{"fingerprint"}, Unique: true}, {Columns: []string{"status", "updated"}}, {Columns: []string{"service", "updated"}}, {Columns: []string{"entity"}}, {Columns: []string{"updated"}}},
	},
	AlertEvents: {
		Columns: []Column{{Name: "alert"}, {Name: "at", Int: true}},
		Indexes: []Index{{Columns: []string{"at"}}}, // the history of one alert follows the key
	},
	Faults: {
		Columns: []Column{{Name: "entity"}, {Name: "at", Int: true}},
		Indexes: []Index{{Columns: []string{"revision"}}},
	},
	Incidents: {
		Watched: true,
		Columns: []Column{{Name: "state"}, {Name: "severity"}, {Name: "service"}, {Name: "cause"}, {Name: "open", Int: true}, {Name: "due", Int: true}, {Name: "updated", Int: true}},
		Indexes: []Index{{Columns: []string{"open", "due"}}, {Columns: []string{"open", "updated"}}, {Columns: []string{"state", "updated"}}, {Columns: []string{"state", "severity"}}, {Columns: []string{"service", "updated"}}, {Columns: []string{"updated"}}},
	},
	Timeline: {
		Watched: true,
		Columns: []Column{{Name: "incident"}, {Name: "seq", Int: true}},
		Indexes: []Index{{Columns: []string{"incident", "seq"}}},
	},
	Decisions: {
		Watched: true,
		Columns: []Column{{Name: "incident"}, {Name: "at", Int: true}},
		Indexes: []Index{{Columns: []string{"incident", "at"}}},
	},
	Runs: {
		Watched: true,
		Columns: []Column{{Name: "incident"}, {Name: "state"}, {Name: "playbook"}, {Name: "target"}, {Name: "ended", Int: true}, {Name: "created", Int: true}},
		Indexes: []Index{{Columns: []string{"incident"}}, {Columns: []string{"state", "created"}}, {Columns: []string{"ended", "created"}}, {Columns: []string{"created"}}},
	},
	Steps: {
		Columns: []Column{{Name: "run"}, {Name: "state"}, {Name: "due", Int: true}, {Name: "owner"}, {Name: "epoch", Int: true}, {Name: "lease", Int: true}},
		Indexes: []Index{{Columns: []string{"state", "due"}}, {Columns: []string{"run"}}},
	},
	Journal: {
		Columns: []Column{{Name: "run"}, {Name: "seq", Int: true}},
		Indexes: []Index{{Columns: []string{"run", "seq"}}},
	},
	Actions: {
		Columns: []Column{{Name: "target"}, {Name: "incident"}, {Name: "run"}, {Name: "at", Int: true}},
		Indexes: []Index{{Columns: []string{"target", "at"}}, {Columns: []string{"incident", "at"}}, {Columns: []string{"at"}}},
	},
	Refusals: {
		Columns: []Column{{Name: "target"}, {Name: "run"}, {Name: "at", Int: true}},
		Indexes: []Index{{Columns: []string{"target", "at"}}, {Columns: []string{"run"}}, {Columns: []string{"at"}}},
	},
	Leases: {
		Columns: []Column{{Name: "owner"}, {Name: "epoch", Int: true}, {Name: "until", Int: true}},
		Indexes: []Index{{Columns: []string{"owner"}}},
	},
	Outcomes: {
		Columns: []Column{{Name: "pattern"}, {Name: "playbook"}, {Name: "at", Int: true}},
		Indexes: []Index{{Columns: []string{"pattern", "playbook"}}, {Columns: []string{"at"}}},
	},
	Knowledge: {
		Columns: []Column{{Name: "pattern"}},
		Indexes: []Index{{Columns: []string{"pattern"}}},
	},
	Changes: {
		Watched: true,
		Columns: []Column{{Name: "entity"}, {Name: "kind"}, {Name: "source"}, {Name: "at", Int: true}},
		Indexes: []Index{{Columns: []string{"entity", "at"}}, {Columns: []string{"kind", "at"}}, {Columns: []string{"at"}}},
	},
	Switches:   {Watched: true},
	Principals: {},
	Requests: {
		Columns: []Column{{Name: "at", Int: true}},
		Indexes: []Index{{Columns: []string{"at"}}},
	},
	Topologies: {
		Columns: []Column{{Name: "seen", Int: true}},
	},
	Playbooks: {
		Columns: []Column{{Name: "name"}, {Name: "at", Int: true}},
		Indexes: []Index{{Columns: []string{"name", "at"}}},
	},
	Settings: {Watched: true},
	Audit: {
		Watched: true,
		Columns: []Column{{Name: "actor"}, {Name: "act"}, {Name: "subject"}, {Name: "incident"}, {Name: "run"}, {Name: "at", Int: true}},
		Indexes: []Index{{Columns: []string{"at"}}, {Columns: []string{"subject", "at"}}, {Columns: []string{"incident", "at"}}},
	},
	Seals: {
		Columns: []Column{{Name: "number", Int: true}},
		Indexes: []Index{{Columns: []string{"number"}, Unique: true}},
	},
	Silences: {
		Watched: true,
		Columns: []Column{{Name: "ends", Int: true}},
		Indexes: []Index{{Columns: []string{"ends"}}},
	},
}
