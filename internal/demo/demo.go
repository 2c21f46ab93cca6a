// Package demo shows Homeostat at work: it starts a small shop of real
// processes, breaks something in it, and tells what Homeostat does about it.
//
// Its one invariant: nothing is simulated between fault and heal. The shop
// runs, the fault is real, and the loop hears of it by telemetry and monitors
// alone: what injects the fault talks to the shop, never to the loop. It is not
// for tests of single packages.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/homeostat/homeostat/examples/shop"
	"github.com/homeostat/homeostat/internal/app"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Fault is something that can be broken.
type Fault string

// The faults.
const (
	Crash Fault = "crash" // the payment process dies and stays dead
	Slow  Fault = "slow"  // the inventory's connection pool is exhausted

	Leak       Fault = "leak"       // the cart keeps memory of every request
	Hang       Fault = "hang"       // payment takes requests and answers none
	BadConfig  Fault = "badconfig"  // a setting is pushed with which payment cannot pay
	Dependency Fault = "dependency" // the ledger of payment is damaged, which no restart heals
)

// Faults lists them all.
func Faults() []Fault { return []Fault{Crash, Slow, Leak, Hang, BadConfig, Dependency} }

// Options are what a demo may be told.
type Options struct {
	Faults  []Fault       // injected at once; default crash
	Once    bool          // end after the heal; else stay up until told to stop
	JSON    bool          // one JSON object a line instead of words
	Ask     bool          // the playbooks ask a person before they act
	Alone   bool          // without rules and monitors: only what is watched without a rule notices anything
	Warm    time.Duration // how long all is well at first; default 12 s, longer where more must be learnt
	Keep    bool          // leave the folder with its files for a look
	Shop    *shop.Config  // default shop.Default on free ports; the telemetry endpoint is set here
	Limit   time.Duration // until everything must be healed; default 2 min
	Version string
	Stdout  io.Writer
	Stderr  io.Writer
}

// warmUp is how long the shop runs before something is broken, so that there
// is a time when all was well to compare with.
const warmUp = 12 * time.Second

// longWarmUp is for what grows slowly: how memory stands is compared with 30 s
// before the fault was seen.
const longWarmUp = 20 * time.Second

// aloneWarmUp is for what must learn from nothing what is usual.
const aloneWarmUp = 40 * time.Second

// ErrAlarmed says that a case was opened while all was well.
var ErrAlarmed = errors.New("a case was opened while all was well")

// ErrNotHealed says that a fault was not healed and verified in time.
var ErrNotHealed = errors.New("not everything was healed and verified in time")

// Run plays the demo. It returns nil only if every fault was healed by
// Homeostat and the heal verified by fresh evidence.
func Run(ctx context.Context, o Options) (err error) {
	if len(o.Faults) == 0 {
		o.Faults = []Fault{Crash}
	}
	if o.Limit == 0 {
		o.Limit = 2 * time.Minute
	}
	if o.Ask {
		o.Limit = max(o.Limit, 30*time.Minute) // people take their time
	}
	for _, f := range o.Faults {
		if !slices.Contains(Faults(), f) {
			return heal.Errorf(heal.Invalid, "demo", "there is no fault %q, only %v", f, Faults())
		}
	}
	dir, remove, err := workDir(o)
	if err != nil {
		return err
	}
	defer remove()
	stage, err := build(dir, o)
	if err != nil {
		return err
	}
	show := newShow(o)
	log, err := os.OpenFile(filepath.Join(dir, "homeostat.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // it is only a log
	server, err := app.New(ctx, stage.config, app.Options{Version: o.Version, Stderr: log})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(running) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	return play(ctx, o, server, stage, show)
}

// play is the story itself: start, warm up, break, watch.
func play(ctx context.Context, o Options, server *app.Server, stage *stage, show *show) error {
	show.say("starting", "a shop of %d processes: %s", len(stage.shop.Services), stage.names())
	defer stage.stopAll(server, show)
	if err := stage.startAll(ctx, server); err != nil {
		return err
	}
	show.say("up", "Homeostat listens on http://%s; its log is %s", server.APIAddr(), filepath.Join(stage.dir, "homeostat.log"))
	show.say("page", "open http://%s in a browser; the token is in %s", server.APIAddr(), stage.config.TokenFile())
	warm := o.warmUp()
	show.say("warming", "%s of steady load, so that Homeostat sees what is normal", warm)
	if err := sleep(ctx, warm); err != nil {
		return err
	}
	if o.Alone {
		if err := quiet(ctx, server.Store(), show); err != nil {
			return err
		}
	}
	injected := time.Now()
	for _, f := range o.Faults {
		if err := stage.inject(ctx, f, server, show); err != nil {
			return err
		}
	}
	watched, cancel := context.WithTimeout(ctx, o.Limit)
	world := stage.turn(watched, o.Faults, show)
	defer func() {
		cancel()
		world()
	}()
	cases, err := watch(watched, server.Store(), injected, stage.victims(o.Faults), show)
	if err != nil {
		return err
	}
	if err := show.tellStories(ctx, server.Store(), injected, cases); err != nil {
		return err
	}
	if len(cases) < len(o.Faults) {
		return ErrNotHealed
	}
	if err := stage.after(ctx, o.Faults, show); err != nil {
		return err
	}
	if o.Once {
		return nil
	}
	show.say("staying", "look around: homeostat incidents list --server http://%s --token-file %s; Ctrl-C ends", server.APIAddr(), stage.config.TokenFile())
	<-ctx.Done()
	return nil
}

func (o Options) warmUp() time.Duration {
	switch {
	case o.Warm > 0:
		return o.Warm
	case o.Alone:
		return aloneWarmUp
	case slices.Contains(o.Faults, Leak):
		return longWarmUp
	}
	return warmUp
}

// quiet reports whether no case was opened so far.
func quiet(ctx context.Context, s store.Store, show *show) error {
	var cases []heal.Incident
	err := s.View(ctx, func(r store.Reader) (err error) {
		cases, err = casesSince(r, time.Time{})
		return err
	})
	if err != nil {
		return err
	}
	for _, c := range cases {
		show.say("alarm", "%s", c.Title)
	}
	if len(cases) > 0 {
		return ErrAlarmed
	}
	show.say("quiet", "no case was opened while all was well")
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// workDir makes the folder of the demo; remove takes it away at the end.
func workDir(o Options) (path string, remove func(), err error) {
	path, err = os.MkdirTemp("", "homeostat-demo-")
	return path, func() {
		if o.Keep {
			fmt.Fprintln(o.Stderr, "the files of the demo are in", path)
			return
		}
		if err := os.RemoveAll(path); err != nil {
			fmt.Fprintln(o.Stderr, "remove the files of the demo:", err)
		}
	}, err
}
