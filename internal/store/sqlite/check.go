package sqlite

import (
	"strings"
	"unicode/utf8"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// What one record and one query may hold.
const (
	maxKey   = 1 << 10  // bytes
	maxText  = 64 << 10 // bytes of a text column: it is indexed
	maxBody  = 64 << 20 // bytes
	maxConds = 32
	maxIn    = 500
)

func (db *DB) table(op string, name store.Table) (*table, error) {
	if t := db.tables[name]; t != nil {
		return t, nil
	}
	return nil, heal.Errorf(heal.Invalid, op, "there is no table %q", string(name))
}

func checkKey(op, key string) error {
	switch {
	case key == "":
		return heal.Errorf(heal.Invalid, op, "the key is empty")
	case len(key) > maxKey:
		return heal.Errorf(heal.Invalid, op, "the key is %d bytes long, at most %d are taken", len(key), maxKey)
	}
	return checkText(op, "the key", key)
}

// checkText refuses what engines store differently or not at all.
func checkText(op, what, text string) error {
	switch {
	case !utf8.ValidString(text):
		return heal.Errorf(heal.Invalid, op, "%s is not valid UTF-8: %.40q", what, text)
	case strings.IndexByte(text, 0) >= 0:
		return heal.Errorf(heal.Invalid, op, "%s holds a zero byte: %.40q", what, text)
	case len(text) > maxText:
		return heal.Errorf(heal.Invalid, op, "%s is %d bytes long, at most %d are taken", what, len(text), maxText)
	}
	return nil
}

func (t *table) checkRecord(op string, r store.Record) error {
	if err := checkKey(op, r.Key); err != nil {
		return err
	}
	if len(r.Body) > maxBody {
		return heal.Errorf(heal.Invalid, op, "the body is %d bytes long, at most %d are taken", len(r.Body), maxBody)
	}
	if r.Revision < store.Absent {
		return heal.Errorf(heal.Invalid, op, "revision %d was never given out", r.Revision)
	}
	if len(r.Columns) != len(t.columns) {
		return heal.Errorf(heal.Invalid, op, "%d column values, the table has %d columns", len(r.Columns), len(t.columns))
	}
	for i, v := range r.Columns {
		if v == nil {
			continue
		}
		if err := checkValue(op, t.columns[i], v); err != nil {
			return err
		}
	}
	return nil
}

// checkValue requires int64 or string as the column says. Other integers and
// named strings are mistakes of the caller that would compare differently.
func checkValue(op string, c store.Column, v any) error {
	want := "string"
	if c.Int {
		want = "int64"
	}
	switch v := v.(type) {
	case int64:
		if c.Int {
			return nil
		}
	case string:
		if !c.Int {
			return checkText(op, "column "+c.Name, v)
		}
	}
	return heal.Errorf(heal.Invalid, op, "column %s holds a %s, got a %T", c.Name, want, v)
}
