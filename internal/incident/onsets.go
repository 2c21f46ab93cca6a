package incident

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// OnsetOptions bound what Onsets remember.
type OnsetOptions struct {
	Window   time.Duration // beginnings at most this far apart are together; default 5 min
	Keep     time.Duration // how far back beginnings count; default 30 days
	MaxKinds int           // kinds of fault; beyond it the rarest give way; default 5,000
	MaxTimes int           // beginnings of one kind, the newest; default 256
}

// Onsets remember when which kinds of fault began. What began together is not
// kept: it follows from the times whenever it is asked, so that a storm teaches
// as many times as it has kinds, however many pairs they make.
//
// Nothing of it depends on what was made of a fault: a beginning is the time that
// its source gives, and is the same whichever case the fault went to. So what is
// remembered is the same in whatever order, and however often, faults are noted,
// as long as nothing had to give way. It is not safe for concurrent use.
type Onsets struct {
	opts    OnsetOptions
	kinds   map[kind]*spells
	places  map[place]*activity
	tidied  time.Time
	dropped int64
}

// kind is what faults have in common that are the same trouble at different
// times: the alert's name and the service. Instances, pods and hosts come and go,
// and are not part of it where the service is known.
type kind struct {
	place place
	alert string          // its name; of faults without one, the fault type
	of    heal.EntityKind // and name: what is troubled
	name  string
}

// spell is a time during which a kind of fault began again and again, in UTC
// nanoseconds. It counts as one beginning, at first.
type spell struct{ first, last int64 }

// spells are those of one kind, oldest first, further apart than the quiet time.
type spells struct {
	list  []spell
	since int64 // what began before was dropped; 0: nothing was
}

// activity is when anything at all began at a place.
type activity struct {
	kinds  int
	blocks []int64 // of quiet time each, numbered since 1970, ascending
}

// NewOnsets remember nothing yet.
func NewOnsets(opts OnsetOptions) *Onsets {
	if opts.Window <= 0 {
		opts.Window = 5 * time.Minute
	}
	if opts.Keep <= 0 {
		opts.Keep = 30 * 24 * time.Hour
	}
	if opts.MaxKinds <= 0 {
		opts.MaxKinds = 5000
	}
	if opts.MaxTimes <= 0 {
		opts.MaxTimes = 256
	}
	return &Onsets{opts: opts, kinds: map[kind]*spells{}, places: map[place]*activity{}}
}

// quietWindows is how many windows a kind must have been quiet before it begins
// anew, an hour at the default window. What flaps, and a storm that comes in
// waves, is one observation: trials that follow from one another are no trials.
const quietWindows = 12

func (o *Onsets) quiet() int64 { return int64(o.opts.Window) * quietWindows }

// Learn notes every fault of a case.
func (o *Onsets) Learn(inc *heal.Incident) {
	for i := range inc.Members {
		o.Note(&inc.Members[i].Fault)
	}
}

// Note remembers when a fault began. It reports false, and leaves it out, if the
// time cannot be believed: from a clock that was never set, or none at all.
func (o *Onsets) Note(f *heal.Fault) bool {
	at := f.Began
	if at.Before(earliest) || at.After(latest) {
		return false
	}
	k := kindOf(f)
	s, here := o.kinds[k], o.places[k.place]
	if s == nil {
		if len(o.kinds) >= o.opts.MaxKinds {
			o.makeRoom()
			here = o.places[k.place]
		}
		s = &spells{}
		o.kinds[k] = s
		if here == nil {
			here = &activity{}
			o.places[k.place] = here
		}
		here.kinds++
	}
	s.add(at.UnixNano(), o.quiet(), o.opts.MaxTimes)
	here.add(at.UnixNano()/o.quiet(), int(int64(o.opts.Keep)/o.quiet())+2)
	return true
}

