package http

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

const secretPrefix = "secret:"

var (
	target = action.Param{Name: "url", Type: action.String, Doc: "Where to send it; one of the URLs the configuration allows.", Required: true}
	method = action.Param{Name: "method", Type: action.String, Doc: "POST, PUT, PATCH or DELETE.", Default: http.MethodPost}
	common = []action.Param{
		{Name: "headers", Type: action.Object, Doc: "Header names and values; secret:<name> stands for a secret."},
		{Name: "expect_status", Type: action.Strings, Doc: "Statuses that count as success, as in 200 or 2xx.", Default: []string{"2xx"}},
		{Name: "timeout", Type: action.Duration, Doc: "When to give up.", Default: "30s"},
	}
	content = []action.Param{
		{Name: "body", Type: action.String, Doc: "The body as it is sent."},
		{Name: "json", Type: action.Object, Doc: "The body as an object, sent as JSON; instead of body."},
	}
	outputs = []string{"status", "body", "json", "truncated"}
)

var specs = []action.Spec{
	{
		Name: Get, Doc: "Reads from an HTTP server by GET.",
		Params:  append([]action.Param{target}, common...),
		Outputs: outputs, Effect: action.ReadOnly, Impact: action.Harmless, Duration: time.Second,
	},
	{
		Name: Request, Doc: "Sends a request to an HTTP server, at most once.",
		Params:  append(append([]action.Param{target, method}, content...), common...),
		Outputs: outputs, Effect: action.Once, Impact: action.Disruptive, Duration: time.Second,
	},
	{
		Name: RequestIdempotent, Doc: "Sends a request that the server takes as one however often it comes with the same Idempotency-Key.",
		Params:  append(append([]action.Param{target, method}, content...), common...),
		Outputs: outputs, Effect: action.Idempotent, Impact: action.Disruptive, Duration: time.Second,
	},
}

// message is a checked call.
type message struct {
	action  string
	key     string
	method  string
	url     *url.URL
	headers map[string]string
	body    string
	json    bool
	expect  []string
	timeout time.Duration
}

// String names the request without what could be a secret.
func (m message) String() string {
	return fmt.Sprintf("%s %s://%s%s", m.method, m.url.Scheme, m.url.Host, m.url.EscapedPath())
}

func (r rules) parse(call action.Call) (message, error) {
	call, err := action.CheckCall(specs, call)
	if err != nil {
		return message{}, err
	}
	refuse := func(format string, args ...any) (message, error) {
		return message{}, heal.Errorf(heal.Invalid, "check "+call.Action, format, args...)
	}
	m := message{action: call.Action, key: call.Key.String(), method: http.MethodGet}
	m.timeout, _ = call.Params["timeout"].(time.Duration)
	m.expect, _ = call.Params["expect_status"].([]string)
	text, _ := call.Params["url"].(string)
	if m.url, err = parseURL(text); err != nil {
		return refuse("parameter \"url\": %w", err)
	}
	if err := r.check(m.url); err != nil {
		return message{}, heal.Wrap("check "+call.Action, err)
	}
	if method, ok := call.Params["method"].(string); ok {
		m.method = method
	}
	switch m.method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	case http.MethodGet:
		if call.Action != Get {
			return refuse("parameter \"method\" is GET; the action %s reads", Get)
		}
	default:
		return refuse("parameter \"method\" is %.20q, expected POST, PUT, PATCH or DELETE", m.method)
	}
	if m.timeout == 0 {
		return refuse("parameter \"timeout\" is zero, expected more")
	}
	if len(m.expect) == 0 {
		return refuse("parameter \"expect_status\" is empty, expected statuses as in 200 or 2xx")
	}
	for _, s := range m.expect {
		if !validStatus(s) {
			return refuse("parameter \"expect_status\": %.20q is no status, expected one as in 200 or 2xx", s)
		}
	}
	if m.headers, err = headers(call.Params["headers"]); err != nil {
		return refuse("parameter \"headers\": %w", err)
	}
	if m.body, m.json, err = body(call.Params); err != nil {
		return refuse("%w", err)
	}
	return m, nil
}

