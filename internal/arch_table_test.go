package internal_test

// The tables of the architecture. They are DESIGN in a form that a test can
// hold: if a change needs another line here, add it in the same commit and say
// why there.

// imports says which packages below internal/ a package may import. A package
// in a folder below a listed one (action/process, store/sqlite) may import what
// its parent may, its parent, and what its own line adds. A parent may import
// the folders below it, unless they are drivers.
var imports = map[string][]string{
	"heal": {},

	// Signals come in.
	"wire":                    {"heal"},
	"otlp":                    {"heal", "wire"},
	"otlp/unary":              {"otlp/accept"}, // both serve connections that are told to stop
	"gateway":                 {"heal", "wire", "otlp"},
	"agent":                   {"heal", "wire", "otlp"},
	"fleet":                   {"heal"},
	"alert":                   {"heal", "expr"}, // mappings are written in CEL
	"probe":                   {"heal"},
	"series":                  {"heal", "wire"}, // appends the samples wire makes
	"telemetry":               {"heal"},
	"topology":                {"heal"},
	"expr":                    {"heal"},
	"telemetry/embedded":      {"logmine"},
	"series/seriestest":       {"series"},
	"telemetry/telemetrytest": {},

	// Judgements.
	"detect":   {"heal"},
	"incident": {"heal", "topology"},
	"logmine":  {"heal"},
	"cause":    {"heal", "topology", "logmine", "telemetry"},      // log patterns and the paths of requests are evidence
	"playbook": {"heal", "expr", "action"},                        // checks tasks against action.Spec
	"library":  {"heal", "store", "playbook", "action"},           // keeps every version
	"decide":   {"heal", "playbook", "topology", "expr", "learn"}, // weighs what learn knows
	"verify":   {"heal"},
	"learn":    {"heal"},
	"predict":  {"heal"},
	"maintain": {"heal"},
	"slo":      {"heal"},
	"cost":     {"heal"},
	"capacity": {"heal"},

	// Acting.
	"action":        {"heal"},
	"action/notify": {"notify"},
	"engine":        {"heal", "playbook", "action", "guard", "lease", "store"},
	"guard":         {"heal", "topology", "store", "action", "lease"}, // weighs action.Impact; reserves with the lease in one transaction
	"lease":         {"heal", "store"},
	"notify":        {"heal"},

	// What is remembered, and who may.
	"store":          {"heal"},
	"store/postgres": {"store/query", "store/turn", "store/migration"}, // what all engines do alike
	"store/sqlite":   {"store/query", "store/turn", "store/migration"},
	"auth":           {"heal", "store"},
	"audit":          {"heal", "store"},

	// The loop and the door.
	"watch":   {"heal", "detect"},                                                                   // the shell around detect: it asks, detect judges
	"analyse": {"heal", "topology", "detect", "watch", "incident", "cause", "logmine", "telemetry"}, // the judgements of the loop, fed from files
	"loop": {
		"heal", "store", "topology", "alert", "detect", "incident", "logmine", "cause",
		"playbook", "decide", "verify", "learn", "expr", "engine", "guard",
		"action",    // the catalogue of what plans may do
		"audit",     // every decision is kept
		"lease",     // shared among servers
		"telemetry", // who held a request
	},
	// The door reads the record and puts people's words to the engine and the
	// loop in their own types; a second set of types between them would only be
	// copied through.
	"api":         {"heal", "playbook", "library", "auth", "expr", "store", "engine", "guard", "learn", "topology", "alert", "loop", "audit"},
	"api/form":    {"heal"},
	"api/apitest": {"action", "api/form"},                                        // a whole door for tests
	"web":         {"heal", "playbook", "auth", "api/form"},                      // as the command line: it asks the API it is given
	"cli":         {"heal", "playbook", "auth", "api/form", "config", "analyse"}, // the answers of the API, nothing that serves them
	"obs":         {"heal"},
	"config":      {}, // reading configuration, for every binary
}

// wiring may import everything: it maps Config to Options and joins the parts.
var wiring = []string{"app", "agentapp", "gatewayapp", "demo"} // demo joins the app and the shop

// drivers are implementations of a contract. Only wiring, commands and tests
// import them; everyone else knows the contract. Suites of contracts are
// imported by tests only.
var drivers = []string{"store/sqlite", "store/postgres", "telemetry/embedded", "action"}

// contracts lie beside their drivers and are no driver themselves.
var contracts = []string{"action"}

// pure packages use no I/O, no logging, no goroutine, no clock and no global
// randomness. The linter holds part of the same list, see .golangci.yml.
var pure = []string{
	"heal", "wire", "alert", "topology", "expr", "detect", "incident", "logmine", "cause",
	"playbook", "decide", "verify", "learn", "predict", "maintain", "slo", "cost", "capacity",
}

