package incident_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/incident"
)

const day = 24 * time.Hour

// kindFault is a fault of the kind with a number.
func kindFault(kind int, at time.Time) heal.Fault {
	return fault(heal.ErrorsRaised, heal.ServiceID(fmt.Sprintf("s%03d", kind)), at)
}

// tied reports whether a fault of one kind joins a fresh case of another because
// they began together before.
func tied(o *incident.Onsets, one, other int, at time.Time) bool {
	// A set of its own, whose cases teach nothing about the question.
	set := incident.NewSet(incident.Options{Onsets: o})
	set.Put(incident.New("case", kindFault(one, at), at))
	return set.Assign(kindFault(other, at.Add(time.Second)), nil, at.Add(time.Second)).Join != ""
}

// independent are the times at which kinds of fault begin that have nothing to do
// with each other: each at random, one in five every three hours and the others
// every six days, all of them so many times more often by day than by night.
func independent(draw *rand.Rand, kinds int, span time.Duration, byDay float64) []heal.Fault {
	var all []heal.Fault
	for k := range kinds {
		every := 6 * float64(day)
		if k%5 == 0 {
			every = 3 * float64(time.Hour)
		}
		mean := every * (1 + 2/byDay) / 3 // a third of it is day
		for at := time.Duration(0); at < span; {
			at += time.Duration(draw.ExpFloat64() * mean)
			if night := at%day > 8*time.Hour; night && draw.Float64() > 1/byDay {
				continue
			}
			all = append(all, kindFault(k, start.Add(at)))
		}
	}
	slices.SortFunc(all, func(a, b heal.Fault) int { return a.Began.Compare(b.Began) })
	return all
}

// TestChanceTeachesNothing: of many kinds that begin at random no two are tied. The
// measure allows for one false pair in a hundred installations.
func TestChanceTeachesNothing(t *testing.T) {
	const kinds, installations, span = 400, 6, 30 * day
	for _, byDay := range []float64{1, 4} {
		t.Run(fmt.Sprintf("%.0f times as many by day", byDay), func(t *testing.T) {
			t.Parallel()
			noted := 0
			var bound []string
			for seed := range uint64(installations) {
				onsets := incident.NewOnsets(incident.OnsetOptions{})
				for _, f := range independent(rand.New(rand.NewPCG(seed, 1)), kinds, span, byDay) {
					onsets.Note(&f)
					noted++
				}
				bound = append(bound, incident.Bonds(onsets, start.Add(span))...)
			}
			t.Logf("%d faults in %d installations of %d kinds each, %d false pairs", noted, installations, kinds, len(bound))
			if len(bound) > 0 {
				t.Errorf("got false pairs %v, want none", bound)
			}
		})
	}
}

// TestHabitIsLearntAmongChance: a pair that begins together most of the time is
// found among many that do not, and forgotten once it does not any more.
func TestHabitIsLearntAmongChance(t *testing.T) {
	draw := rand.New(rand.NewPCG(7, 7))
	onsets := incident.NewOnsets(incident.OnsetOptions{})
	note := func(f heal.Fault) { onsets.Note(&f) }
	for _, f := range independent(draw, 100, 30*day, 2) {
		note(f)
	}
	// Kind 500 begins every third day, and 501 follows it in seven of eight.
	var last time.Time
	for i := range 8 {
		last = start.Add(time.Duration(i)*3*day + 13*time.Hour)
		note(kindFault(500, last))
		if i != 4 {
			note(kindFault(501, last.Add(90*time.Second)))
		}
	}
	for _, age := range []time.Duration{4 * day, 8 * day} {
		if !tied(onsets, 500, 501, last.Add(age)) {
			t.Errorf("%s after the last time: got not tied, want tied", age)
		}
	}
	if age := 20 * day; tied(onsets, 500, 501, last.Add(age)) {
		t.Errorf("%s after the last time: got tied, want forgotten: fewer than four are left within 30 days", age)
	}
	// From now on each begins alone.
	for i := range 8 {
		at := last.Add(time.Duration(i+1) * day)
		note(kindFault(500, at))
		note(kindFault(501, at.Add(3*time.Hour)))
	}
	if tied(onsets, 500, 501, last.Add(10*day)) {
		t.Error("after eight times apart: got tied, want not")
	}
}

// TestOrderOfNotingDoesNotMatter: what is remembered is a set of times.
func TestOrderOfNotingDoesNotMatter(t *testing.T) {
	for seed := range uint64(20) {
		draw := rand.New(rand.NewPCG(seed, 3))
		var faults []heal.Fault
		for range 400 {
			// Bursts, so that times run into each other.
			at := start.Add(time.Duration(draw.IntN(40))*17*time.Hour + time.Duration(draw.IntN(200))*time.Minute)
			faults = append(faults, kindFault(draw.IntN(6), at))
		}
		inOrder, shuffled := incident.NewOnsets(incident.OnsetOptions{}), incident.NewOnsets(incident.OnsetOptions{})
		for i := range faults {
			inOrder.Note(&faults[i])
		}
		for _, i := range append(draw.Perm(len(faults)), draw.Perm(len(faults))...) { // and twice
			shuffled.Note(&faults[i])
		}
		if diff := cmp.Diff(incident.Remembered(inOrder), incident.Remembered(shuffled)); diff != "" {
			t.Fatalf("seed %d (-in order +shuffled, twice):\n%s", seed, diff)
		}
	}
}

