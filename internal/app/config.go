// Package app wires the all-in-one server: user configuration becomes the
// options of each package, each package becomes a part, and the parts run
// until they are told to stop.
//
// Its one invariant: it is the only place that knows which driver stands behind
// which interface. It is not for behaviour: whatever decides something lives in
// the package whose name says so.
package app

import (
	"time"

	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/heal"
)

// Config is homeostat.yaml. Every key can be overridden from the environment:
// server.listen by HOMEOSTAT_SERVER_LISTEN, and so on for single values.
type Config struct {
	DataDir   string          `yaml:"data_dir" doc:"Everything Homeostat keeps: records, metrics, telemetry, tokens."`
	Scope     ScopeConfig     `yaml:"scope" doc:"Where what this server watches lives."`
	Store     StoreConfig     `yaml:"store" doc:"Where the record is kept: cases, runs, audit."`
	Log       LogConfig       `yaml:"log" doc:"Homeostat's own log, on standard error."`
	Server    ServerConfig    `yaml:"server" doc:"The API, health and metrics."`
	Page      PageConfig      `yaml:"page" doc:"The page for browsers, on the same port."`
	OTLP      OTLPConfig      `yaml:"otlp" doc:"Intake of telemetry."`
	Export    ExportConfig    `yaml:"export" doc:"Where Homeostat's own telemetry goes, besides /metrics."`
	Metrics   MetricsConfig   `yaml:"metrics" doc:"The embedded metric store and the metrics derived from spans."`
	Telemetry TelemetryConfig `yaml:"telemetry" doc:"The embedded store of logs and spans."`
	Rules     RulesConfig     `yaml:"rules" doc:"Alerting rules in the format of Prometheus."`
	Watch     WatchConfig     `yaml:"watch" doc:"Series watched without a rule."`
	Monitors  []MonitorConfig `yaml:"monitors" doc:"Health monitors of Homeostat's own."`
	Intake    IntakeConfig    `yaml:"intake" doc:"Alerts from other tools, by webhook."`
	Playbooks PlaybooksConfig `yaml:"playbooks" doc:"What can be done."`
	Loop      LoopConfig      `yaml:"loop" doc:"How cases are handled."`
	Guard     GuardConfig     `yaml:"guard" doc:"The safety kernel."`
	Drivers   DriversConfig   `yaml:"drivers" doc:"What actions may touch."`
	Notify    NotifyConfig    `yaml:"notify" doc:"Messages to people."`
}

// ScopeConfig names tenant, environment and cluster.
type ScopeConfig struct {
	Tenant  string `yaml:"tenant" doc:"Whose it is."`
	Env     string `yaml:"env" doc:"As in prod or test."`
	Cluster string `yaml:"cluster" doc:"Where it runs."`
}

// StoreConfig says where the record is kept.
type StoreConfig struct {
	DSN     string `yaml:"dsn" json:"-" doc:"A PostgreSQL database, as in postgres://homeostat@db.example.net:5432/homeostat?sslmode=verify-full; empty: a file in data_dir."`
	DSNFile string `yaml:"dsn_file" doc:"A file with the DSN, where it holds a password."`
	Shared  bool   `yaml:"shared" doc:"Several servers work on the database together, see docs/operations.md."`
}

// LogConfig configures Homeostat's own log.
type LogConfig struct {
	Level  string `yaml:"level" doc:"One of debug, info, warn, error." oneof:"debug,info,warn,error"`
	Format string `yaml:"format" doc:"One of text, json." oneof:"text,json"`
}

// ServerConfig configures the API.
type ServerConfig struct {
	Listen string    `yaml:"listen" doc:"Any address but loopback needs tls."`
	TLS    TLSConfig `yaml:"tls"`
}

// PageConfig configures the page.
type PageConfig struct {
	Enabled bool            `yaml:"enabled" doc:"Serve it."`
	Session config.Duration `yaml:"session" doc:"How long one stays signed in." min:"1m"`
	KeyFile string          `yaml:"key_file" doc:"File with 32 random bytes that seal sessions, the same for all servers of one address; empty: session.key in data_dir, made when it is missing."`
	OIDC    OIDCConfig      `yaml:"oidc" doc:"Signing people in by an OpenID Connect issuer."`
	TLS     bool            `yaml:"behind_tls" doc:"Something before this server speaks TLS: cookies are sent over it only."`
}