// pureFiles are pure parts of packages that are not pure as a whole.
var pureFiles = []string{
	"internal/engine/step.go", "internal/engine/advance.go", "internal/engine/people.go", "internal/engine/rollback.go",
	"internal/engine/plan.go", "internal/engine/event.go", "internal/guard/guard.go", "internal/guard/limits.go", "internal/guard/scope.go", "internal/probe/state.go", "internal/store/reckon.go",
	"internal/telemetry/critical.go",
}

// impureImports are what a pure package may not import, nor anything below.
var impureImports = []string{
	"crypto/rand", "database/sql", "go.opentelemetry.io", "io/ioutil", "log", "net", "os", "runtime", "syscall", "testing", "unsafe",
}

// pureBelowImpure are packages below those that do no I/O.
var pureBelowImpure = []string{"net/netip", "net/url"}

// pureNames are the only names a pure package may use of a package that is
// otherwise impure.
var pureNames = map[string][]string{
	"net": {"IP", "IPNet", "JoinHostPort", "ParseCIDR", "ParseIP", "SplitHostPort"},
}

// impureNames are functions a pure package may not call, by import path.
var impureNames = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
}

// seeded are the names of math/rand and math/rand/v2 that do not draw from the
// global source.
var seeded = []string{"New", "NewSource", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "Source64", "PCG", "ChaCha8", "Zipf"}

// owners says which package a third-party library belongs to, and after it who
// borrows it. The longest prefix of an import path counts.
var owners = map[string][]string{
	"github.com/coreos/go-oidc/v3":                                       {"internal/web"},
	"github.com/danielgtaylor/huma/v2":                                   {"internal/api"},
	"github.com/goccy/go-yaml":                                           {"internal/cli"},
	"github.com/google/cel-go":                                           {"internal/expr"},
	"github.com/jackc/pgx/v5":                                            {"internal/store/postgres"},
	"github.com/klauspost/compress":                                      {"internal/otlp", "internal/gateway"}, // zstd; and S2 for what is held
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl": {"internal/gateway/ottl"},
	"github.com/prometheus/client_golang":                                {"internal/obs", "internal/series"}, // Prometheus parts take a registerer
	"github.com/prometheus/common":                                       {"internal/series"},
	"github.com/prometheus/prometheus":                                   {"internal/series"},
	"github.com/spf13/cobra":                                             {"internal/cli", "cmd/homeostat"},
	"github.com/teambition/rrule-go":                                     {"internal/guard"},
	"go.opentelemetry.io/":                                               {"internal/obs", "examples/shop"},
	"go.opentelemetry.io/otel/attribute":                                 {"internal", "examples/shop"},                                                 // the API half of OpenTelemetry is to metrics
	"go.opentelemetry.io/otel/codes":                                     {"internal", "examples/shop"},                                                 // the status of a span
	"go.opentelemetry.io/otel/metric":                                    {"internal", "examples/shop"},                                                 // and traces what slog is to logs: interfaces
	"go.opentelemetry.io/otel/trace":                                     {"internal", "examples/shop"},                                                 // that every shell may be handed
	"go.opentelemetry.io/collector/pdata":                                {"internal/otlp", "internal/series", "internal/app", "internal/gateway/ottl"}, // app joins the first two: it is otlp's Sink; statements change it
	"go.opentelemetry.io/collector/component":                            {"internal/gateway/ottl"},                                                     // what ottl asks for: a logger, in the form it knows
	"go.uber.org/zap":                                                    {"internal/gateway/ottl"},
	"go.yaml.in/yaml/v3":                                                 {"internal/playbook", "internal/alert", "internal/series", "internal/app", "internal/config", "examples/shop"},
	"golang.org/x/net/http2":                                             {"internal/otlp/unary"},
	"golang.org/x/oauth2":                                                {"internal/web"},
	"golang.org/x/sys":                                                   {"internal/action/process", "internal/action/exec", "internal/store/sqlite"},
	"google.golang.org/genproto/googleapis/rpc/":                         {"internal/otlp"},
	"google.golang.org/grpc":                                             {"internal/otlp"},
	"google.golang.org/protobuf":                                         {"internal/otlp"},
	"modernc.org/sqlite":                                                 {"internal/store/sqlite", "internal/telemetry/embedded"},
}

// testOnly libraries never reach a binary.
var testOnly = []string{
	"github.com/google/go-cmp", "github.com/google/uuid", "github.com/rogpeppe/go-internal", "go.uber.org/goleak",
	"go.opentelemetry.io/proto/otlp",
}

// vagueNames say nothing about what a package is for.
var vagueNames = []string{"util", "utils", "common", "types", "helpers", "models", "manager", "base", "misc", "lib"}

// maxLines is where a file must have been split.
const maxLines = 500
