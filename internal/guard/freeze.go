package guard

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/teambition/rrule-go"

	"github.com/homeostat/homeostat/internal/heal"
)

// Freeze is a time when automation begins nothing in a scope: a change freeze.
type Freeze struct {
	Name     string
	Scope    heal.Scope // empty parts stand for every value
	Why      string
	Calendar *Calendar
}

// freeze holds back what automation begins. Runs under way go on, and people
// may act: they are told, and a freeze is not meant for emergencies.
func freeze(q *question) Verdict {
	if !automated(&q.Request, &q.History) {
		return Verdict{}
	}
	for i := range q.base.Freezes {
		f := &q.base.Freezes[i]
		if !f.Scope.Contains(q.Scope) {
			continue
		}
		on, until := f.Calendar.At(q.now)
		if !on {
			continue
		}
		v := refuse(RuleFreeze, until, map[string]any{"freeze": f.Name, "scope": where(f.Scope), "until": until},
			"change freeze %s holds for %s until %s (%s)", f.Name, where(f.Scope), clock(until), f.Why)
		v.Page, v.Scope = true, q.Scope
		return v
	}
	return Verdict{}
}

func freezeClear(q *question) string {
	if !automated(&q.Request, &q.History) {
		return "freezes hold back what automation begins, and this is not"
	}
	var next time.Time
	reach := 0
	for i := range q.base.Freezes {
		f := &q.base.Freezes[i]
		if !f.Scope.Contains(q.Scope) {
			continue
		}
		reach++
		if _, from := f.Calendar.At(q.now); !from.IsZero() && (next.IsZero() || from.Before(next)) {
			next = from
		}
	}
	switch {
	case reach == 0:
		return "no freeze is set for this scope"
	case next.IsZero():
		return "no freeze is to come"
	}
	return "no freeze holds now, the next begins at " + clock(next)
}

// Calendar is a recurrence in the language of RFC 5545 (DTSTART, RRULE, RDATE,
// EXDATE), each occurrence of which lasts a while. It may be asked from
// everywhere at once.
type Calendar struct {
	text  string
	lasts time.Duration

	mu    sync.Mutex
	known span // of the last answer; what it says holds from its begin to its end
}

// span is a time in which the answer stays the same. A zero end: for ever.
type span struct {
	begin, end time.Time
	on, set    bool
}

// The bounds of a calendar: with them an answer takes milliseconds whatever a
// rule says.
const (
	maxCalendar    = 4 << 10 // bytes
	maxInterval    = 1000
	maxLasts       = 366 * 24 * time.Hour
	maxOccurrences = 100_000 // looked at for one answer
	maxTimes       = 24      // of a day
)

// ParseCalendar reads a recurrence. Lines without a time zone are in that of
// DTSTART. Every mistake is of kind Invalid.
func ParseCalendar(text string, lasts time.Duration) (*Calendar, error) {
	const op = "read the calendar"
	if len(text) > maxCalendar {
		return nil, heal.Errorf(heal.Invalid, op, "it has %d bytes, at most %d are taken", len(text), maxCalendar)
	}
	if lasts <= 0 || lasts > maxLasts {
		return nil, heal.Errorf(heal.Invalid, op, "an occurrence lasts %s, expected more than 0 and at most %s", lasts, maxLasts)
	}
	c := &Calendar{text: text, lasts: lasts}
	next, err := c.parse()
	if err != nil {
		return nil, heal.Errorf(heal.Invalid, op, "%w", err)
	}
	if _, ok, err := next(); err != nil || !ok {
		return nil, heal.Errorf(heal.Invalid, op, "it never occurs")
	}
	return c, nil
}