// OIDCConfig names an OpenID Connect issuer.
type OIDCConfig struct {
	Issuer       string `yaml:"issuer" doc:"Its address, as in https://login.example.com; empty: people sign in by token only."`
	ClientID     string `yaml:"client_id" doc:"As registered there, with <page_url>/sign-in/oidc/back as the address to come back to."`
	ClientSecret string `yaml:"client_secret_file" doc:"File with the client's secret; empty: a public client."`
	PageURL      string `yaml:"page_url" doc:"Address of this page as browsers know it, as in https://homeostat.example.com."`
	Name         string `yaml:"name" doc:"On the button; empty: the issuer's host."`
	Claim        string `yaml:"claim" doc:"Which claim names the principal, in the identity token or, if it is not there, at the user info endpoint; empty: email, which the issuer must have verified."`

	Groups      map[string]string `yaml:"groups" doc:"Group to the role it stands for: who is no principal here has the highest role of their groups, everywhere." oneof:"viewer,approver,operator,admin"`
	GroupsClaim string            `yaml:"groups_claim" doc:"Which claim lists the groups, in the identity token or, if it is not there, at the user info endpoint; empty: groups."`
}

// TLSConfig names a certificate and its key; both or neither.
type TLSConfig struct {
	CertFile string `yaml:"cert_file" doc:"PEM, the chain included; read at the start."`
	KeyFile  string `yaml:"key_file" doc:"PEM."`
}

// OTLPConfig configures the OTLP receivers.
type OTLPConfig struct {
	GRPCListen      string         `yaml:"grpc_listen" doc:"Empty: off."`
	HTTPListen      string         `yaml:"http_listen" doc:"Empty: off."`
	TLS             TLSConfig      `yaml:"tls"`
	RequireToken    bool           `yaml:"require_token" doc:"Needed for addresses that are not loopback, besides tls."`
	MaxRequestBytes int            `yaml:"max_request_bytes" doc:"After decompression." min:"1024"`
	Sampling        SamplingConfig `yaml:"sampling" doc:"Which spans are kept. Metrics and edges are made of all of them."`
}

// SamplingConfig configures which spans are kept.
type SamplingConfig struct {
	Rate     float64            `yaml:"rate" doc:"Share of ordinary traces that is kept, 0 to 1; errors and slow spans always are." min:"0"`
	Services map[string]float64 `yaml:"services" doc:"Rates of services that have one of their own." min:"0"`
	Slow     config.Duration    `yaml:"slow" doc:"Longer spans are always kept; 0s: length does not matter." min:"0s"`
}

// ExportConfig configures the export of own telemetry.
type ExportConfig struct {
	OTLPEndpoint string `yaml:"otlp_endpoint" doc:"An OTLP HTTP endpoint for own traces, metrics and logs; empty: off."`
}

// MetricsConfig configures the embedded TSDB and the RED metrics.
type MetricsConfig struct {
	Retention     config.Duration `yaml:"retention" doc:"Samples older than this are deleted." min:"1h"`
	FlushInterval config.Duration `yaml:"flush_interval" doc:"How often metrics derived from spans are written." min:"100ms"`
	MaxOperations int             `yaml:"max_operations" doc:"Operations kept apart per service; the rest count as _other." min:"1"`

	Remotes []RemoteConfig `yaml:"remotes" doc:"Other stores with the query API of Prometheus, asked besides the embedded one: what their alerts are about is verified there."`
}

// RemoteConfig is one other store of metrics.
type RemoteConfig struct {
	URL       string          `yaml:"url" required:"true" doc:"As in http://127.0.0.1:9090: the API is below it, at /api/v1."`
	TokenFile string          `yaml:"token_file" doc:"File with a bearer token; empty: none is sent."`
	Timeout   config.Duration `yaml:"timeout" doc:"Of one question; 0 stands for 5s."`
}

