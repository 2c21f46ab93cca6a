package otlp

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/homeostat/homeostat/internal/heal"
)

func (s *Server) httpServer() *http.Server {
	return &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: min(5*time.Second, s.opts.ReadTimeout),
		ReadTimeout:       s.opts.ReadTimeout,
		WriteTimeout:      s.opts.ReadTimeout + s.opts.SinkTimeout + 5*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    s.opts.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelDebug),
		ConnState:         s.others.set,
	}
}

// handler serves the paths the protocol fixes.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, sig := range signals {
		mux.HandleFunc("/v1/"+sig.String(), func(w http.ResponseWriter, r *http.Request) { s.serveHTTP(w, r, sig) })
	}
	return mux
}

func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request, sig Signal) {
	s.stats[sig].requests.Add(1)
	if r.Method != http.MethodPost {
		s.stats[sig].refused.Add(1)
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "OTLP is sent with POST", http.StatusMethodNotAllowed)
		return
	}
	enc, ok := formatOf(r.Header.Get("Content-Type"))
	if !ok {
		s.stats[sig].refused.Add(1)
		http.Error(w, fmt.Sprintf("content type %q is not taken: send application/x-protobuf or application/json", r.Header.Get("Content-Type")), http.StatusUnsupportedMediaType)
		return
	}
	resp, err := s.tryHTTP(w, r, sig, enc)
	if err != nil {
		s.stats[sig].refused.Add(1)
		st, code, retry := s.toStatus(err)
		s.opts.Logger.DebugContext(r.Context(), "OTLP request refused", slog.String("signal", sig.String()), slog.String("protocol", "http"), slog.Int("code", code), slog.Any("error", err))
		s.refuse(w, enc, st, code, retry)
		return
	}
	w.Header().Set("Content-Type", enc.contentType())
	s.mayEnd(w)
	_, _ = w.Write(resp) // a sender that has gone away sends again
}

// mayEnd tells a sender that its connection ends, if the server stops.
func (s *Server) mayEnd(w http.ResponseWriter) {
	if s.stopping.Load() {
		w.Header().Set("Connection", "close")
	}
}

func (s *Server) tryHTTP(w http.ResponseWriter, r *http.Request, sig Signal, enc format) ([]byte, error) {
	if err := s.authenticate(r.Context(), r.Header.Get("Authorization")); err != nil {
		return nil, err
	}
	body, err := s.body(w, r) // first: a slow sender must not take the place of others
	if body != nil {
		defer s.giveBack(body)
	}
	if err != nil {
		return nil, err
	}
	release, ok := s.admit()
	if !ok {
		return nil, s.overloaded()
	}
	defer release()
	return s.export(r.Context(), sig, enc, body)
}

func formatOf(contentType string) (format, bool) {
	media, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		return 0, false
	case media == "application/x-protobuf":
		return protobuf, true
	case media == "application/json":
		return jsonText, true
	}
	return 0, false
}

// body reads and decompresses a request, at most MaxRequestBytes of either. What
// it gives is held, and must be given back even if there is an error.
func (s *Server) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := int64(s.opts.MaxRequestBytes)
	coding := strings.ToLower(r.Header.Get("Content-Encoding"))
	plain, done, err := s.plain(coding, http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return nil, err
	}
	defer done()
	return s.readPlain(coding, plain)
}

// decompress gives what a message is when it is not compressed. It is held, and
// must be given back even if there is an error.
func (s *Server) decompress(coding string, message []byte) ([]byte, error) {
	plain, done, err := s.plain(coding, bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	defer done()
	return s.readPlain(coding, plain)
}

func readOp(coding string) string { return strings.TrimSpace("read OTLP request " + coding) }

// plain decompresses what comes from r; done must be called when it was read.
func (s *Server) plain(coding string, r io.Reader) (plain io.Reader, done func(), err error) {
	limit := int64(s.opts.MaxRequestBytes)
	switch coding {
	case "", "identity":
		return r, func() {}, nil
	case "gzip":
		z, _ := s.gzip.Get().(*gzip.Reader)
		if z == nil {
			z = new(gzip.Reader)
		}
		if err := z.Reset(r); err != nil {
			return nil, nil, bodyError(readOp(coding), err, limit)
		}
		return z, func() { s.gzip.Put(z) }, nil
	case "zstd":
		z, err := s.zstd.get(r)
		if err != nil {
			return nil, nil, bodyError(readOp(coding), err, limit)
		}
		return z, func() { _ = z.Close() }, nil // reports only what Read reported
	}
	return nil, nil, unimplemented{heal.Errorf(heal.Invalid, readOp(coding), "content encoding %q is not taken: send gzip, zstd or none", coding)}
}

// readPlain reads to the end, at most MaxRequestBytes.
func (s *Server) readPlain(coding string, plain io.Reader) ([]byte, error) {
	op, limit := readOp(coding), int64(s.opts.MaxRequestBytes)
	body, err := s.readAll(plain, limit+1)
	switch {
	case heal.Is(err, heal.Transient):
		return body, err
	case err != nil:
		return body, bodyError(op, err, limit)
	case int64(len(body)) > limit:
		return body, tooLarge{heal.Errorf(heal.Invalid, op, "more than %d bytes after decompression; send smaller batches", limit)}
	}
	return body, nil
}

func bodyError(op string, err error, limit int64) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge{heal.Errorf(heal.Invalid, op, "more than %d bytes; send smaller batches", limit)}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return heal.Errorf(heal.Unknown, op, "the sender was too slow: %w", err)
	}
	return heal.Errorf(heal.Invalid, op, "%w", err)
}

// refuse answers with a google.rpc.Status in the encoding of the request.
func (s *Server) refuse(w http.ResponseWriter, enc format, st *status.Status, code int, retry time.Duration) {
	body, err := statusBody(enc, st)
	if err != nil {
		http.Error(w, st.Message(), code)
		return
	}
	if retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(retry.Seconds()))))
	}
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.Header().Set("Content-Type", enc.contentType())
	s.mayEnd(w)
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

func statusBody(enc format, st *status.Status) ([]byte, error) {
	if enc == jsonText {
		return protojson.Marshal(st.Proto())
	}
	return proto.Marshal(st.Proto())
}