// TestJoiningTeachesNothing: what is remembered is the same whether faults are
// joined by what was learnt or not.
func TestJoiningTeachesNothing(t *testing.T) {
	history := func(use bool) (remembered map[string][]int64, joined int) {
		onsets := incident.NewOnsets(incident.OnsetOptions{})
		for i := range 20 {
			set := incident.NewSet(incident.Options{Onsets: onsets}) // all cases of the time before have ended
			cases := map[heal.IncidentID]heal.Incident{}
			for k := range 3 {
				f := kindFault(k, start.Add(time.Duration(i)*day+time.Duration(k)*time.Minute))
				a := set.Assign(f, nil, f.Began)
				if a.Join != "" && use {
					joined++
					cases[a.Join] = incident.Join(cases[a.Join], f, a, f.Began)
				} else {
					a.Join = heal.IncidentID(fmt.Sprint(i, k))
					cases[a.Join] = incident.New(a.Join, f, f.Began)
				}
				set.Put(cases[a.Join])
			}
		}
		return incident.Remembered(onsets), joined
	}
	with, joined := history(true)
	without, _ := history(false)
	if want := 16 * 2; joined != want {
		t.Errorf("got %d faults joined by what was learnt, want %d: two each time from the fifth on", joined, want)
	}
	if diff := cmp.Diff(with, without); diff != "" {
		t.Errorf("(-joined +apart):\n%s", diff)
	}
}

// TestStormIsOneObservation: 10,000 alerts within an hour, wave after wave, teach
// that each kind began once.
func TestStormIsOneObservation(t *testing.T) {
	onsets := incident.NewOnsets(incident.OnsetOptions{})
	const kinds = 100
	for i := range 10_000 {
		f := kindFault(i%kinds, start.Add(time.Duration(i)*time.Second))
		onsets.Note(&f)
	}
	for kind, times := range incident.Remembered(onsets) {
		if len(times) != 1 {
			t.Fatalf("%s: got %d beginnings, want 1", kind, len(times))
		}
	}
	if tied(onsets, 1, 2, start.Add(5*day)) {
		t.Error("after one storm: got tied, want not")
	}
}

// TestMemoryIsBounded: of more kinds than there is room for the rarest give way,
// and are counted; of more times the oldest.
func TestMemoryIsBounded(t *testing.T) {
	onsets := incident.NewOnsets(incident.OnsetOptions{MaxKinds: 80, MaxTimes: 8})
	for i := range 8 {
		for k := range 2 {
			f := kindFault(k, start.Add(time.Duration(i)*day))
			onsets.Note(&f)
		}
	}
	const rare = 1000
	for i := range rare {
		f := kindFault(100+i, start.Add(8*day+time.Duration(i)*time.Second))
		onsets.Note(&f)
	}
	if onsets.Len() > 80 || onsets.Dropped() != int64(2+rare-onsets.Len()) {
		t.Errorf("got %d kinds and %d dropped, want at most 80 and the rest", onsets.Len(), onsets.Dropped())
	}
	if !tied(onsets, 0, 1, start.Add(9*day)) {
		t.Error("a pair that began together 8 times: got forgotten, want it to outlive what began once")
	}
	for i := range 1000 {
		f := kindFault(0, start.Add(time.Duration(i)*2*time.Hour))
		onsets.Note(&f)
	}
	if n := len(incident.Remembered(onsets)["errors on service/s000"]); n != 8 {
		t.Errorf("got %d times of one kind, want the newest 8", n)
	}
}

// FuzzLearn: whatever a stored case holds, memory keeps its bounds and order.
func FuzzLearn(f *testing.F) {
	inc := incident.New("i", kindFault(1, start), start)
	inc = incident.Join(inc, fault(heal.Unavailable, "pod/shop/cart-1", start.Add(time.Hour)), incident.Assignment{Role: heal.Secondary}, start)
	body, err := json.Marshal(inc)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte(`{"members":[{"fault":{"key":{"entity":"pod"},"began":"9999-12-31T23:59:59Z"}},{"fault":{"began":"0001-01-01T00:00:00Z"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var inc heal.Incident
		if json.Unmarshal(data, &inc) != nil {
			return
		}
		onsets := incident.NewOnsets(incident.OnsetOptions{MaxKinds: 4, MaxTimes: 2})
		set := incident.NewSet(incident.Options{Onsets: onsets})
		onsets.Learn(&inc)
		set.Put(inc)
		if onsets.Len() > 4 {
			t.Fatalf("got %d kinds, want at most 4", onsets.Len())
		}
		for kind, times := range incident.Remembered(onsets) {
			if len(times) == 0 || len(times) > 2 || !slices.IsSorted(times) {
				t.Fatalf("%s: got %v, want one or two times in order", kind, times)
			}
		}
		for i := range inc.Members {
			set.Assign(inc.Members[i].Fault, nil, start)
		}
	})
}

// TestBusyHoursTeachLess: four of four within minutes, in hours in which much else
// began, is no wonder among many kinds, and needs more times to be believed. Four
// of four at once is one.
func TestBusyHoursTeachLess(t *testing.T) {
	for _, tt := range []struct {
		kinds, times int
		apart        time.Duration
		want         bool
	}{{2, 4, 3 * time.Minute, true}, {20, 4, 3 * time.Minute, false}, {20, 7, 3 * time.Minute, true}, {20, 4, 3 * time.Second, true}} {
		onsets := incident.NewOnsets(incident.OnsetOptions{})
		for i := range tt.times {
			hour := start.Add(time.Duration(i) * day)
			for k := range tt.kinds {
				f := kindFault(k, hour.Add(time.Duration(k/2*7%60)*time.Minute+time.Duration(k%2)*tt.apart))
				onsets.Note(&f)
			}
		}
		if got := tied(onsets, 0, 1, start.Add(8*day)); got != tt.want {
			t.Errorf("%d times %s apart, %d kinds in the same hours: got tied %v, want %v", tt.times, tt.apart, tt.kinds, got, tt.want)
		}
	}
}
