package shop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Settings of payment can be pushed while it runs, on its admin address.
type Settings struct {
	Currency string `json:"currency"` // three capital letters
}

func (s Settings) validate() error {
	if len(s.Currency) != 3 || s.Currency != string(bytes.ToUpper([]byte(s.Currency))) {
		return fmt.Errorf("currency is %.20q, expected three capital letters", s.Currency)
	}
	return nil
}

// maxVersions is how many versions of the settings are remembered.
const maxVersions = 100

// version is one state the settings were in.
type version struct {
	N       int       `json:"version"`
	Value   Settings  `json:"value"`
	At      time.Time `json:"at,omitzero"` // zero: it came with the program
	Refused bool      `json:"refused,omitempty"`
}

// undone is the newest return to an earlier version.
type undone struct {
	Key      string `json:"key"` // of the request that asked for it
	Refused  int    `json:"refused"`
	Restored int    `json:"restored"`
}

// history is the settings with their versions, as they lie in the file.
type history struct {
	Versions []version `json:"versions"` // the newest is in force
	Rollback *undone   `json:"rollback,omitempty"`
}

// settings keeps the versions and remembers which were taken back: the same
// value pushed again is refused.
type settings struct {
	path string

	mu sync.Mutex
	history
}

var (
	errRefused = errors.New("this value was in force before and was taken back")
	errStale   = errors.New("another version is in force by now")
	errFirst   = errors.New("there is no earlier version to go back to")
)

func openSettings(path string, first Settings) (*settings, error) {
	s := &settings{path: path, history: history{Versions: []version{{N: 1, Value: first}}}}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	s.history = history{}
	if err == nil {
		err = json.Unmarshal(text, &s.history)
	}
	if err == nil && len(s.Versions) == 0 {
		err = errors.New("it has no versions")
	}
	if err != nil {
		return nil, fmt.Errorf("read settings %s: %w", path, err)
	}
	return s, nil
}

func (s *settings) current() version {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Versions[len(s.Versions)-1]
}

// push puts a value in force, unless it was taken back before.
func (s *settings) push(value Settings, now time.Time) error {
	if err := value.validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.Versions {
		if v.Refused && v.Value == value {
			return fmt.Errorf("%w: version %d", errRefused, v.N)
		}
	}
	last := s.Versions[len(s.Versions)-1]
	if last.Value == value {
		return nil
	}
	next := s.history
	next.Versions = append(recent(s.Versions), version{N: last.N + 1, Value: value, At: now})
	return s.keep(next)
}

// rollBack refuses the version in force, which must be n, and restores the one
// before it. The same key again changes nothing.
func (s *settings) rollBack(n int, key string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key != "" && s.Rollback != nil && s.Rollback.Key == key {
		return nil
	}
	last := s.Versions[len(s.Versions)-1]
	if last.N != n {
		return fmt.Errorf("%w: %d, not %d", errStale, last.N, n)
	}
	before := s.previous()
	if before == nil {
		return errFirst
	}
	next := history{Versions: recent(s.Versions), Rollback: &undone{Key: key, Refused: n, Restored: before.N}}
	next.Versions[len(next.Versions)-1].Refused = true
	next.Versions = append(next.Versions, version{N: n + 1, Value: before.Value, At: now})
	return s.keep(next)
}

// previous is the newest version of another value that was not refused.
func (s *settings) previous() *version {
	last := s.Versions[len(s.Versions)-1]
	for i := len(s.Versions) - 2; i >= 0; i-- {
		if v := &s.Versions[i]; !v.Refused && v.Value != last.Value {
			return v
		}
	}
	return nil
}

// recent copies versions, leaving the oldest behind when there are too many.
func recent(list []version) []version {
	if len(list) >= maxVersions {
		list = list[len(list)-maxVersions+1:]
	}
	return append([]version(nil), list...)
}

// keep writes the history and then puts it in force.
func (s *settings) keep(next history) error {
	if err := writeJSON(s.path, next); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	s.history = next
	return nil
}

// standing is what the settings tell about themselves.
type standing struct {
	Version  int      `json:"version"`
	Previous int      `json:"previous,omitempty"` // what a roll back would restore; 0: nothing
	Value    Settings `json:"value"`
	Rollback *undone  `json:"rollback,omitempty"`
}

func (s *settings) standing() standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.Versions[len(s.Versions)-1]
	out := standing{Version: last.N, Value: last.Value, Rollback: s.Rollback}
	if before := s.previous(); before != nil {
		out.Previous = before.N
	}
	return out
}

// serve offers the settings on the admin address.
func (s *settings) serve(mux *http.ServeMux) {
	respond := func(w http.ResponseWriter, err error) {
		switch {
		case err == nil:
			answer(w, s.standing())
		case errors.Is(err, errRefused), errors.Is(err, errStale), errors.Is(err, errFirst):
			http.Error(w, "settings: "+err.Error(), http.StatusConflict)
		default:
			http.Error(w, "settings: "+err.Error(), http.StatusBadRequest)
		}
	}
	mux.HandleFunc("GET /settings", func(w http.ResponseWriter, _ *http.Request) { respond(w, nil) })
	mux.HandleFunc("PUT /settings", func(w http.ResponseWriter, r *http.Request) {
		var value Settings
		err := decode(r, &value)
		if err == nil {
			err = s.push(value, time.Now())
		}
		respond(w, err)
	})
	mux.HandleFunc("POST /settings/rollback", func(w http.ResponseWriter, r *http.Request) {
		var ask struct {
			Version int `json:"version"`
		}
		err := decode(r, &ask)
		if err == nil {
			err = s.rollBack(ask.Version, r.Header.Get("Idempotency-Key"), time.Now())
		}
		respond(w, err)
	})
}

// decode reads a small JSON body; unknown fields are refused.
func decode(r *http.Request, into any) error {
	d := json.NewDecoder(io.LimitReader(r.Body, 64<<10))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// writeJSON replaces a file whole.
func writeJSON(path string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
