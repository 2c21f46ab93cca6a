// Package setting is the driver of settings that a service keeps in versions
// and lets be taken back over HTTP: setting.rollback refuses the version in
// force and restores the one before it.
//
// What it asks of a service, at the URL the configuration names:
//
//	GET  <url>           {"version": 7, "previous": 6, "rollback": {"key": "...", "refused": 5, "restored": 4}}
//	POST <url>/rollback  {"version": 7}, with an Idempotency-Key; answers as GET does
//
// version is the one in force, previous what a roll back would restore (0:
// nothing), rollback the newest roll back and the key it was asked with. The
// POST is refused with 409 if another version is in force by then. The service
// remembers the refused value and refuses it when it is pushed again.
//
// Its one invariant: it takes back what it has seen in force and nothing else,
// once for each key. It is not for pushing settings.
package setting

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// Rollback is the name of the one action.
const Rollback = "setting.rollback"

const (
	maxAnswer = 1 << 20          // bytes
	patience  = 10 * time.Second // for one request
)

// Options of the driver.
type Options struct {
	Settings []Setting
}

// Setting is what one service lets be taken back.
type Setting struct {
	Entity heal.EntityID // whose it is; unique
	URL    string        // see the package
}

var specs = []action.Spec{{
	Name:    Rollback,
	Doc:     "Refuses the version of a service's settings that is in force and restores the one before it.",
	Outputs: []string{"refused", "restored", "version"},
	Effect:  action.Observable, Impact: action.Reversible, Duration: time.Second,
}}

// catalog is the checked configuration.
type catalog map[heal.EntityID]string

func newCatalog(opts Options) (catalog, error) {
	c := catalog{}
	for i, s := range opts.Settings {
		u, err := url.Parse(s.URL)
		switch {
		case s.Entity.Validate() != nil:
			return nil, heal.Errorf(heal.Invalid, "settings", "entry %d: entity %q is not kind/name", i+1, s.Entity)
		case c[s.Entity] != "":
			return nil, heal.Errorf(heal.Invalid, "settings", "entry %d: %s has settings already", i+1, s.Entity)
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "":
			return nil, heal.Errorf(heal.Invalid, "settings", "entry %d: url %q is no http or https URL of host and path", i+1, s.URL)
		}
		c[s.Entity] = s.URL
	}
	return c, nil
}

// find gives the URL of a call's target; kind NotFound if it has no settings.
func (c catalog) find(call action.Call) (string, error) {
	if _, err := action.CheckCall(specs, call); err != nil {
		return "", err
	}
	at, ok := c[call.Target]
	if !ok {
		return "", heal.Errorf(heal.NotFound, Rollback, "%s has no settings in the configuration", call.Target)
	}
	return at, nil
}

// Driver takes settings back.
type Driver struct {
	catalog
	client *http.Client
}

// New makes the driver; kind Invalid names the first mistake in the options.
func New(opts Options) (*Driver, error) {
	c, err := newCatalog(opts)
	return &Driver{catalog: c, client: &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
	}}, err
}

// Specs lists the action.
func (d *Driver) Specs() []action.Spec { return specs }

// standing is what a service says of its settings.
type standing struct {
	Version  int64 `json:"version"`
	Previous int64 `json:"previous"`
	Rollback struct {
		Key      string `json:"key"`
		Refused  int64  `json:"refused"`
		Restored int64  `json:"restored"`
	} `json:"rollback"`
}

func (s standing) result() action.Result {
	return action.Result{Output: map[string]any{"refused": s.Rollback.Refused, "restored": s.Rollback.Restored, "version": s.Version}}
}

// Do takes the version in force back. Conflict says that another version came
// into force meanwhile, NotFound that there is none to go back to.
func (d *Driver) Do(ctx context.Context, call action.Call) (action.Result, error) {
	at, err := d.find(call)
	if err != nil {
		return action.Result{}, err
	}
	now, err := d.look(ctx, at)
	if err != nil {
		return action.Result{}, err
	}
	key := call.Key.String()
	if now.Rollback.Key == key {
		return now.result(), nil
	}
	if now.Previous == 0 {
		return action.Result{}, heal.Errorf(heal.NotFound, Rollback, "the settings of %s have no version before %d to go back to", call.Target, now.Version)
	}
	after, status, err := d.send(ctx, http.MethodPost, at+"/rollback", key, fmt.Appendf(nil, `{"version":%d}`, now.Version))
	switch {
	case err != nil:
		return action.Result{}, heal.Errorf(heal.Unknown, Rollback, "%w", err)
	case status == http.StatusConflict:
		return action.Result{}, heal.Errorf(heal.Conflict, Rollback, "%s has another version in force than %d by now", call.Target, now.Version)
	case status/100 != 2:
		return action.Result{}, heal.Errorf(kindOf(status), Rollback, "%s answered %d", at, status)
	case after.Rollback.Key != key:
		return action.Result{}, heal.Errorf(heal.Unknown, Rollback, "%s answered %d and does not say that it went back", at, status)
	}
	return after.result(), nil
}

// Observe asks the service whether its newest roll back was asked for by the
// call.
func (d *Driver) Observe(ctx context.Context, call action.Call) (action.Observation, error) {
	at, err := d.find(call)
	if err != nil {
		return action.Observation{}, err
	}
	now, err := d.look(ctx, at)
	if err != nil {
		return action.Observation{}, err
	}
	if now.Rollback.Key == call.Key.String() {
		return action.Observation{State: action.Happened, Result: now.result()}, nil
	}
	return action.Observation{State: action.NotHappened, Detail: fmt.Sprintf("version %d is in force and its newest roll back was not asked for by this step", now.Version)}, nil
}

// look reads where the settings stand.
func (d *Driver) look(ctx context.Context, at string) (standing, error) {
	now, status, err := d.send(ctx, http.MethodGet, at, "", nil)
	if err == nil && status/100 != 2 {
		return now, heal.Errorf(kindOf(status), "look at "+at, "it answered %d", status)
	}
	if err == nil && now.Version < 1 {
		err = errors.New("the answer names no version")
	}
	if err != nil {
		return now, heal.Errorf(heal.Transient, "look at "+at, "%w", err)
	}
	return now, nil
}

// kindOf is the kind of a status that is no success. Nothing was changed.
func kindOf(status int) heal.Kind {
	switch {
	case status == http.StatusTooManyRequests || status >= 500:
		return heal.Transient
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return heal.Denied
	case status == http.StatusNotFound:
		return heal.NotFound
	}
	return heal.Invalid
}

func (d *Driver) send(ctx context.Context, method, at, key string, body []byte) (standing, int, error) {
	var now standing
	req, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(body))
	if err != nil {
		return now, 0, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := d.client.Do(req)
	if err != nil {
		return now, 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err == nil && res.StatusCode/100 == 2 {
		err = json.Unmarshal(text, &now)
	}
	return now, res.StatusCode, err
}

// Previewer says what would be taken back. It has no client.
type Previewer struct{ catalog }

// NewPreviewer makes the previewer from the options of the driver.
func NewPreviewer(opts Options) (*Previewer, error) {
	c, err := newCatalog(opts)
	return &Previewer{c}, err
}

// Specs lists the action.
func (*Previewer) Specs() []action.Spec { return specs }

// Preview names the service and where it would be asked.
func (v *Previewer) Preview(_ context.Context, call action.Call) (action.Preview, error) {
	at, err := v.find(call)
	if err != nil {
		return action.Preview{}, err
	}
	return action.Preview{Text: fmt.Sprintf("Would ask %s at %s to refuse the version of its settings that is in force and to restore the one before.", call.Target, at)}, nil
}
