package shop

import (
	"errors"
	"fmt"
	"sync"
)

// defaultMemory is what a service may use if its configuration does not say.
const defaultMemory = 256 << 20

// errMemory is the error of a request for which there is no memory left.
var errMemory = errors.New("out of memory")

// memory is the memory of a process under its limit.
type memory struct {
	limit int64                // bytes
	used  func() (int64, bool) // resident bytes; false if that is not known

	mu   sync.Mutex
	kept [][]byte // what is never let go
}

func newMemory(limit int64) *memory {
	if limit == 0 {
		limit = defaultMemory
	}
	return &memory{limit: limit, used: resident}
}

// room reports whether another request can be served.
func (m *memory) room() error {
	used, ok := m.used()
	if !ok || used <= m.limit {
		return nil
	}
	return fmt.Errorf("%w: %d of %d MiB are in use", errMemory, used>>20, m.limit>>20)
}

// keep holds bytes for ever, as a cache without bounds does.
func (m *memory) keep(bytes int64) {
	page := make([]byte, bytes)
	for i := int64(0); i < bytes; i += 1 << 10 {
		page[i] = 1 // what is not touched would not be resident
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = append(m.kept, page)
}