func parseURL(text string) (*url.URL, error) {
	if len(text) > 8<<10 {
		return nil, fmt.Errorf("is %d bytes long, expected at most 8192", len(text))
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, bare(err)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("does not begin with http:// or https://")
	case u.Hostname() == "":
		return nil, errors.New("names no host")
	case u.User != nil:
		return nil, errors.New("holds a user name; put credentials into a header, as in secret:<name>")
	}
	u.Fragment = ""
	return u, nil
}

func headers(value any) (map[string]string, error) {
	given, _ := value.(map[string]any)
	out := make(map[string]string, len(given))
	for name, v := range given {
		text, ok := v.(string)
		switch {
		case !ok:
			return nil, fmt.Errorf("the value of %.64q is of type %T, expected a string", name, v)
		case !headerName(name):
			return nil, fmt.Errorf("%.64q cannot be the name of a header", name)
		case !cleanHeader(text):
			return nil, fmt.Errorf("the value of %s holds a control character", name)
		}
		switch canonical := http.CanonicalHeaderKey(name); canonical {
		case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Upgrade", IdempotencyKey:
			return nil, fmt.Errorf("%s is set by the driver", canonical)
		}
		out[name] = text
	}
	return out, nil
}

// headerName reports a token of RFC 9110, section 5.6.2.
func headerName(name string) bool {
	const marks = "!#$%&'*+-.^_`|~"
	for _, r := range name {
		letter := r|0x20 >= 'a' && r|0x20 <= 'z'
		if !letter && (r < '0' || r > '9') && !strings.ContainsRune(marks, r) {
			return false
		}
	}
	return name != ""
}

// cleanHeader reports a field value of RFC 9110, section 5.5: no control
// characters but the tab.
func cleanHeader(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r != '\t' && (r < ' ' || r == 0x7f) })
}

// body gives the body to send and whether it is JSON.
func body(params map[string]any) (string, bool, error) {
	text, hasText := params["body"].(string)
	object, hasObject := params["json"].(map[string]any)
	if hasText && hasObject {
		return "", false, errors.New("parameters \"body\" and \"json\" are both given, expected one")
	}
	if hasObject {
		data, err := json.Marshal(object)
		if err != nil {
			return "", false, fmt.Errorf("parameter \"json\": %w", err)
		}
		text = string(data)
	}
	if len(text) > maxRequest {
		return "", false, fmt.Errorf("the body is %d bytes long, expected at most %d", len(text), maxRequest)
	}
	return text, hasObject, nil
}

// decode reads a body that is JSON, whatever its content type says.
func decode(body []byte) (any, bool) {
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return nil, false
	}
	return value, true
}

func validStatus(s string) bool {
	if len(s) != 3 || s[0] < '1' || s[0] > '5' {
		return false
	}
	if s[1:] == "xx" {
		return true
	}
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

func (m message) expects(status int) bool {
	for _, s := range m.expect {
		if s == strconv.Itoa(status) || s[1:] == "xx" && int(s[0]-'0') == status/100 {
			return true
		}
	}
	return false
}

func (m message) reads() bool { return m.action == Get }

// uncertain is the kind of an error after which the server may have acted.
func (m message) uncertain() heal.Kind {
	if m.action == Request {
		return heal.Unknown
	}
	return heal.Transient
}

// failure is the kind of an error of the connection.
func (m message) failure(err error, sent bool) heal.Kind {
	switch {
	case heal.Is(err, heal.Denied):
		return heal.Denied
	case sent:
		return m.uncertain()
	}
	return heal.Transient
}

// kindOf is the kind of a status that was not expected.
func (m message) kindOf(status int) heal.Kind {
	switch {
	case status == http.StatusTooManyRequests:
		return heal.Transient
	case status >= 500 || status == http.StatusRequestTimeout:
		return m.uncertain()
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return heal.Denied
	case status == http.StatusNotFound || status == http.StatusGone:
		return heal.NotFound
	case status == http.StatusConflict || status == http.StatusPreconditionFailed:
		return heal.Conflict
	case status >= 300:
		return heal.Invalid
	}
	return m.uncertain() // it may well have acted, only not as expected
}