// Before the one no clock was set, after the other nanoseconds run out.
var (
	earliest = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// add brings a beginning in. Spells that it lies between become one.
func (s *spells) add(at, quiet int64, most int) {
	if at < s.since {
		return
	}
	// Almost always it is the newest, or part of the newest.
	to := len(s.list)
	for to > 0 && s.list[to-1].first > at+quiet {
		to--
	}
	from := to
	for from > 0 && s.list[from-1].last >= at-quiet {
		from--
	}
	if from == to {
		s.list = slices.Insert(s.list, from, spell{at, at})
	} else {
		joined := spell{min(at, s.list[from].first), max(at, s.list[to-1].last)}
		s.list = slices.Replace(s.list, from, to, joined)
	}
	if extra := len(s.list) - most; extra > 0 {
		s.since = s.list[extra-1].last + 1
		s.list = slices.Delete(s.list, 0, extra)
	}
}

// add notes that something began in a block; of more than most the newest stay.
func (a *activity) add(block int64, most int) {
	at, found := slices.BinarySearch(a.blocks, block)
	if found {
		return
	}
	a.blocks = slices.Insert(a.blocks, at, block)
	if extra := len(a.blocks) - most; extra > 0 {
		a.blocks = slices.Delete(a.blocks, 0, extra)
	}
}

// Len is the number of kinds of fault that are remembered.
func (o *Onsets) Len() int { return len(o.kinds) }

// Dropped is how many kinds gave way before their time, ever.
func (o *Onsets) Dropped() int64 { return o.dropped }

// makeRoom forgets an eighth of the kinds: those that began the fewest times,
// of these the ones that began longest ago.
func (o *Onsets) makeRoom() {
	type worth struct {
		kind  kind
		times int
		last  int64
	}
	all := make([]worth, 0, len(o.kinds))
	for k, s := range o.kinds {
		all = append(all, worth{k, len(s.list), s.list[len(s.list)-1].last})
	}
	slices.SortFunc(all, func(a, b worth) int {
		return cmp.Or(cmp.Compare(a.times, b.times), cmp.Compare(a.last, b.last), a.kind.compare(b.kind))
	})
	for _, w := range all[:len(all)/8+1] {
		o.forget(w.kind)
		o.dropped++
	}
}

func (o *Onsets) forget(k kind) {
	delete(o.kinds, k)
	here := o.places[k.place]
	if here.kinds--; here.kinds == 0 {
		delete(o.places, k.place)
	}
}

// tidy forgets the kinds that did not begin for longer than beginnings count.
// It looks once in a quiet time.
func (o *Onsets) tidy(now time.Time) {
	if age := now.Sub(o.tidied); age >= 0 && int64(age) < o.quiet() {
		return
	}
	o.tidied = now
	before := now.Add(-o.opts.Keep).UnixNano()
	for k, s := range o.kinds {
		if s.list[len(s.list)-1].last < before {
			o.forget(k)
		}
	}
}

// kindOf is the kind of a fault.
func kindOf(f *heal.Fault) kind {
	k := kind{place: placeOf(f.Scope), alert: f.AlertName, of: f.Key.Entity.Kind(), name: f.Key.Entity.Name()}
	if k.alert == "" {
		k.alert = string(f.Key.Type)
	}
	switch k.of {
	case heal.KindProcess, heal.KindHost, heal.KindPod:
		switch {
		case f.Scope.Service != "":
			k.of, k.name = heal.KindService, f.Scope.Service
		case k.of == heal.KindHost:
			k.name = ""
		case k.of == heal.KindPod:
			k.name = k.name[:max(0, strings.LastIndexByte(k.name, '/'))] // its namespace
		}
	case heal.KindService, heal.KindDatabase, heal.KindCache, heal.KindQueue, heal.KindExternal:
	}
	return k
}

func (k kind) compare(other kind) int {
	if c := cmp.Or(cmp.Compare(k.name, other.name), cmp.Compare(k.alert, other.alert), cmp.Compare(k.of, other.of)); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(k.place.tenant, other.place.tenant), cmp.Compare(k.place.env, other.place.env), cmp.Compare(k.place.cluster, other.place.cluster))
}

// String names a kind as people do: the alert and what it is about.
func (k kind) String() string {
	switch {
	case k.name != "":
		return k.alert + " on " + string(k.of) + "/" + k.name
	case k.of != "":
		return k.alert + " on a " + string(k.of)
	}
	return k.alert
}
