package playbook

import (
	"regexp"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// What is assumed where a playbook says nothing.
const (
	DefaultTaskTimeout     = 300 * time.Second // SPEC X1
	DefaultRunTimeout      = 30 * time.Minute
	DefaultApprovalWithin  = 30 * time.Minute
	DefaultOwner           = "approver"
	DefaultBackoff         = time.Second
	DefaultMaxBackoff      = time.Minute
	DefaultJitter          = 0.2
	defaultTarget          = "{{ target.id }}"
	day                    = 86400 // seconds
	maxTasks, maxTriggers  = 200, 64
	maxParams, maxListItem = 64, 256
	maxQuorum              = 20
)

var (
	idPattern    = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	namePattern  = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)
	ownerPattern = regexp.MustCompile(`^[a-z0-9@._-]{1,64}$`)
	verbPattern  = regexp.MustCompile(`^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$`)
)

const (
	idWords   = "small letters, digits, - and _, at most 63, a letter or digit first"
	nameWords = "small letters, digits and _, at most 63, no digit first"
)

func words[T ~string](values ...T) *shape {
	s := &shape{form: formWord}
	for _, v := range values {
		s.words = append(s.words, string(v))
	}
	return s
}

// oneOrMore takes one value of the shape, or a list of them.
func oneOrMore(s *shape) *shape {
	return &shape{form: formEither, text: s, items: &shape{form: formList, items: s, low: 1, high: maxListItem}}
}

func duration(low, high float64) *shape {
	return &shape{form: formDuration, low: low, high: high}
}

func object(fields ...field) *shape { return &shape{form: formObject, fields: fields} }

var (
	text       = &shape{form: formText}
	id         = &shape{form: formText, pattern: idPattern, expected: "an id of " + idWords}
	verb       = &shape{form: formText, pattern: verbPattern, expected: "an action as driver.verb, as in process.restart"}
	owner      = &shape{form: formText, pattern: ownerPattern, expected: "a role or the name of a principal"}
	quorum     = &shape{form: formInt, low: 1, high: maxQuorum}
	parameters = &shape{form: formMap, items: &shape{form: formAny}, high: maxParams}

	severityWords = words(heal.Info, heal.Warning, heal.Critical)
	riskWords     = words(heal.RiskLow, heal.RiskMedium, heal.RiskHigh, heal.RiskCritical)
	kindWords     = words(heal.KindService, heal.KindProcess, heal.KindHost, heal.KindPod, heal.KindDatabase, heal.KindCache, heal.KindQueue, heal.KindExternal)
	faultWords    = words(heal.PerformanceDegradation, heal.ResourceExhaustion, heal.ConnectionFailure, heal.DataCorruption, heal.Deadlock, heal.MemoryLeak, heal.ErrorsRaised, heal.Unavailable, heal.UnknownFault)
	typeWords     = words(action.String, action.Int, action.Float, action.Bool, action.Duration, action.Strings, action.Object)
)

var format = object(
	field{"playbook_id", true, "Names the playbook; unique in an installation.", id},
	field{"name", true, "What people call it.", text},
	field{"description", false, "What it does and when it helps.", text},
	field{"tier", false, "Rung of the recovery ladder; default quick_fix.", words(heal.TierQuickFix, heal.TierStandard, heal.TierDeep)},
	field{"trust", false, "How far it may go alone: observe (dry run), suggest (asks), auto; default observe.", words(heal.TrustObserve, heal.TrustSuggest, heal.TrustAuto)},
	field{"risk", false, "How much harm it can do; default medium.", riskWords},
	field{"trigger_conditions", false, "When it fits: any one of these. Without them only a person starts it.", &shape{form: formList, items: triggerFormat, low: 1, high: maxTriggers}},
	field{"params", false, "What may be set for a run.", &shape{form: formMap, pattern: namePattern, expected: nameWords, items: paramFormat, high: maxParams}},
	field{"approval", false, "Who is asked before the run starts.", object(
		field{"required", false, "always, by_risk (as the policy says) or never; default by_risk.", words(ApprovalAlways, ApprovalByRisk, ApprovalNever)},
		field{"owner", false, "Roles or identities that are asked; default approver.", oneOrMore(owner)},
		field{"quorum", false, "How many different people must say yes; default 1. One no is a no.", quorum},
		field{"deadline", false, "How long the answer may take; silence means no. Default 30m.", duration(1, 30*day)},
	)},
	field{"verification", false, "How the heal is checked, instead of the fault's own condition.", object(
		field{"condition", false, "PromQL template; a non-empty result means the fault persists.", text},
		field{"probe", false, "Template of a monitor's name; failing means the fault persists.", text},
		field{"window", false, "How long it must stay clear; default is the loop's.", duration(1, day)},
	)},
	field{"timeout", false, "Bound of the whole run; default 30m.", duration(1, 30*day)},
	field{"estimated_time", false, "How long it usually takes, for people.", duration(0, 30*day)},
	field{"change", false, "Who changed the file last and why; kept with the version.", object(
		field{"author", false, "Who; default is file.", text},
		field{"reason", false, "Why.", text},
	)},
	field{"tasks", true, "What is done: a graph by depends_on.", &shape{form: formList, items: taskFormat, low: 1, high: maxTasks}},
)