// TelemetryConfig configures the embedded log and span store.
type TelemetryConfig struct {
	RetentionDays    int   `yaml:"retention_days" doc:"Days that logs and spans are kept." min:"1"`
	MaxBytes         int64 `yaml:"max_bytes" doc:"The oldest day is dropped above it." min:"1048576"`
	RecordsPerSecond int   `yaml:"records_per_second" doc:"What comes faster is dropped and counted." min:"1"`
}

// RulesConfig configures rule evaluation.
type RulesConfig struct {
	Shipped  bool            `yaml:"shipped" doc:"Evaluate the rules that come with Homeostat."`
	Files    []string        `yaml:"files" doc:"Rule files of your own."`
	Interval config.Duration `yaml:"interval" doc:"Of groups that name none." min:"100ms"`
	Resend   config.Duration `yaml:"resend" doc:"How often a firing alert is told again." min:"1s"`
}

// WatchConfig configures what is watched without a rule.
type WatchConfig struct {
	Enabled   bool            `yaml:"enabled" doc:"Watch the series of every service: what users notice opens a case, what else is out of the ordinary is evidence in it."`
	Interval  config.Duration `yaml:"interval" doc:"Between two looks." min:"1s"`
	MaxSeries int             `yaml:"max_series" doc:"Watched at most; each takes 5 kB of memory." min:"1"`
	Labels    []string        `yaml:"labels" doc:"Labels that name the service of a metric; the first that a series has counts."`
}

// MonitorConfig configures one health monitor.
type MonitorConfig struct {
	Name      string            `yaml:"name" required:"true" doc:"Unique among the monitors."`
	Entity    string            `yaml:"entity" required:"true" doc:"What it tells the health of, as in service/cart."`
	Kind      string            `yaml:"kind" required:"true" doc:"How it looks." oneof:"http,tcp,process"`
	Target    string            `yaml:"target" required:"true" doc:"URL, host:port, or the path of a pid file."`
	Interval  config.Duration   `yaml:"interval" doc:"Between the starts of two probes; 0 means 5s." min:"50ms"`
	Timeout   config.Duration   `yaml:"timeout" doc:"Of one probe; 0 means the interval, but 1s at least and 10s at most." min:"10ms"`
	Failures  int               `yaml:"failures" doc:"In a row, before it counts as failing; 0 means 3."`
	Successes int               `yaml:"successes" doc:"In a row, before it counts as healthy again; 0 means 2."`
	Severity  string            `yaml:"severity" doc:"Of its failing; empty means critical." oneof:"info,warning,critical"`
	Labels    map[string]string `yaml:"labels" doc:"Given to its alerts."`
}

// IntakeConfig configures webhooks.
type IntakeConfig struct {
	MaxBodyBytes int             `yaml:"max_body_bytes" doc:"Larger requests are answered with 413." min:"1024"`
	MaxBacklog   int             `yaml:"max_backlog" doc:"Accepted deliveries waiting to be processed; more is answered with 503 to Alertmanager and 429 to others." min:"1"`
	SecretFile   string          `yaml:"secret_file" doc:"Shared secret of the Alertmanager webhook, sent as a bearer token; empty: a token of this server is needed."`
	Mappings     []MappingConfig `yaml:"mappings" doc:"Any JSON, by a mapping file."`
}

// MappingConfig is one webhook for any JSON.
type MappingConfig struct {
	Name       string `yaml:"name" required:"true" doc:"Its path is /api/v1/webhooks/<name>."`
	File       string `yaml:"file" required:"true" doc:"The mapping, see docs/alerts.md."`
	SecretFile string `yaml:"secret_file" doc:"Shared secret of this webhook, as a bearer token; empty: a token of this server is needed."`
}

