package storetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/store"
)

// golden is a stored record in a form that people can read and compare.
type golden struct {
	Table   store.Table     `json:"table"`
	Key     string          `json:"key"`
	Columns []any           `json:"columns"`
	Body    json.RawMessage `json:"body"`
}

// Golden compares the stored form of a kind with its sample in dir, named
// <table>.v<version>.json, and reads the samples of all older versions. Every
// field of the sample's value is set, so that a new, renamed or removed field
// shows. With rewrite the sample of the present version is written instead.
func Golden[T any](t *testing.T, kind store.Kind[T], dir string, rewrite bool) {
	t.Helper()
	var sample T
	fill(reflect.ValueOf(&sample).Elem(), string(kind.Table), 0)
	record, err := kind.Encode(&sample, store.Any)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(golden{Table: kind.Table, Key: record.Key, Columns: record.Columns, Body: record.Body}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if columns := store.Schema[kind.Table].Columns; len(record.Columns) != len(columns) {
		t.Errorf("%s: got %d column values, the schema has %d columns", kind.Table, len(record.Columns), len(columns))
	}
	if rewrite {
		if err := os.WriteFile(samplePath(dir, kind.Table, kind.Version), got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for version := 1; version <= kind.Version; version++ {
		path := samplePath(dir, kind.Table, version)
		want, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: there is no sample; run the test with -rewrite", path)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		value := readSample(t, kind, path, want)
		if version < kind.Version {
			continue // it could be upgraded, which is all that is asked
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s: the stored form changed; what is in people's files cannot: give the kind a new version and an upgrade, or, before the first release, run the test with -rewrite (-want +got):\n%s", path, diff)
			continue
		}
		if diff := cmp.Diff(sample, value); diff != "" {
			t.Errorf("%s: a value does not survive being stored (-want +got):\n%s", path, diff)
		}
	}
}

func samplePath(dir string, table store.Table, version int) string {
	return filepath.Join(dir, fmt.Sprintf("%s.v%d.json", table, version))
}

func readSample[T any](t *testing.T, kind store.Kind[T], path string, text []byte) T {
	t.Helper()
	var g golden
	var body bytes.Buffer
	err := json.Unmarshal(text, &g)
	if err == nil {
		err = json.Compact(&body, g.Body)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	value, err := kind.Decode(store.Record{Key: g.Key, Body: body.Bytes()})
	if err != nil {
		t.Errorf("%s: %v", path, err)
	}
	return value
}

// fill sets everything in v to something that is not its zero value and that
// follows from where it stands, so that samples do not change by themselves.
func fill(v reflect.Value, name string, depth int) {
	if depth > 20 {
		panic("storetest: " + v.Type().String() + " nests without end")
	}
	switch at := v.Addr().Interface().(type) {
	case *time.Time:
		*at = time.Date(2026, time.March, 1, 12, 30, len(name)%60, 123456789, time.UTC)
		return
	case *json.RawMessage:
		*at = json.RawMessage(`{"raw":"` + name + `"}`)
		return
	}
	if fillBasic(v, name) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				fill(v.Field(i), field.Name, depth+1)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name, depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), name, depth+1)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), name, depth+1)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, "a "+name, depth+1)
		fill(value, "of "+name, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Interface:
		v.Set(reflect.ValueOf("any " + name))
	default:
		panic("storetest: a " + v.Type().String() + " cannot be stored")
	}
}

// fillBasic sets a value that holds no others; false if it is not one.
func fillBasic(v reflect.Value, name string) bool {
	switch {
	case v.Kind() == reflect.String:
		v.SetString("some " + name)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(int64(len(name)))
	case v.CanUint():
		v.SetUint(uint64(len(name)))
	case v.CanFloat():
		v.SetFloat(float64(len(name)) + 0.5)
	default:
		return false
	}
	return true
}
