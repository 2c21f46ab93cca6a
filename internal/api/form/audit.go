package form

import "time"

// AuditEntry is one line of the record of who or what did what.
type AuditEntry struct {
	ID       string            `json:"id"`
	Revision int64             `json:"revision"`
	At       time.Time         `json:"at"`
	Actor    string            `json:"actor" doc:"A principal, or homeostat for what it does by itself." example:"homeostat"`
	Act      string            `json:"act" doc:"decided, acted, refused, expired, began, ended, started; or the operation somebody asked for." example:"turn-kill-switch"`
	Subject  string            `json:"subject,omitempty" example:"service/cart"`
	Scope    string            `json:"scope,omitempty"`
	Incident string            `json:"incident_id,omitempty"`
	Run      string            `json:"run_id,omitempty"`
	Decision string            `json:"decision_id,omitempty"`
	Result   string            `json:"result,omitempty" example:"done"`
	Text     string            `json:"text" doc:"A plain sentence."`
	Reasons  []Reason          `json:"reasons" doc:"Why, with the evidence."`
	Details  map[string]string `json:"details,omitempty"`
}

// AuditReport says whether the record is what it was.
type AuditReport struct {
	Intact   bool         `json:"intact"`
	Entries  int64        `json:"entries" doc:"In the chain."`
	Unsealed int64        `json:"unsealed" doc:"Younger than the newest seal."`
	Seals    int64        `json:"seals"`
	Since    time.Time    `json:"since,omitzero" doc:"Time of the first seal."`
	Head     string       `json:"head,omitempty" doc:"End of the chain, as number:hash. Keep it elsewhere and give it back to learn whether the chain was cut or written anew."`
	Faults   []AuditFault `json:"faults" doc:"The first ones, at most 100."`
}

// AuditFault is one place where the record is not what it was.
type AuditFault struct {
	Seal  int64  `json:"seal"`
	Entry string `json:"entry_id,omitempty"`
	Text  string `json:"text"`
}
