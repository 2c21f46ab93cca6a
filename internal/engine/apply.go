package engine

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Change is one durable change of a run.
type Change struct {
	Before heal.Run // zero at the first
	After  heal.Run
	At     time.Time
	Notes  []Note // what people should hear
	Over   bool   // the run, or its rollback, ended

	committed *[]func()
}

// AfterCommit has f run once the change is durable. It is for counting and the
// like: a crash loses it, and so does a change made in the caller's own
// transaction (Start, RollbackIn), of which the engine never hears the end.
func (c Change) AfterCommit(f func()) {
	if c.committed != nil {
		*c.committed = append(*c.committed, f)
	}
}

// Note is a word to people about a run.
type Note struct {
	Text   string
	Urgent bool // hand it to a person now
}

// applied is what must happen once the transaction is durable.
type applied struct {
	memory    // the run as it was written
	at        time.Time
	was       heal.RunState
	interrupt bool
	ready     []job // may begin at once
	soon      bool  // something falls due before the dispatcher would look by itself
	committed []func()
}

// soon reports whether what is due at a time needs the dispatcher to be told.
func (e *Engine) soon(due, now time.Time) bool { return due.Before(now.Add(e.opts.Poll)) }

// rouse ends the waits of a run early, and asks other servers to end the calls
// they have under way for it.
func (e *Engine) rouse(tx store.Tx, run heal.RunID, now time.Time) error {
	rows, err := jobsOf(tx, run)
	if err != nil {
		return err
	}
	for _, row := range rows {
		switch j := &row.Value; {
		case j.State == jobAsleep:
			j.Due = now
		case j.State == jobClaimed && j.Owner != e.opts.Owner:
			j.Stop = true
		default:
			continue
		}
		if _, err := jobKind.Put(tx, &row.Value, row.Revision); err != nil {
			return err
		}
	}
	return nil
}

// source is a playbook's text as runs pin it.
type source struct {
	Digest string    `json:"digest"`
	Name   string    `json:"name"`
	At     time.Time `json:"at"`
	Text   []byte    `json:"text"`
}

var sourceKind = store.Kind[source]{
	Table: store.Playbooks, Version: 1,
	Key:     func(s *source) string { return s.Digest },
	Columns: func(s *source) []any { return []any{s.Name, store.Nanos(s.At)} },
}

// Source gives the text of a playbook that a run pinned, by its digest; kind
// NotFound if none did.
func Source(r store.Reader, digest string) ([]byte, error) {
	got, err := sourceKind.Get(r, digest)
	return got.Value.Text, err
}

// shelf opens pinned playbooks and keeps the ones opened last.
type shelf struct {
	library Library
	mu      sync.Mutex
	books   map[string]Book
}

// shelfSize bounds the books kept open; the whole shelf is cleared when it is
// full, as books open quickly.
const shelfSize = 1024

func newShelf(l Library) *shelf { return &shelf{library: l, books: map[string]Book{}} }

func (s *shelf) book(r store.Reader, digest string) (Book, error) {
	s.mu.Lock()
	book := s.books[digest]
	s.mu.Unlock()
	if book != nil {
		return book, nil
	}
	src, err := sourceKind.Get(r, digest)
	if err != nil {
		return nil, heal.Wrap("open playbook "+digest, err)
	}
	book, err = s.library.Open(src.Value.Text)
	if err != nil {
		return nil, heal.Wrap("open playbook "+src.Value.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.books) >= shelfSize {
		clear(s.books)
	}
	s.books[digest] = book
	return book, nil
}

// printable is the parameters of a call as the journal keeps them.
func printable(params map[string]any) map[string]string {
	if len(params) == 0 {
		return nil
	}
	out := make(map[string]string, len(params))
	for name, value := range params {
		if text, ok := value.(string); ok {
			out[name] = text
			continue
		}
		data, err := json.Marshal(value)
		if err != nil {
			data = []byte("(not printable)")
		}
		out[name] = string(data)
	}
	return out
}
