package probe

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"time"
)

// prober asks the target once; nil means it is well.
type prober func(ctx context.Context) error

// monitor probes one target.
type monitor struct {
	config Config
	probe  prober
	set    *Set
	outbox *outbox
	turn   chan struct{} // one probe at a time, so that results stay in order

	mu      sync.Mutex
	state   State
	watched bool // at some time
}

func newMonitor(s *Set, c Config) *monitor {
	m := &monitor{
		config: c,
		set:    s,
		turn:   make(chan struct{}, 1),
	}
	m.state = m.blank()
	switch {
	case c.HTTP != nil:
		m.probe = newHTTPProber(*c.HTTP)
	case c.TCP != nil:
		m.probe = newTCPProber(*c.TCP)
	case c.Process != nil:
		m.probe = newProcessProber(*c.Process, s.opts.ProcRoot)
	}
	m.outbox = newOutbox(s, m.current)
	return m
}

func (m *monitor) current() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.clone()
}

// watch probes and tells what it finds until ctx ends. When it is called again
// it begins without an opinion: another server may have looked meanwhile.
func (m *monitor) watch(ctx context.Context) error {
	m.mu.Lock()
	if m.watched {
		m.state = m.blank()
		m.outbox.clear()
	}
	m.watched = true
	m.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { m.run(ctx) })
	wg.Go(func() { m.outbox.run(ctx) })
	wg.Wait()
	return nil
}

// blank is the state of a monitor that nothing is known of.
func (m *monitor) blank() State {
	c := m.config
	return State{
		Name: c.Name, Entity: c.Entity, Kind: c.Kind(), Target: c.Target(),
		Severity: c.Severity, Labels: c.Labels, Status: Unknown,
	}
}

// run probes at the interval. The first probe comes after a part of the
// interval, 1 s at most, that the name decides, so that monitors of one
// interval do not fire all at once.
func (m *monitor) run(ctx context.Context) {
	spread := fnv.New32a()
	_, _ = spread.Write([]byte(m.config.Name)) // a hash takes every write
	within := min(m.config.Interval, time.Second)
	start := time.NewTimer(time.Duration(spread.Sum32()) * within >> 32)
	defer start.Stop()
	select {
	case <-ctx.Done():
		return
	case <-start.C:
	}
	tick := time.NewTicker(m.config.Interval)
	defer tick.Stop()
	for {
		m.check(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// check makes one probe and takes its result in; false if ctx ended first,
// which says nothing about the target.
func (m *monitor) check(ctx context.Context) bool {
	if !acquire(ctx, m.turn) {
		return false
	}
	defer func() { <-m.turn }()
	if !acquire(ctx, m.set.slots) {
		return false
	}
	defer func() { <-m.set.slots }()

	probing, cancel := context.WithTimeout(ctx, m.config.Timeout)
	defer cancel()
	r := Result{At: time.Now().UTC()}
	r.Err = m.probe(probing)
	r.Latency = time.Since(r.At)
	if r.Err != nil && ctx.Err() != nil {
		return false
	}
	if r.Err != nil && probing.Err() != nil {
		r.Err = fmt.Errorf("no answer within %s: %w", m.config.Timeout, r.Err)
	}
	m.take(r)
	return true
}

func (m *monitor) take(r Result) {
	m.set.counters.probes.Add(1)
	if r.Err != nil {
		m.set.counters.failures.Add(1)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	from := m.state.Status
	next, changed := Step(m.state, r, Thresholds{Failures: m.config.Failures, Successes: m.config.Successes})
	m.state = next
	if changed {
		m.outbox.put(Transition{From: from, State: next.clone()})
	}
}

func acquire(ctx context.Context, slots chan struct{}) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}
