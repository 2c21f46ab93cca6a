package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Seal is a link of the chain: it names the entries of a stretch of revisions
// by their digests, and the link before it by its hash.
type Seal struct {
	Number int64          `json:"number"` // from 1
	At     time.Time      `json:"at"`
	From   store.Revision `json:"from"` // entries after this revision
	To     store.Revision `json:"to"`   // up to this one
	Marks  []Mark         `json:"marks"`
	Prev   string         `json:"prev"` // hash of the seal before; empty at the first
	Hash   string         `json:"hash"`
}

// Mark is one sealed entry.
type Mark struct {
	ID       string         `json:"id"`
	Revision store.Revision `json:"revision"`
	Digest   string         `json:"digest"` // SHA-256 of id, revision and stored form, hexadecimal
}

// SealKind stores seals. Nothing but this package writes them.
var SealKind = store.Kind[Seal]{
	Table: store.Seals, Version: 1,
	Key:     func(s *Seal) string { return fmt.Sprintf("%012d", s.Number) },
	Columns: func(s *Seal) []any { return []any{s.Number} },
}

// markOf seals one entry as it is stored.
func markOf(r store.Record) Mark {
	h := sha256.New()
	var number [16]byte
	binary.BigEndian.PutUint64(number[:8], uint64(len(r.Key)))
	binary.BigEndian.PutUint64(number[8:], uint64(r.Revision))
	for _, part := range [][]byte{number[:], []byte(r.Key), r.Body} {
		_, _ = h.Write(part) // a hash takes everything
	}
	return Mark{ID: r.Key, Revision: r.Revision, Digest: hex.EncodeToString(h.Sum(nil))}
}

// hash is the hash of everything a seal says but itself.
func (s *Seal) hash() string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%d %d %d %d %s\n", s.Number, s.At.UnixNano(), s.From, s.To, s.Prev)
	for _, m := range s.Marks {
		_, _ = fmt.Fprintf(h, "%s %d %s\n", m.ID, m.Revision, m.Digest)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// errSealed says that there is nothing to seal.
var errSealed = errors.New("every entry is sealed")

// sealNext seals the oldest entries that no seal has, one page of them at most;
// errSealed if there are none.
func sealNext(tx store.Tx, now time.Time) (Seal, error) {
	last, err := newest(tx)
	if err != nil {
		return Seal{}, err
	}
	changes, err := tx.Changes(store.Audit, last.To, store.MaxPage)
	if err != nil {
		return Seal{}, err
	}
	s := Seal{Number: last.Number + 1, At: now.UTC(), From: last.To, Prev: last.Hash}
	for _, c := range changes {
		if c.Deleted {
			continue // an entry that was deleted before it was sealed left no trace but its absence
		}
		s.Marks = append(s.Marks, markOf(c.Record))
		s.To = c.Record.Revision
	}
	if len(s.Marks) == 0 {
		return Seal{}, errSealed
	}
	s.Hash = s.hash()
	_, err = SealKind.Put(tx, &s, store.Absent)
	return s, err
}

// newest is the last seal; zero if there is none.
func newest(r store.Reader) (Seal, error) {
	rows, _, err := SealKind.List(r, store.Query{Order: "number", Desc: true, Limit: 1})
	if err != nil || len(rows) == 0 {
		return Seal{}, heal.Wrap("read the newest seal", err)
	}
	return rows[0].Value, nil
}