// PlaybooksConfig says which playbooks there are.
type PlaybooksConfig struct {
	Shipped bool              `yaml:"shipped" doc:"Offer the playbooks that come with Homeostat."`
	Dir     string            `yaml:"dir" doc:"A folder of playbooks of your own; empty: none."`
	Reload  config.Duration   `yaml:"reload" doc:"How often changed files and versions are looked for." min:"1s"`
	Trust   map[string]string `yaml:"trust" doc:"Playbook id to observe, suggest or auto; overrides the playbook." oneof:"observe,suggest,auto"`
}

// LoopConfig configures the handling of cases.
type LoopConfig struct {
	Settle           config.Duration `yaml:"settle" doc:"How long a new case waits for the signals that belong to it." min:"0s"`
	Window           config.Duration `yaml:"window" doc:"Faults this close together are grouped." min:"1s"`
	Together         config.Duration `yaml:"together" doc:"How far back it counts which alerts began together: those that did again and again share a case where the map knows no path between them, see docs/correlation.md. 0: it does not count." min:"0s"`
	VerifyWindow     config.Duration `yaml:"verify_window" doc:"How long a fault must stay cleared; at least two evaluations." min:"1s"`
	ApprovalDeadline config.Duration `yaml:"approval_deadline" doc:"Silence until then means no." min:"1s"`
	Approver         string          `yaml:"approver" doc:"The role asked for approvals."`
	MinConfidence    float64         `yaml:"min_confidence" doc:"Below it a person is asked." min:"0"`
	Workers          int             `yaml:"workers" doc:"Cases worked on at once." min:"1"`
	Baseline         config.Duration `yaml:"baseline" doc:"How far before a fault things are taken as normal. Below 24 minutes no alert can be refuted: every one is believed." min:"1m"`
}

// DriversConfig configures what actions may touch.
type DriversConfig struct {
	Processes []ProcessConfig  `yaml:"processes" doc:"Processes that may be started, stopped and restarted."`
	Settings  []SettingConfig  `yaml:"settings" doc:"Settings of services that may be taken back."`
	Failovers []FailoverConfig `yaml:"failovers" doc:"Services with a backup that may be switched to."`
	HTTP      HTTPConfig       `yaml:"http"`
	Exec      ExecConfig       `yaml:"exec"`
}

// ProcessConfig is one process a playbook may handle.
type ProcessConfig struct {
	Name         string            `yaml:"name" required:"true" doc:"Unique; process/<name> is the entity of this one alone."`
	Entity       string            `yaml:"entity" required:"true" doc:"As in service/cart."`
	Command      []string          `yaml:"command" required:"true" doc:"The program's absolute path and its arguments."`
	Dir          string            `yaml:"dir" doc:"Absolute; empty means /."`
	Env          map[string]string `yaml:"env" doc:"Variables besides PATH, HOME, USER, LANG, LC_ALL, TZ and TMPDIR."`
	Instances    int               `yaml:"instances" doc:"0 means 1."`
	MaxInstances int               `yaml:"max_instances" doc:"Most that a playbook may scale to; 0: as many as instances."`
	ReadyURL     string            `yaml:"ready_url" doc:"Answers 2xx once the process serves."`
	ReadyTCP     string            `yaml:"ready_tcp" doc:"A host:port that accepts connections once the process serves."`
	Grace        config.Duration   `yaml:"grace" doc:"Between TERM and KILL; 0 means 10s."`
	LogFile      string            `yaml:"log_file" doc:"Absolute; empty means one in the folder processes of data_dir."`
}

// SettingConfig is the settings of one service.
type SettingConfig struct {
	Entity string `yaml:"entity" required:"true" doc:"Whose they are, as in service/cart; unique."`
	URL    string `yaml:"url" required:"true" doc:"Where the service tells their version and takes one back, see docs/playbooks.md."`
}

// FailoverConfig is one service with a backup.
type FailoverConfig struct {
	Entity        string `yaml:"entity" required:"true" doc:"The primary, as in service/payment; unique."`
	Backup        string `yaml:"backup" required:"true" doc:"The backup, as in service/payment-2."`
	SwitchURL     string `yaml:"switch_url" required:"true" doc:"Where it is told and changed which one is asked, see docs/playbooks.md."`
	PrimaryHealth string `yaml:"primary_health" required:"true" doc:"URL that answers 2xx while the primary can serve."`
	BackupHealth  string `yaml:"backup_health" required:"true" doc:"URL that answers 2xx while the backup can serve."`
}

