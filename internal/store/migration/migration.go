// Package migration reads the steps that bring a store's schema from one
// version to the next, from the files that an engine ships.
//
// Its one invariant: the steps are numbered from 1 without gaps. It is not for
// carrying them out, which each engine does its own way.
package migration

import (
	"fmt"
	"io/fs"
	"strings"
)

// Migration brings the schema from the version before to its own.
type Migration struct {
	Version int
	Text    string
}

// Read reads migrations/NNNN_name.sql.
func Read(from fs.FS) ([]Migration, error) {
	names, err := fs.Glob(from, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var out []Migration
	for i, name := range names { // Glob sorts
		if want := fmt.Sprintf("migrations/%04d_", i+1); !strings.HasPrefix(name, want) {
			return nil, fmt.Errorf("migration %s is out of order, expected %s*.sql", name, want)
		}
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, err
		}
		out = append(out, Migration{Version: i + 1, Text: string(text)})
	}
	return out, nil
}

// Shipped reads the migrations that are part of the program, and panics if they
// are not in order: that is a mistake in the source tree.
func Shipped(from fs.FS) []Migration {
	out, err := Read(from)
	if err != nil {
		panic(err.Error())
	}
	return out
}
