package shop

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"sync"
)

// endpoint names one of the two that can serve an upstream with a backup.
type endpoint string

// The endpoints.
const (
	primary endpoint = "primary"
	backup  endpoint = "backup"
)

// switchboard knows which endpoint of each upstream is asked. What was switched
// stays so over a restart.
type switchboard struct {
	service Service
	path    string

	mu     sync.Mutex
	active map[Role]endpoint // those with a backup
}

func openSwitchboard(s Service, path string) (*switchboard, error) {
	b := &switchboard{service: s, path: path, active: map[Role]endpoint{}}
	for role := range s.Backups {
		b.active[role] = primary
	}
	kept := map[Role]endpoint{}
	text, err := os.ReadFile(b.path)
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read what is switched over, %s: %w", b.path, err)
	}
	for role, at := range kept {
		if _, known := b.active[role]; known && at == backup {
			b.active[role] = at
		}
	}
	return b, nil
}

// url is where an upstream is asked just now.
func (b *switchboard) url(role Role) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.active[role] == backup {
		return b.service.Backups[role]
	}
	return b.service.Upstreams[role]
}

func (b *switchboard) at(role Role) (endpoint, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.active[role]
	return at, ok
}

func (b *switchboard) put(role Role, at endpoint) error {
	if at != primary && at != backup {
		return fmt.Errorf("active is %.20q, expected primary or backup", at)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	next := maps.Clone(b.active)
	next[role] = at
	if err := writeJSON(b.path, next); err != nil {
		return fmt.Errorf("write what is switched over: %w", err)
	}
	b.active = next
	return nil
}

// selection is which endpoint of an upstream is asked.
type selection struct {
	Active endpoint `json:"active"`
}

// serve offers the switches on the admin address.
func (b *switchboard) serve(mux *http.ServeMux) {
	reply := func(w http.ResponseWriter, r *http.Request) {
		at, ok := b.at(Role(r.PathValue("role")))
		if !ok {
			http.Error(w, "no upstream of this name has a backup", http.StatusNotFound)
			return
		}
		answer(w, selection{at})
	}
	mux.HandleFunc("GET /upstreams/{role}", reply)
	mux.HandleFunc("PUT /upstreams/{role}", func(w http.ResponseWriter, r *http.Request) {
		role := Role(r.PathValue("role"))
		var want selection
		if err := decode(r, &want); err != nil {
			http.Error(w, "upstream: "+err.Error(), http.StatusBadRequest)
			return
		}
		if _, ok := b.at(role); ok {
			if err := b.put(role, want.Active); err != nil {
				http.Error(w, "upstream: "+err.Error(), http.StatusBadRequest)
				return
			}
		}
		reply(w, r)
	})
}
