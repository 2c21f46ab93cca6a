package failover

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

const (
	maxAnswer = 64 << 10        // bytes
	patience  = 5 * time.Second // for one request
	undoWait  = 5 * time.Second // for switching back after a failure
)

// Driver switches.
type Driver struct {
	catalog
	client   *http.Client
	interval time.Duration
}

// New makes the driver; kind Invalid names the first mistake in the options.
func New(opts Options) (*Driver, error) {
	if opts.Interval <= 0 {
		opts.Interval = time.Second
	}
	c, err := newCatalog(opts)
	return &Driver{catalog: c, interval: opts.Interval, client: &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		// A connection kept open would hide that no new one is accepted.
		Transport: &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
	}}, err
}

// Specs lists the actions.
func (d *Driver) Specs() []action.Spec { return specs }

// Do switches or waits. Transient says that the side asked for is not healthy
// and that nothing is switched.
func (d *Driver) Do(ctx context.Context, call action.Call) (action.Result, error) {
	o, err := d.parse(call)
	if err != nil {
		return action.Result{}, err
	}
	if o.action == Await {
		return d.await(ctx, o)
	}
	return d.turn(ctx, o)
}

// Observe asks the switch where it stands.
func (d *Driver) Observe(ctx context.Context, call action.Call) (action.Observation, error) {
	o, err := d.parse(call)
	if err != nil {
		return action.Observation{}, err
	}
	if o.action == Await {
		return action.Observation{State: action.CannotTell, Detail: "a wait leaves no trace"}, nil
	}
	active, err := d.active(ctx, o)
	switch {
	case err != nil:
		return action.Observation{}, heal.Errorf(heal.Transient, "look at the switch", "%w", err)
	case active == o.side:
		return action.Observation{State: action.Happened, Result: o.result()}, nil
	}
	return action.Observation{State: action.NotHappened, Detail: "the switch stands at " + active}, nil
}

func (d *Driver) turn(ctx context.Context, o order) (action.Result, error) {
	op := fmt.Sprintf("switch %s to its %s", o.Entity, o.side)
	former, err := d.active(ctx, o)
	if err != nil {
		return action.Result{}, heal.Errorf(heal.Transient, op, "look at the switch: %w", err)
	}
	if former == o.side {
		return o.result(), nil
	}
	if err := d.healthy(ctx, o); err != nil {
		return action.Result{}, heal.Errorf(heal.Transient, op, "it is not healthy, nothing is switched: %w", err)
	}
	err = d.put(ctx, o, o.side)
	if err == nil {
		err = d.proven(ctx, o)
	}
	if err == nil {
		return o.result(), nil
	}
	// The call may be over by now; what it began is taken back all the same.
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWait)
	defer cancel()
	if back := d.put(undo, o, former); back != nil {
		return action.Result{}, heal.Errorf(heal.Unknown, op, "%w; nor could it be switched back: %w", err, back)
	}
	return action.Result{}, heal.Errorf(heal.Transient, op, "it was switched back: %w", err)
}

// proven looks again after a switch: at the switch and at what it leads to.
func (d *Driver) proven(ctx context.Context, o order) error {
	active, err := d.active(ctx, o)
	if err == nil && active != o.side {
		err = fmt.Errorf("the switch still stands at %s", active)
	}
	if err == nil {
		err = d.healthy(ctx, o)
	}
	return err
}

func (d *Driver) await(ctx context.Context, o order) (action.Result, error) {
	op := fmt.Sprintf("wait for the %s of %s", o.side, o.Entity)
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	tick := time.NewTicker(d.interval)
	defer tick.Stop()
	var since time.Time
	for {
		err := d.healthy(ctx, o)
		switch {
		case err != nil:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		}
		if err == nil && time.Since(since) >= o.hold {
			return o.result(), nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("it is so since %s only", time.Since(since).Round(time.Second))
			}
			return action.Result{}, heal.Errorf(heal.Transient, op, "not healthy for %s in time: %w", o.hold, err)
		}
	}
}

// selection is what the switch says and takes.
type selection struct {
	Active string `json:"active"`
}

// active asks the switch where it stands.
func (d *Driver) active(ctx context.Context, o order) (string, error) {
	text, err := d.send(ctx, http.MethodGet, o.Switch, nil)
	if err != nil {
		return "", err
	}
	var now selection
	if err := json.Unmarshal(text, &now); err != nil {
		return "", fmt.Errorf("read the answer of %s: %w", o.Switch, err)
	}
	if now.Active != Primary && now.Active != Backup {
		return "", fmt.Errorf("%s says that %.20q is active, expected primary or backup", o.Switch, now.Active)
	}
	return now.Active, nil
}

func (d *Driver) put(ctx context.Context, o order, side string) error {
	body, err := json.Marshal(selection{side})
	if err == nil {
		_, err = d.send(ctx, http.MethodPut, o.Switch, body)
	}
	return err
}

func (d *Driver) healthy(ctx context.Context, o order) error {
	_, err := d.send(ctx, http.MethodGet, o.health(), nil)
	return err
}

func (d *Driver) send(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s %s: read the answer: %w", method, url, err)
	case len(text) > maxAnswer:
		return nil, errors.New("the answer is larger than 64 KiB")
	case res.StatusCode/100 != 2:
		return nil, fmt.Errorf("%s %s answered %d: %.200s", method, url, res.StatusCode, bytes.TrimSpace(text))
	}
	return text, nil
}
