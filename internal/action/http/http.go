// Package http is the driver of HTTP requests.
//
// Whether a request may be repeated is not visible in it, so the playbook says
// so by the verb: http.get reads, http.request is sent at most once,
// http.request_idempotent is for servers that take a request with the same
// Idempotency-Key, or the same request, as one.
//
// Its one invariant: nothing is sent to a server that is not allowed, not even
// by a redirect. It is not for downloads: of an answer it keeps the first MiB.
package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// The actions.
const (
	Get               = "http.get"
	Request           = "http.request"
	RequestIdempotent = "http.request_idempotent"
)

// IdempotencyKey is the header the key of the step travels in.
const IdempotencyKey = "Idempotency-Key"

const (
	maxAnswer    = 1 << 20 // bytes
	maxRequest   = 1 << 20 // bytes
	maxRedirects = 5
)

// Options of the driver.
type Options struct {
	// Allow lists where requests may go, as URLs with host and optional path:
	// "https://api.example.org/hooks". A path allows what lies below it. Empty
	// allows the loopback addresses of this machine and nothing else.
	Allow []string

	// Secret gives the value of a "secret:<name>" in a header. Nil: there are
	// no secrets.
	Secret func(ctx context.Context, name string) (string, error)
}

// Driver sends requests.
type Driver struct {
	rules  rules
	secret func(ctx context.Context, name string) (string, error)
	client *http.Client
}

// New makes the driver; kind Invalid if an allowed URL is none.
func New(opts Options) (*Driver, error) {
	allowed, err := parseRules(opts.Allow)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	if allowed.loopbackOnly() {
		dialer.Control = refuseRemote
	}
	d := &Driver{rules: allowed, secret: opts.Secret}
	d.client = &http.Client{
		CheckRedirect: d.redirect,
		// Without kept connections the transport never repeats a request by
		// itself, which it would for one with an Idempotency-Key.
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 64 << 10,
			TLSHandshakeTimeout:    10 * time.Second,
		},
	}
	return d, nil
}

// refuseRemote checks the address that is really dialled: a name may resolve
// to anything.
func refuseRemote(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return heal.Errorf(heal.Denied, "connect", "%s is not a loopback address, and no other is allowed", host)
	}
	return nil
}

// redirect follows within one server and what is allowed there; otherwise the
// redirect itself is the answer.
func (d *Driver) redirect(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > maxRedirects || next.URL.Scheme != first.Scheme || next.URL.Host != first.Host || d.rules.check(next.URL) != nil {
		return http.ErrUseLastResponse
	}
	return nil
}

// Specs lists the actions.
func (d *Driver) Specs() []action.Spec { return specs }

// Do sends the request. A status that is not expected is an error: Denied,
// NotFound, Conflict or Invalid by its number, Transient for 429 and for
// failures of the server if the action may be repeated, else Unknown.
func (d *Driver) Do(ctx context.Context, call action.Call) (action.Result, error) {
	m, err := d.rules.parse(call)
	if err != nil {
		return action.Result{}, err
	}
	op := m.String()
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	})
	req, err := d.build(ctx, m)
	if err != nil {
		return action.Result{}, heal.Wrap(op, err)
	}
	res, err := d.client.Do(req)
	if err != nil {
		return action.Result{}, heal.Errorf(m.failure(err, sent.Load()), op, "%w", bare(err))
	}
	defer res.Body.Close()
	out, err := read(res)
	if err != nil {
		return action.Result{}, heal.Errorf(m.uncertain(), op, "read the answer: %w", bare(err))
	}
	if !m.expects(res.StatusCode) {
		return action.Result{}, heal.Errorf(m.kindOf(res.StatusCode), op, "answered %d, expected %s%s", res.StatusCode, strings.Join(m.expect, " or "), elsewhere(res))
	}
	return action.Result{Output: out}, nil
}

// Observe cannot tell: what a request did is known to the server alone.
func (d *Driver) Observe(_ context.Context, call action.Call) (action.Observation, error) {
	if _, err := d.rules.parse(call); err != nil {
		return action.Observation{}, err
	}
	return action.Observation{State: action.CannotTell, Detail: "whether the server took the request is known to the server alone"}, nil
}

func (d *Driver) build(ctx context.Context, m message) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, m.method, m.url.String(), strings.NewReader(m.body))
	if err != nil {
		return nil, heal.Errorf(heal.Invalid, "", "%w", bare(err))
	}
	req.Header.Set("User-Agent", "homeostat")
	if m.json {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range m.headers {
		if reference, ok := strings.CutPrefix(value, secretPrefix); ok {
			if d.secret == nil {
				return nil, heal.Errorf(heal.Invalid, "", "header %s refers to the secret %q, and no secrets are configured", name, reference)
			}
			value, err = d.secret(ctx, reference)
			if err != nil {
				return nil, heal.Wrap(fmt.Sprintf("secret %q of header %s", reference, name), err)
			}
			if !cleanHeader(value) {
				return nil, heal.Errorf(heal.Invalid, "", "the secret %q cannot stand in a header: it holds a control character", reference)
			}
		}
		req.Header.Set(name, value)
	}
	if !m.reads() {
		req.Header.Set(IdempotencyKey, m.key)
	}
	return req, nil
}

// bare takes the URL, whose query may hold a secret, out of an error.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// read takes the answer apart, as far as it is kept.
func read(res *http.Response) (map[string]any, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	truncated := len(body) > maxAnswer
	if truncated {
		body = body[:maxAnswer]
	}
	out := map[string]any{
		"status":    int64(res.StatusCode),
		"body":      strings.ToValidUTF8(string(body), "�"),
		"truncated": truncated,
	}
	if value, ok := decode(body); ok && !truncated {
		out["json"] = value
	}
	return out, nil
}

// elsewhere explains a redirect that was not followed.
func elsewhere(res *http.Response) string {
	if res.StatusCode/100 != 3 || res.Header.Get("Location") == "" {
		return ""
	}
	return "; it redirects to where requests do not follow"
}