var triggerFormat = object(
	field{"pattern", false, "Root-cause patterns, as in process_down.", oneOrMore(text)},
	field{"alert_name", false, "Names of the alert.", oneOrMore(text)},
	field{"fault_type", false, "Types of the fault.", oneOrMore(faultWords)},
	field{"service", false, "The service of the cause, or any; default any.", text},
	field{"entity_kind", false, "Kinds of the entity at the root.", oneOrMore(kindWords)},
	field{"severity", false, "Severities of the case.", oneOrMore(severityWords)},
	field{"when", false, "CEL over values, labels and target that must be true.", text},
)

var paramFormat = object(
	field{"type", false, "Type of the value; default string.", typeWords},
	field{"default", false, "Value if none is given.", &shape{form: formAny}},
	field{"required", false, "Whether a run must give it.", &shape{form: formBool}},
	field{"description", false, "What it means.", text},
)

var taskFormat = object(
	field{"id", true, "Names the task within the playbook.", id},
	field{"name", false, "What people call it.", text},
	field{"type", false, "action, approval (asks and waits; needs confirm), wait (needs parameters.duration) or playbook (needs playbook); default action, or playbook if there is one.", words(TypeAction, TypeApproval, TypeWait, TypePlaybook)},
	field{"action", false, "What is done, as driver.verb; required for type action.", verb},
	field{"target", false, "Template of the entity acted on; default is the cause of the case.", text},
	field{"parameters", false, "Parameters of the action; texts are templates.", parameters},
	field{"playbook", false, "Another playbook, whose tasks are done in the place of this one.", id},
	field{"params", false, "Parameters of that playbook; texts are templates.", parameters},
	field{"for_each", false, "Does the task once for each entry: CEL that gives a list, or the list itself, of at most 100 texts, whole numbers or keys and values.", &shape{form: formEither, text: text, items: &shape{form: formList, items: &shape{form: formAny}, low: 1, high: MaxItems}}},
	field{"as", false, "What templates call the entry; default item.", &shape{form: formText, pattern: namePattern, expected: "a name of " + nameWords}},
	field{"max_parallel", false, "How many entries are worked on at once; default 1.", &shape{form: formInt, low: 1, high: MaxItems}},
	field{"depends_on", false, "Tasks that must have ended well first.", oneOrMore(id)},
	field{"conditions", false, "All must hold, else the task and what depends on it are skipped.", oneOrMore(&shape{form: formEither, text: text, items: conditionFormat})},
	field{"output_variable", false, "Second name of the output: outputs.<this>.", &shape{form: formText, pattern: namePattern, expected: "a name of " + nameWords}},
	field{"retries", false, "Further tries after a failure that may pass.", object(
		field{"attempts", false, "Tries in all; default 1.", &shape{form: formInt, low: 1, high: 20}},
		field{"backoff", false, "Wait before the second try, doubled each time; default 1s.", duration(0, day)},
		field{"max_backoff", false, "Longest wait; default 1m.", duration(0, day)},
		field{"jitter", false, "Share of the wait that is random; default 0.2.", &shape{form: formNumber, low: 0, high: 1}},
	)},
	field{"timeout", false, "Bound of one try; default 300s.", duration(0.001, day)},
	field{"on_success", false, "What follows success: continue (default), notify, escalate, rollback.", oneOrMore(text)},
	field{"on_failure", false, "What follows failure: abort (default), continue, notify, escalate, rollback, next_tier; joined as a list or as in rollback_and_escalate_with_notification.", oneOrMore(text)},
	field{"rollback", false, "What undoes the task when the run is rolled back.", object(
		field{"action", true, "What is done, as driver.verb.", verb},
		field{"parameters", false, "Its parameters; texts are templates.", parameters},
		field{"timeout", false, "Bound of one try; default 300s.", duration(0.001, day)},
	)},
	field{"confirm", false, "Asks a person before this task: the question, or with owner and deadline.", &shape{form: formEither, text: text, items: object(
		field{"question", true, "Template of what is asked.", text},
		field{"owner", false, "Roles or identities that are asked; default is the approval's owner.", oneOrMore(owner)},
		field{"quorum", false, "How many different people must say yes; default 1, or the approval's with its owner.", quorum},
		field{"deadline", false, "How long the answer may take; default is the approval's deadline.", duration(1, 30*day)},
	)}},
)

var conditionFormat = object(
	field{"promql", true, "PromQL template asked when the task is due.", text},
	field{"is", true, "CEL over value (the first sample) and the other variables.", text},
)
