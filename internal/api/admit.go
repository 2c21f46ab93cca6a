package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/store"
)

// Bounds of a request.
const (
	maxPlainBody = 2 << 20 // of everything but alerts; a playbook is at most 1 MiB before it is quoted
	maxDepth     = 32      // nesting of JSON
	maxQuery     = 16 << 10
)

// outermost keeps a bug in one request from being more than that, and browsers
// from taking an answer for something else.
func (s *server) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		seen := &seen{ResponseWriter: w}
		defer func() {
			p := recover()
			if p == nil || errors.Is(asError(p), http.ErrAbortHandler) {
				return
			}
			s.Logger.LogAttrs(r.Context(), slog.LevelError, "request panicked", slog.String("path", r.URL.Path), slog.Any("panic", p))
			if seen.status == 0 {
				writeProblem(seen, http.StatusInternalServerError, "something is wrong inside the server; its log says what")
			}
		}()
		next.ServeHTTP(seen, r)
	})
}

func asError(p any) error {
	err, _ := p.(error)
	return err
}

// seen remembers the status of an answer.
type seen struct {
	http.ResponseWriter
	status int
}

func (w *seen) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *seen) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *seen) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// admit bounds a request, reads its body whole and refuses what could not be
// understood anyway, with the place of the mistake. It logs writes.
func (s *server) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text := badAddress(r.URL); text != "" {
			writeProblem(w, http.StatusBadRequest, "%s", text)
			return
		}
		if !longAnswer(r.URL.Path) {
			ctx, cancel := context.WithTimeout(r.Context(), s.Deadline)
			defer cancel()
			r = r.WithContext(ctx)
		}
		if !isWrite(r.Method) {
			r.Body = http.NoBody
			next.ServeHTTP(w, r)
			return
		}
		data, ok := s.readBody(w, r)
		if !ok {
			return
		}
		r.Body = newWhole(data)
		r = r.WithContext(store.Awaited(r.Context()))
		began := time.Now()
		answer := &seen{ResponseWriter: w}
		next.ServeHTTP(answer, r)
		p, _ := auth.From(r.Context())
		s.Logger.LogAttrs(r.Context(), slog.LevelInfo, "write",
			slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.String("by", p.Name),
			slog.Int("status", answer.status), slog.Duration("took", time.Since(began)))
	})
}

func isWrite(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// badAddress says what is wrong with a path or query, "" if nothing is.
func badAddress(u *url.URL) string {
	if !plain(u.Path) {
		return "the path is not valid UTF-8 without control characters"
	}
	if len(u.RawQuery) > maxQuery {
		return fmt.Sprintf("the query is %d bytes long, at most %d are taken", len(u.RawQuery), maxQuery)
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "the query cannot be read: " + err.Error()
	}
	for name, list := range values {
		if !plain(name) || !plain(strings.Join(list, "")) {
			return "the query is not valid UTF-8 without control characters"
		}
		if len(list) > 1 {
			return fmt.Sprintf("the query names %q %d times, expected once", clip(name, 40), len(list))
		}
	}
	return ""
}

func plain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// readBody reads a body whole, or answers why not.
func (s *server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	hook := strings.HasPrefix(r.URL.Path, prefix+"/webhooks/")
	limit := int64(maxPlainBody)
	if hook || r.URL.Path == prefix+"/alerts" {
		limit = s.MaxBody
	}
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // the rest is not worth reading
		writeProblem(w, http.StatusRequestEntityTooLarge, "the body has %d bytes, at most %d are taken", r.ContentLength, limit)
		return nil, false
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, big := errors.AsType[*http.MaxBytesError](err); big {
		writeProblem(w, http.StatusRequestEntityTooLarge, "the body has more than %d bytes", limit)
		return nil, false
	}
	if err != nil {
		writeProblem(w, http.StatusBadRequest, "the body could not be read to its end")
		return nil, false
	}
	if hook {
		// Tools send JSON under many names (SNS as text/plain); the adapter says
		// what is wrong with a body.
		r.Header.Set("Content-Type", "application/json")
		return data, true
	}
	if len(data) == 0 {
		return data, true
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		writeProblem(w, http.StatusUnsupportedMediaType, "the body is %q, expected Content-Type: application/json", clip(r.Header.Get("Content-Type"), 80))
		return nil, false
	}
	if text := badJSON(data); text != "" {
		writeProblem(w, http.StatusBadRequest, "%s", text)
		return nil, false
	}
	return data, true
}

// badJSON says what is wrong with a body and where, "" if nothing is.
func badJSON(data []byte) string {
	if at := invalidUTF8(data); at >= 0 {
		return "the body is not valid UTF-8 " + place(data, at)
	}
	if at := tooDeep(data); at >= 0 {
		return fmt.Sprintf("the body is nested more than %d levels deep %s", maxDepth, place(data, at))
	}
	var raw json.RawMessage
	err := json.Unmarshal(data, &raw)
	if err == nil {
		return ""
	}
	if bad, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("the body is not JSON %s: %v", place(data, int(bad.Offset)-1), bad)
	}
	return "the body is not JSON: " + err.Error()
}

// place gives line and column of an offset, both from 1.
func place(data []byte, at int) string {
	before := data[:min(max(at, 0), len(data))]
	line := bytes.Count(before, []byte{'\n'}) + 1
	column := len(before) - (bytes.LastIndexByte(before, '\n') + 1) + 1
	return fmt.Sprintf("at line %d, column %d", line, column)
}

// invalidUTF8 is the offset of the first byte that is not UTF-8, -1 if none.
func invalidUTF8(data []byte) int {
	for at := 0; at < len(data); {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size <= 1 {
			return at
		}
		at += size
	}
	return -1
}

// tooDeep is the offset at which JSON nests too deep, -1 if it never does.
func tooDeep(data []byte) int {
	level, inString := 0, false
	for at := 0; at < len(data); at++ {
		switch c := data[at]; {
		case inString && c == '\\':
			at++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if level++; level > maxDepth {
				return at
			}
		case c == '}' || c == ']':
			level--
		}
	}
	return -1
}

// whole is a body that was read to its end.
type whole struct {
	*bytes.Reader
	data []byte
}

func newWhole(data []byte) *whole { return &whole{Reader: bytes.NewReader(data), data: data} }

// Close does nothing: the body is in memory.
func (*whole) Close() error { return nil }
