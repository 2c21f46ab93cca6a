package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Head is the end of the chain. Kept outside the store, it tells whether the
// chain was cut.
type Head struct {
	Number int64  `json:"number"`
	Hash   string `json:"hash"`
}

// String gives "number:hash", as ParseHead reads it.
func (h Head) String() string { return fmt.Sprintf("%d:%s", h.Number, h.Hash) }

// ParseHead reads what String wrote.
func ParseHead(text string) (Head, error) {
	var h Head
	if _, err := fmt.Sscanf(text, "%d:%64s", &h.Number, &h.Hash); err != nil || len(h.Hash) != 64 || h.String() != text {
		return Head{}, heal.Errorf(heal.Invalid, "head of the audit", "%.100q is not number:hash, with a hash of 64 hexadecimal digits", text)
	}
	return h, nil
}

// SealerOptions of a Sealer.
type SealerOptions struct {
	Store  store.Store
	Anchor string        // file that keeps the head of the chain; empty: none
	Every  time.Duration // longest time an entry stays unsealed; default 1 s
	Clock  func() time.Time
	Logger *slog.Logger
}

// Sealer seals entries while it runs.
type Sealer struct{ SealerOptions }

// NewSealer makes a sealer; Run starts it.
func NewSealer(o SealerOptions) *Sealer {
	if o.Every == 0 {
		o.Every = time.Second
	}
	return &Sealer{o}
}

// Run seals until ctx ends, and once more then.
func (s *Sealer) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.Every)
	defer ticker.Stop()
	var seen store.Revision
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			s.sealAll(last, &seen)
			return nil
		}
		s.sealAll(ctx, &seen)
	}
}

func (s *Sealer) sealAll(ctx context.Context, seen *store.Revision) {
	if err := s.Seal(ctx, seen); err != nil && ctx.Err() == nil {
		s.Logger.Error("seal the audit, will try again", slog.Any("error", err))
	}
}

// Seal seals all entries newer than the revision it saw before, and moves the
// anchor. It writes nothing if there are none.
func (s *Sealer) Seal(ctx context.Context, seen *store.Revision) error {
	for {
		pending, at, err := s.pending(ctx, *seen)
		if err != nil {
			return err
		}
		if !pending {
			*seen = at
			return nil
		}
		var made Seal
		err = s.Store.Update(ctx, func(tx store.Tx) (err error) {
			made, err = sealNext(tx, s.Clock())
			return err
		})
		if errors.Is(err, errSealed) || heal.Is(err, heal.Conflict) {
			*seen = at // another server sealed them
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.anchor(Head{Number: made.Number, Hash: made.Hash}); err != nil {
			return err
		}
	}
}

// pending reports whether an entry waits to be sealed, without writing.
func (s *Sealer) pending(ctx context.Context, seen store.Revision) (pending bool, at store.Revision, err error) {
	err = s.Store.View(ctx, func(r store.Reader) error {
		at = r.Revision()
		if at == seen {
			return nil
		}
		last, err := newest(r)
		if err != nil {
			return err
		}
		changes, err := r.Changes(store.Audit, last.To, 1)
		pending = len(changes) > 0
		return err
	})
	return pending, at, err
}

// anchor replaces the file with the head, durably.
func (s *Sealer) anchor(h Head) error {
	if s.Anchor == "" {
		return nil
	}
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	dir, name := filepath.Split(s.Anchor)
	f, err := os.CreateTemp(dir, name+".*")
	if err != nil {
		return heal.Errorf(heal.Transient, "keep the head of the audit", "%w", err)
	}
	_, err = f.Write(append(data, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.Anchor)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the error that matters is the first
		return heal.Errorf(heal.Transient, "keep the head of the audit", "%w", err)
	}
	return nil
}

// ReadAnchor reads the head from a file; zero if there is no file.
func ReadAnchor(path string) (Head, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, heal.Errorf(heal.Transient, "read the head of the audit", "%w", err)
	}
	defer f.Close()
	var h Head
	if err := json.NewDecoder(io.LimitReader(f, 1024)).Decode(&h); err != nil {
		return Head{}, heal.Errorf(heal.Invalid, "head of the audit in "+path, "%w", err)
	}
	return h, nil
}