// parse gives the occurrences in order. The library panics on some texts; that
// is an error here, as any other mistake of who wrote them.
func (c *Calendar) parse() (next func() (time.Time, bool, error), err error) {
	defer func() {
		if p := recover(); p != nil {
			next, err = nil, fmt.Errorf("it is not RFC 5545: %v", p)
		}
	}()
	set, err := c.read()
	if err != nil {
		return nil, err
	}
	each := set.Iterator()
	return func() (t time.Time, ok bool, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("it has no next occurrence: %v", p)
			}
		}()
		t, ok = each()
		return t, ok, nil
	}, nil
}

func (c *Calendar) read() (*rrule.Set, error) {
	var lines []string
	for line := range strings.Lines(c.text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "DTSTART") {
		return nil, fmt.Errorf("the first line is not DTSTART, as in DTSTART;TZID=Europe/Berlin:20260102T180000")
	}
	for _, line := range lines[1:] {
		name, _, _ := strings.Cut(strings.ToUpper(line), ":")
		name, _, _ = strings.Cut(name, ";")
		if name != "RRULE" && name != "RDATE" && name != "EXDATE" {
			return nil, fmt.Errorf("line %.40q is none of RRULE, RDATE, EXDATE", line)
		}
	}
	set, err := rrule.StrSliceToRRuleSet(lines)
	if err != nil {
		return nil, err
	}
	start := set.GetDTStart()
	if start.Year() < 1970 || start.Year() > 2200 {
		return nil, fmt.Errorf("it starts in %d, expected 1970 to 2200", start.Year())
	}
	rule := set.GetRRule()
	if rule == nil {
		if len(set.GetRDate()) == 0 {
			set.RDate(start) // RFC 5545: DTSTART alone is the one occurrence
		}
		return set, nil
	}
	set.DTStart(start)
	return set, bounded(rule.OrigOptions)
}

// bounded refuses rules that could keep a judgement busy.
func bounded(o rrule.ROption) error {
	switch {
	case o.Freq != rrule.YEARLY && o.Freq != rrule.MONTHLY && o.Freq != rrule.WEEKLY && o.Freq != rrule.DAILY:
		return fmt.Errorf("FREQ is %s, expected DAILY, WEEKLY, MONTHLY or YEARLY", o.Freq)
	case o.Interval < 0 || o.Interval > maxInterval:
		return fmt.Errorf("INTERVAL is %d, expected 1 to %d", o.Interval, maxInterval)
	case max(1, len(o.Byhour))*max(1, len(o.Byminute))*max(1, len(o.Bysecond)) > maxTimes:
		return fmt.Errorf("BYHOUR, BYMINUTE and BYSECOND make more than %d times a day", maxTimes)
	}
	return nil
}

// At says whether an occurrence is under way and when that changes: zero if
// never. Who asks for a time so far along that its occurrences are too many to
// look at is told that one is under way: a guard is careful.
func (c *Calendar) At(now time.Time) (on bool, change time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.known; k.set && !now.Before(k.begin) && (k.end.IsZero() || now.Before(k.end)) {
		return k.on, k.end
	}
	c.known = c.look(now)
	return c.known.on, c.known.end
}

// look finds the span that a time lies in. Occurrences that touch are one.
func (c *Calendar) look(now time.Time) span {
	careful := span{begin: now, end: now.Add(time.Minute), on: true, set: true}
	next, err := c.parse()
	if err != nil { // it was read before: a bug, and no reason to act
		return careful
	}
	s := span{set: true} // from the beginning of time: off
	for range maxOccurrences {
		t, ok, err := next()
		switch {
		case err != nil:
			return careful
		case !ok && s.on && !now.Before(s.end):
			return span{begin: s.end, set: true}
		case !ok && s.on:
			return s
		case !ok:
			return span{begin: s.begin, set: true}
		case s.on && !t.After(s.end):
			s.end = t.Add(c.lasts)
		case s.on && now.Before(s.end):
			return s
		case t.After(now):
			begin := s.begin
			if s.on {
				begin = s.end
			}
			return span{begin: begin, end: t, set: true}
		default:
			s = span{begin: t, end: t.Add(c.lasts), on: true, set: true}
		}
	}
	return careful
}
