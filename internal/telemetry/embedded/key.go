package embedded

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// day is a day in UTC as the number of days since 1970.
type day int64

func dayOf(t time.Time) day {
	seconds := t.Unix()
	d := seconds / 86400
	if seconds%86400 < 0 {
		d--
	}
	return day(d)
}

func (d day) start() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// key names a partition: a day, and a number within it, since a busy day is
// split so that space can be given back in parts.
type key struct {
	day day
	seq int
}

// String is the name of the partition's file, as in 2026-03-01.000.db.
func (k key) String() string {
	return fmt.Sprintf("%s.%03d.db", k.day.start().Format(time.DateOnly), k.seq)
}

// parseKey reads what String wrote.
func parseKey(name string) (key, bool) {
	date, rest, ok := strings.Cut(name, ".")
	digits, isFile := strings.CutSuffix(rest, ".db")
	if !ok || !isFile {
		return key{}, false
	}
	at, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return key{}, false
	}
	seq, err := strconv.Atoi(digits)
	k := key{day: dayOf(at), seq: seq}
	return k, err == nil && seq >= 0 && k.String() == name
}

func (k key) compare(other key) int {
	return cmp.Or(cmp.Compare(k.day, other.day), cmp.Compare(k.seq, other.seq))
}