// HTTPConfig bounds the http driver.
type HTTPConfig struct {
	Allow []string `yaml:"allow" doc:"URL prefixes that may be called; empty: loopback only."`
}

// ExecConfig bounds the exec driver.
type ExecConfig struct {
	Allow []ExecAllowConfig `yaml:"allow" doc:"Programs that may be run; empty: none."`
}

// ExecAllowConfig is one program that may be run.
type ExecAllowConfig struct {
	Path     string   `yaml:"path" required:"true" doc:"Absolute."`
	ReadOnly bool     `yaml:"read_only" doc:"It changes nothing, so it may be run by exec.query."`
	Env      []string `yaml:"env" doc:"Names of variables a playbook may set for it."`
}

// NotifyConfig configures messages to people.
type NotifyConfig struct {
	WebhookURL string `yaml:"webhook_url" doc:"Gets a JSON POST; empty: off."`
	SecretFile string `yaml:"secret_file" doc:"Signs each message with HMAC-SHA256."`

	HeartbeatURL      string          `yaml:"heartbeat_url" doc:"Gets a POST again and again while all is well; a watcher there tells people when it stops. Empty: off."`
	HeartbeatInterval config.Duration `yaml:"heartbeat_interval" doc:"How often." min:"1s"`
}

// Default is the configuration of an empty homeostat.yaml.
func Default() Config {
	return Config{
		DataDir:   "./homeostat-data",
		Scope:     ScopeConfig{Tenant: heal.DefaultScope.Tenant, Env: heal.DefaultScope.Env, Cluster: heal.DefaultScope.Cluster},
		Log:       LogConfig{Level: "info", Format: "text"},
		Server:    ServerConfig{Listen: "127.0.0.1:8080"},
		Page:      PageConfig{Enabled: true, Session: config.Duration(12 * time.Hour), OIDC: OIDCConfig{Groups: map[string]string{}}},
		OTLP:      OTLPConfig{GRPCListen: "127.0.0.1:4317", HTTPListen: "127.0.0.1:4318", MaxRequestBytes: 16 << 20, Sampling: SamplingConfig{Rate: 1, Services: map[string]float64{}, Slow: config.Duration(time.Second)}},
		Metrics:   MetricsConfig{Retention: days(15), FlushInterval: config.Duration(5 * time.Second), MaxOperations: 2000, Remotes: []RemoteConfig{}},
		Telemetry: TelemetryConfig{RetentionDays: 7, MaxBytes: 50 << 30, RecordsPerSecond: 10_000},
		Rules:     RulesConfig{Shipped: true, Interval: config.Duration(15 * time.Second), Resend: config.Duration(time.Minute)},
		Watch:     WatchConfig{Enabled: true, Interval: config.Duration(15 * time.Second), MaxSeries: 100_000, Labels: []string{"service_name"}},
		Intake:    IntakeConfig{MaxBodyBytes: 5 << 20, MaxBacklog: 10_000},
		Playbooks: PlaybooksConfig{Shipped: true, Reload: config.Duration(5 * time.Second)},
		Loop: LoopConfig{
			Settle: config.Duration(2 * time.Second), Window: config.Duration(5 * time.Minute), Together: days(30), VerifyWindow: config.Duration(30 * time.Second),
			ApprovalDeadline: config.Duration(30 * time.Minute), Approver: "approver", MinConfidence: 0.7, Workers: 16, Baseline: config.Duration(30 * time.Minute),
		},
		Guard:  defaultGuard(),
		Notify: NotifyConfig{HeartbeatInterval: config.Duration(30 * time.Second)},
	}
}

// HomeScope is the scope of everything this server watches.
func (c *Config) HomeScope() heal.Scope {
	return heal.Scope{Tenant: c.Scope.Tenant, Env: c.Scope.Env, Cluster: c.Scope.Cluster}
}
