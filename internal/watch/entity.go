package watch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/detect"
	"github.com/homeostat/homeostat/internal/heal"
)

// entity is everything known of one service.
type entity struct {
	id        heal.EntityID
	tracks    map[string]*track
	judges    map[Golden]*judge
	joint     *joint
	anomalies []*Anomaly // oldest first
	calls     float64    // per second, at the last look; below 0: nobody counts them
	seen      time.Time
}

func newEntity(id heal.EntityID) *entity {
	return &entity{id: id, tracks: map[string]*track{}, judges: map[Golden]*judge{}, calls: -1}
}

// requests is how many requests a service served within a window. Where nobody
// counts them they are not asked for.
func (e *entity) requests(window time.Duration) float64 {
	if e.calls < 0 {
		return fewCalls
	}
	return e.calls * window.Seconds()
}

// track is one series under watch. It is of fixed size but for its names.
type track struct {
	signal, part string         // both are parts of its key
	series       *detect.Series // apart, as together they would waste a size class
	usual        usual
	anomaly      *Anomaly // while it is off
	seen         time.Time
	value        float64
}

// observe takes a point and gives how surprising it is.
func (t *track) observe(e *entity, s Signal, at time.Time, v float64) (surprise float64) {
	verdict := t.series.Observe(at, v)
	if verdict.Flaw != detect.Flawless {
		return 0
	}
	t.seen, t.value = at, v
	wasUsually := t.usual.mean
	odd := verdict.Surprise >= oddSurprise
	if !t.usual.observe(at, v, odd) {
		t.anomaly = nil
		return verdict.Surprise
	}
	if t.anomaly == nil {
		t.anomaly = e.remember(Anomaly{Entity: e.id, Signal: t.signal, Part: t.part, Expr: t.expr(e, s), Unit: s.Unit, Since: at, Usual: wasUsually})
	}
	a := t.anomaly
	a.Last, a.Value = at, v
	if verdict.Surprise > a.Surprise {
		a.Surprise, a.Said = verdict.Surprise, said(t.series)
	}
	return verdict.Surprise
}

// saidMost bounds the words kept of one anomaly.
const saidMost = 3

// said is what the loudest detectors said of the last point, without the data,
// which is in the words.
func said(s *detect.Series) []heal.Reason {
	list := s.Reasons()
	list = slices.Clone(list[:min(len(list), saidMost)])
	for i := range list {
		list[i].Data = nil
	}
	return list
}

// newTrack makes the series with a key: its signal, a NUL, and its part.
func newTrack(key string) *track {
	signal, part, _ := strings.Cut(key, "\x00")
	return &track{signal: signal, part: part, series: new(detect.Series)}
}

// expr shows the series to a person.
func (t *track) expr(e *entity, s Signal) string {
	if s.Raw {
		return t.signal + "{" + s.Entity + "=" + quote(e.id.Name()) + "," + strings.TrimSuffix(t.part, ",") + "}"
	}
	return s.Expr
}

// off reports whether the series is out of the ordinary now.
func (t *track) off() bool { return t.anomaly != nil }

// recentLooks is how long ago, in looks, what went off may have done so to be of
// one event with what is off now.
const recentLooks = 40

// others names the signals of the service as a whole that went off of late, but
// for one.
func (e *entity) others(but string) []string {
	var names []string
	for _, t := range e.tracks {
		if !t.off() || t.usual.off > recentLooks || t.signal == but || strings.HasSuffix(t.signal, ofOperation) {
			continue
		}
		name := strings.TrimSuffix(strings.TrimSuffix(t.signal, "_count"), "_sum") // both are of one histogram
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// joint looks at the signals of a service together: how they usually move, and
// what a vector of them is like beside the last ones.
type joint struct {
	names  []string // of the tracks, in their places; fixed once enough were seen
	model  *detect.Joint
	past   [][]float64 // as a ring, while all is well
	at     int
	vector []float64
	score  float64
}

// Of each service so many signals are looked at together, the first ones that
// came, once it was seen so often; so many vectors are kept.
const (
	jointMetrics = 8
	jointLooks   = 4
	jointPast    = 64
)

// jointSignal is the name of the track of how unlike its past the whole is.
const jointSignal = "all signals together"

// jointly takes the vector of this look and gives how far it is from what was
// learnt.
func (e *entity) jointly(at time.Time, looks int) (score float64, ok bool) {
	if e.joint == nil {
		if looks < jointLooks {
			return 0, false
		}
		e.joint = newJoint(e)
	}
	j := e.joint
	if j.model == nil {
		return 0, false
	}
	for i, name := range j.names {
		j.vector[i] = missing
		if t := e.tracks[name]; t != nil && t.seen.Equal(at) {
			j.vector[i] = t.value
		}
	}
	j.score = j.model.Observe(j.vector, true)
	if len(e.others(jointSignal)) == 0 {
		j.keep()
	}
	return j.score, true
}

func newJoint(e *entity) *joint {
	j := &joint{}
	for name, t := range e.tracks {
		if !strings.HasSuffix(t.signal, ofOperation) {
			j.names = append(j.names, name)
		}
	}
	slices.Sort(j.names)
	j.names = j.names[:min(len(j.names), jointMetrics)]
	if len(j.names) > 1 {
		j.model, _ = detect.NewJoint(len(j.names)) // the length is in range
		j.vector = make([]float64, len(j.names))
	}
	return j
}

func (j *joint) keep() {
	if len(j.past) < jointPast {
		j.past = append(j.past, slices.Clone(j.vector))
		return
	}
	copy(j.past[j.at%jointPast], j.vector)
	j.at = (j.at + 1) % jointPast
}

// explain grows an isolation forest from the vectors of when all was well, and
// says which signals set the last vector apart. It costs nothing until it is
// asked.
func (j *joint) explain() string {
	if j == nil || j.model == nil || len(j.past) < judgePoints {
		return ""
	}
	forest, err := detect.NewForest(j.past, detect.ForestOptions{Seed: 1})
	if err != nil {
		return ""
	}
	var parts []string
	for _, s := range forest.Shares(j.vector, 3) {
		name, part, _ := strings.Cut(j.names[s.Metric], "\x00")
		if part != "" {
			name += " (" + strings.TrimSuffix(part, ",") + ")"
		}
		parts = append(parts, fmt.Sprintf("%s %.0f %%", name, 100*s.Part))
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("%s (isolation score %.2f)", strings.Join(parts, ", "), forest.Score(j.vector))
}
