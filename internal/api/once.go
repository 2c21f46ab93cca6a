package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"time"

	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// How long answers are kept, and how long a request that began may still be
// going on: its own deadline, generously.
const (
	keepAnswers = 24 * time.Hour
	stillGoing  = 2 * time.Minute
)

// request is a write with an idempotency key.
type request struct {
	Key    string    `json:"key"`    // hash of principal and key
	Digest string    `json:"digest"` // of method, path and body
	At     time.Time `json:"at"`
	Status int       `json:"status"` // 0 until it is answered
	Type   string    `json:"content_type,omitempty"`
	ETag   string    `json:"etag,omitempty"`
	Body   []byte    `json:"body,omitempty"`
}

var requestKind = store.Kind[request]{
	Table: store.Requests, Version: 1,
	Key:     func(r *request) string { return r.Key },
	Columns: func(r *request) []any { return []any{store.Nanos(r.At)} },
}

// once carries a write with an Idempotency-Key out once. That it began is
// durable before it begins, and its answer is durable before the caller sees
// it. A write that was cut short is never begun again: whether it took effect
// is not known, and the caller is told so. Answers that say that nothing was
// done for a passing reason are not kept.
func (s *server) once(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		p, known := auth.From(r.Context())
		if key == "" || !known || !isWrite(r.Method) {
			next.ServeHTTP(w, r)
			return
		}
		if len(key) > 200 || !plain(key) {
			writeProblem(w, http.StatusBadRequest, "Idempotency-Key: expected 1 to 200 printable characters")
			return
		}
		mine := request{Key: digest(p.Name, key), Digest: requestDigest(r), At: s.Clock()}
		before, err := s.begin(r.Context(), mine)
		switch {
		case err != nil:
			writeProblem(w, http.StatusServiceUnavailable, "the Idempotency-Key cannot be checked now; try again")
		case before == nil:
			s.carryOut(w, r, next, mine)
		case before.Digest != mine.Digest:
			writeProblem(w, http.StatusConflict, "this Idempotency-Key was used for another request; use a new one")
		case before.Status != 0:
			before.replay(w)
		case mine.At.Sub(before.At) < stillGoing:
			w.Header().Set("Retry-After", "1")
			writeProblem(w, http.StatusConflict, "the same request is being carried out; ask again for its answer")
		default:
			writeProblem(w, http.StatusConflict, "the same request was cut short and it is not known whether it took effect; look, then use a new Idempotency-Key")
		}
	})
}

// begin records that a request begins, or gives the one with its key. It also
// forgets some old ones.
func (s *server) begin(ctx context.Context, mine request) (before *request, err error) {
	err = s.Store.Update(ctx, func(tx store.Tx) error {
		before = nil
		old, _, err := requestKind.List(tx, store.Query{
			Where: []store.Cond{{Column: "at", Op: store.Lt, Value: store.Nanos(mine.At.Add(-keepAnswers))}}, Order: "at", Limit: 10,
		})
		if err != nil {
			return err
		}
		for _, o := range old {
			if err := tx.Delete(store.Requests, o.Value.Key); err != nil {
				return err
			}
		}
		there, err := requestKind.Get(tx, mine.Key)
		if err == nil {
			before = &there.Value
			return nil
		}
		if !heal.Is(err, heal.NotFound) {
			return err
		}
		_, err = requestKind.Put(tx, &mine, store.Absent)
		return err
	})
	return before, err
}

func (s *server) carryOut(w http.ResponseWriter, r *http.Request, next http.Handler, mine request) {
	held := &heldAnswer{header: http.Header{}}
	next.ServeHTTP(held, r)
	mine.Status, mine.Body = held.status, held.body.Bytes()
	mine.Type, mine.ETag = held.header.Get("Content-Type"), held.header.Get("ETag")
	// The caller may be gone; what was done is remembered all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 5*time.Second)
	defer cancel()
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		if !lasting(held.status) {
			return tx.Delete(store.Requests, mine.Key)
		}
		_, err := requestKind.Put(tx, &mine, store.Any)
		return err
	})
	if err != nil {
		writeProblem(w, http.StatusInternalServerError, "it was answered %d, but the answer could not be kept; look before trying again", held.status)
		return
	}
	maps.Copy(w.Header(), held.header)
	w.WriteHeader(held.status)
	// An error here means that the client is gone: it may ask again.
	_, _ = w.Write(mine.Body)
}

// lasting reports whether the same request would be answered the same again.
func lasting(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return false
	}
	return true
}

func (r *request) replay(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", r.Type)
	h.Set("Idempotent-Replayed", "true")
	if r.ETag != "" {
		h.Set("ETag", r.ETag)
	}
	w.WriteHeader(r.Status)
	// An error here means that the client is gone: it may ask again.
	_, _ = w.Write(r.Body)
}

// heldAnswer keeps an answer until it is durable.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *heldAnswer) Header() http.Header { return h.header }

func (h *heldAnswer) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}

func (h *heldAnswer) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.body.Write(p)
}

func requestDigest(r *http.Request) string {
	var data []byte
	if whole, ok := r.Body.(*whole); ok {
		data = whole.data
	}
	return digest(r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("If-Match"), string(data))
}

// digest hashes texts so that no two lists of texts give the same.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		sum := sha256.Sum256([]byte(p))
		_, _ = h.Write(sum[:]) // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil))
}
