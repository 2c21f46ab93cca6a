package query

import (
	"cmp"
	"strings"
	"unicode/utf8"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// What one record and one query may hold.
const (
	MaxKey   = 1 << 10  // bytes
	MaxText  = 64 << 10 // bytes of a text column
	MaxBody  = 64 << 20 // bytes
	MaxConds = 32
	MaxIn    = 500
)

// Table is what is known of a table without a database.
type Table struct {
	Name    store.Table
	Columns []store.Column
}

// Column finds a column; "key" and "revision" exist in every table and are
// never null.
func (t Table) Column(name string) (c store.Column, nullable, ok bool) {
	switch name {
	case "key":
		return store.Column{Name: "key"}, false, true
	case "revision":
		return store.Column{Name: "revision", Int: true}, false, true
	}
	for _, c := range t.Columns {
		if c.Name == name {
			return c, true, true
		}
	}
	return store.Column{}, false, false
}

// CheckKey says what is wrong with a key.
func CheckKey(op, key string) error {
	switch {
	case key == "":
		return heal.Errorf(heal.Invalid, op, "the key is empty")
	case len(key) > MaxKey:
		return heal.Errorf(heal.Invalid, op, "the key is %d bytes long, at most %d are taken", len(key), MaxKey)
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
	case len(text) > MaxText:
		return heal.Errorf(heal.Invalid, op, "%s is %d bytes long, at most %d are taken", what, len(text), MaxText)
	}
	return nil
}

// CheckRecord says what is wrong with a record that is to be put.
func (t Table) CheckRecord(op string, r store.Record) error {
	if err := CheckKey(op, r.Key); err != nil {
		return err
	}
	if len(r.Body) > MaxBody {
		return heal.Errorf(heal.Invalid, op, "the body is %d bytes long, at most %d are taken", len(r.Body), MaxBody)
	}
	if r.Revision < store.Fresh {
		return heal.Errorf(heal.Invalid, op, "revision %d was never given out", r.Revision)
	}
	if len(r.Columns) != len(t.Columns) {
		return heal.Errorf(heal.Invalid, op, "%d column values, the table has %d columns", len(r.Columns), len(t.Columns))
	}
	for i, v := range r.Columns {
		if v == nil {
			continue
		}
		if err := checkValue(op, t.Columns[i], v); err != nil {
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

// CheckConds says what is wrong with conditions on the table.
func (t Table) CheckConds(op string, conds []store.Cond) error {
	if len(conds) > MaxConds {
		return heal.Errorf(heal.Invalid, op, "%d conditions, at most %d are taken", len(conds), MaxConds)
	}
	for _, c := range conds {
		column, _, ok := t.Column(c.Column)
		if !ok {
			return heal.Errorf(heal.Invalid, op, "table %s has no column %q", t.Name, c.Column)
		}
		var err error
		switch c.Op {
		case store.Eq, store.Ne, store.Lt, store.Le, store.Gt, store.Ge:
			err = checkValue(op, column, c.Value)
		case store.In:
			err = checkList(op, column, c.Value)
		default:
			err = heal.Errorf(heal.Invalid, op, "there is no comparison %q", string(c.Op))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func checkList(op string, c store.Column, v any) error {
	size, ok := 0, false
	switch v := v.(type) {
	case []string:
		size, ok = len(v), !c.Int
		for _, text := range v {
			if err := checkText(op, "column "+c.Name, text); err != nil {
				return err
			}
		}
	case []int64:
		size, ok = len(v), c.Int
	}
	switch {
	case !ok && c.Int:
		return heal.Errorf(heal.Invalid, op, "in over column %s takes a []int64, got a %T", c.Name, v)
	case !ok:
		return heal.Errorf(heal.Invalid, op, "in over column %s takes a []string, got a %T", c.Name, v)
	case size > MaxIn:
		return heal.Errorf(heal.Invalid, op, "in over column %s has %d values, at most %d are taken", c.Name, size, MaxIn)
	}
	return nil
}

// PageSize gives how many records a page holds that was asked for with limit.
func PageSize(op string, limit int) (int, error) {
	if limit < 0 {
		return 0, heal.Errorf(heal.Invalid, op, "the limit is %d, expected 0 to %d", limit, store.MaxPage)
	}
	return min(cmp.Or(limit, store.MaxPage), store.MaxPage), nil
}

// Clip keeps a key that came from outside from filling an error's text.
func Clip(key string) string {
	const most = 120
	if len(key) <= most {
		return key
	}
	return key[:most] + "..."
}
