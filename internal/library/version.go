// Package library keeps the playbooks in force and every version they had: who
// changed one, when, why, and how it read.
//
// Its one invariant: what is in force is always whole and without mistakes; a
// change with a mistake is reported and the last good version stays. It is not
// for reading the language (see playbook) nor for what a run pins (see engine).
package library

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Version is one state of a playbook.
type Version struct {
	Playbook  string    `json:"playbook"`
	Number    int       `json:"number"` // from 1
	At        time.Time `json:"at"`
	Author    string    `json:"author"`
	Reason    string    `json:"reason"`
	File      string    `json:"file,omitempty"`      // it came from; empty: it was handed in
	Digest    string    `json:"digest,omitempty"`    // sha256 of Source, in hex
	Source    []byte    `json:"source,omitempty"`    // empty: withdrawn
	Withdrawn bool      `json:"withdrawn,omitempty"` // its file is gone; it is not in force
}

// head is the newest version of a playbook and the file it was last read from.
type head struct {
	Version
	FileDigest string `json:"file_digest,omitempty"` // of the file when it was last taken; empty: there is none
}

const heads = "head"

// versionKind keeps the versions beside the sources that runs pin: keys there
// are digests, which have no slash.
var versionKind = store.Kind[Version]{
	Table: store.Playbooks, Version: 1,
	Key:     func(v *Version) string { return fmt.Sprintf("version/%s/%08d", v.Playbook, v.Number) },
	Columns: func(v *Version) []any { return []any{versionsOf(v.Playbook), store.Nanos(v.At)} },
}

func versionsOf(id string) string { return "version/" + id }

var headKind = store.Kind[head]{
	Table: store.Playbooks, Version: 1,
	Key:     func(h *head) string { return "head/" + h.Playbook },
	Columns: func(h *head) []any { return []any{heads, store.Nanos(h.At)} },
}

// Versions lists the versions of a playbook, the oldest first; kind NotFound if
// there never was one.
func Versions(r store.Reader, id string) ([]Version, error) {
	rows, err := versionKind.All(r, store.Query{Where: []store.Cond{{Column: "name", Op: store.Eq, Value: versionsOf(id)}}})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, heal.Errorf(heal.NotFound, "versions", "there never was a playbook %q", id)
	}
	out := make([]Version, len(rows))
	for i := range rows {
		out[i] = rows[i].Value
	}
	return out, nil
}

// VersionOf gives one version; number 0 is the newest.
func VersionOf(r store.Reader, id string, number int) (Version, error) {
	if number == 0 {
		h, err := headKind.Get(r, "head/"+id)
		return h.Value.Version, err
	}
	v, err := versionKind.Get(r, versionKind.Key(&Version{Playbook: id, Number: number}))
	if heal.Is(err, heal.NotFound) {
		return Version{}, heal.Errorf(heal.NotFound, "version", "playbook %q has no version %d", id, number)
	}
	return v.Value, err
}

// publish makes a version the newest.
func publish(tx store.Tx, h head) (Version, error) {
	was, err := headKind.Get(tx, headKind.Key(&h))
	if err != nil && !heal.Is(err, heal.NotFound) {
		return Version{}, err
	}
	expect := store.Absent
	if err == nil {
		expect = was.Revision
	}
	h.Number = was.Value.Number + 1
	if _, err := headKind.Put(tx, &h, expect); err != nil {
		return Version{}, err
	}
	_, err = versionKind.Put(tx, &h.Version, store.Absent)
	return h.Version, err
}
