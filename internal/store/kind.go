package store

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/homeostat/homeostat/internal/heal"
)

// Kind ties a domain type to its table: how its key, its columns and its
// stored form are made. The stored form is the type's JSON in an envelope with
// a version; testdata keeps one sample per version and a test refuses a change
// of form without a new version.
type Kind[T any] struct {
	Table   Table
	Version int
	Key     func(*T) string
	Columns func(*T) []any
	Upgrade func(version int, body []byte) ([]byte, error) // older forms; nil while there is one version

	// What is written and read by the thousand may do it faster than
	// encoding/json, with the same result. Both may be nil.
	Append func(b []byte, v *T) ([]byte, error)
	Read   func(data []byte) (T, bool) // false: encoding/json decides
}

// opening is how every body begins that Encode writes; a brace ends it.
const opening = `{"v":%d,"d":`

type envelope struct {
	Version int             `json:"v"`
	Data    json.RawMessage `json:"d"`
}

// Stored is a value with the revision it was read at.
type Stored[T any] struct {
	Value    T
	Revision Revision
}

// Encode makes the record of v; what must be there already is expect.
func (k Kind[T]) Encode(v *T, expect Revision) (Record, error) {
	body, err := k.body(v)
	if err != nil {
		return Record{}, heal.Errorf(heal.Internal, "encode "+string(k.Table), "%w", err)
	}
	r := Record{Key: k.Key(v), Revision: expect, Body: body}
	if k.Columns != nil {
		r.Columns = k.Columns(v)
	}
	return r, nil
}

func (k Kind[T]) body(v *T) ([]byte, error) {
	if k.Append != nil {
		body, err := k.Append(fmt.Appendf(make([]byte, 0, 2048), opening, k.Version), v)
		return append(body, '}'), err
	}
	data, err := json.Marshal(v)
	body := fmt.Appendf(make([]byte, 0, len(data)+16), opening, k.Version)
	return append(append(body, data...), '}'), err
}

// Replace makes the record that puts v in the place of what was read or written
// last, whose revision may be Absent. It spares the engine what did not change.
func (k Kind[T]) Replace(was Stored[T], v *T) (Record, error) {
	r, err := k.Encode(v, was.Revision)
	if err == nil && k.Columns != nil && was.Revision > 0 {
		r.Was = k.Columns(&was.Value)
	}
	return r, err
}

// Decode reads the value of a record.
func (k Kind[T]) Decode(r Record) (T, error) {
	var v T
	var e envelope
	op := "decode " + string(k.Table) + " " + r.Key
	if data, ok := k.data(r.Body); ok {
		if k.Read != nil {
			if v, ok := k.Read(data); ok {
				return v, nil
			}
		}
		if json.Unmarshal(data, &v) == nil {
			return v, nil
		}
	}
	v = *new(T)
	if err := json.Unmarshal(r.Body, &e); err != nil {
		return v, heal.Errorf(heal.Internal, op, "%w", err)
	}
	switch {
	case e.Version > k.Version:
		return v, heal.Errorf(heal.Internal, op, "was written by a newer version (form %d, this one reads up to %d)", e.Version, k.Version)
	case e.Version < k.Version && k.Upgrade != nil:
		data, err := k.Upgrade(e.Version, e.Data)
		if err != nil {
			return v, heal.Errorf(heal.Internal, op, "upgrade from form %d: %w", e.Version, err)
		}
		e.Data = data
	}
	if err := json.Unmarshal(e.Data, &v); err != nil {
		return v, heal.Errorf(heal.Internal, op, "%w", err)
	}
	return v, nil
}

// data takes the value out of a body of this version as Encode writes it,
// without reading it twice; false for any other body.
func (k Kind[T]) data(body []byte) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(body, fmt.Appendf(nil, opening, k.Version))
	if !ok {
		return nil, false
	}
	return bytes.CutSuffix(rest, []byte("}"))
}

// Put writes v.
func (k Kind[T]) Put(tx Tx, v *T, expect Revision) (Revision, error) {
	r, err := k.Encode(v, expect)
	if err != nil {
		return 0, err
	}
	return tx.Put(k.Table, r)
}

// Get reads one value; kind NotFound if there is none.
func (k Kind[T]) Get(r Reader, key string) (Stored[T], error) {
	rec, err := r.Get(k.Table, key)
	if err != nil {
		return Stored[T]{}, err
	}
	v, err := k.Decode(rec)
	return Stored[T]{Value: v, Revision: rec.Revision}, err
}

// List reads one page; q.Table is set by the kind.
func (k Kind[T]) List(r Reader, q Query) ([]Stored[T], string, error) {
	q.Table = k.Table
	page, err := r.List(q)
	if err != nil {
		return nil, "", err
	}
	out := make([]Stored[T], 0, len(page.Records))
	for _, rec := range page.Records {
		v, err := k.Decode(rec)
		if err != nil {
			return nil, "", err
		}
		out = append(out, Stored[T]{Value: v, Revision: rec.Revision})
	}
	return out, page.Cursor, nil
}

// All reads every page; for tables that are small by nature.
func (k Kind[T]) All(r Reader, q Query) ([]Stored[T], error) {
	var out []Stored[T]
	for {
		part, cursor, err := k.List(r, q)
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
		if cursor == "" {
			return out, nil
		}
		q.Cursor = cursor
	}
}
