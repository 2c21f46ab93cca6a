package sqlite

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// filter is a WHERE clause being written.
type filter struct {
	terms []string
	args  []any
}

func (f *filter) add(term string, args ...any) {
	f.terms = append(f.terms, term)
	f.args = append(f.args, args...)
}

func (f filter) String() string {
	if len(f.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.terms, " AND ")
}

// with gives a copy with one more term, so that a filter can be shared.
func (f filter) with(term string, args ...any) filter {
	f.terms = append(slices.Clip(f.terms), term)
	f.args = append(slices.Clip(f.args), args...)
	return f
}

// where writes the conditions. As in SQL, a null column meets none.
func (t *table) where(op string, conds []store.Cond) (filter, error) {
	var f filter
	if len(conds) > maxConds {
		return f, heal.Errorf(heal.Invalid, op, "%d conditions, at most %d are taken", len(conds), maxConds)
	}
	for _, c := range conds {
		column, _, ok := t.column(c.Column)
		if !ok {
			return f, heal.Errorf(heal.Invalid, op, "table %s has no column %q", t.name, c.Column)
		}
		switch c.Op {
		case store.Eq, store.Ne, store.Lt, store.Le, store.Gt, store.Ge:
			if err := checkValue(op, column, c.Value); err != nil {
				return f, err
			}
			sign := string(c.Op)
			if c.Op == store.Ne {
				sign = "<>"
			}
			f.add(quote(c.Column)+" "+sign+" ?", c.Value)
		case store.In:
			list, err := inList(op, column, c.Value)
			if err != nil {
				return f, err
			}
			f.add(quote(c.Column)+" IN (SELECT value FROM json_each(?))", list)
		default:
			return f, heal.Errorf(heal.Invalid, op, "there is no comparison %q", string(c.Op))
		}
	}
	return f, nil
}

// inList gives the list as one JSON argument: the statement's text, and so its
// plan, does not depend on the list's length.
func inList(op string, c store.Column, v any) (string, error) {
	size, ok := 0, false
	switch v := v.(type) {
	case []string:
		size, ok = len(v), !c.Int
		for _, text := range v {
			if err := checkText(op, "column "+c.Name, text); err != nil {
				return "", err
			}
		}
	case []int64:
		size, ok = len(v), c.Int
	}
	switch {
	case !ok && c.Int:
		return "", heal.Errorf(heal.Invalid, op, "in over column %s takes a []int64, got a %T", c.Name, v)
	case !ok:
		return "", heal.Errorf(heal.Invalid, op, "in over column %s takes a []string, got a %T", c.Name, v)
	case size > maxIn:
		return "", heal.Errorf(heal.Invalid, op, "in over column %s has %d values, at most %d are taken", c.Name, size, maxIn)
	case size == 0:
		return "[]", nil // a nil slice would be null
	}
	list, err := json.Marshal(v)
	if err != nil {
		return "", heal.Errorf(heal.Internal, op, "%w", err)
	}
	return string(list), nil
}
