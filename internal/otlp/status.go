package otlp

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/homeostat/homeostat/internal/heal"
)

// unauthenticated marks an error of Options.Authenticate.
type unauthenticated struct{ error }

func (u unauthenticated) Unwrap() error { return u.error }

// tooLarge marks a request beyond MaxRequestBytes.
type tooLarge struct{ error }

func (t tooLarge) Unwrap() error { return t.error }

// unimplemented marks a request in a coding we do not have.
type unimplemented struct{ error }

func (u unimplemented) Unwrap() error { return u.error }

// toStatus says in the protocol's terms what became of a request. retry is
// zero if the sender should not try again; over gRPC it travels as RetryInfo,
// without which RESOURCE_EXHAUSTED means "never".
func (s *Server) toStatus(err error) (st *status.Status, httpCode int, retry time.Duration) {
	code := codes.Internal
	switch kind := heal.KindOf(err); kind {
	case heal.Invalid:
		code, httpCode = codes.InvalidArgument, http.StatusBadRequest
	case heal.NotFound, heal.Conflict:
		code, httpCode = codes.FailedPrecondition, http.StatusBadRequest
	case heal.Denied:
		code, httpCode = codes.PermissionDenied, http.StatusForbidden
	case heal.Transient:
		code, httpCode, retry = codes.ResourceExhausted, http.StatusTooManyRequests, s.opts.RetryAfter
	case heal.Unknown:
		code, httpCode, retry = codes.Unavailable, http.StatusServiceUnavailable, s.opts.RetryAfter
	case heal.Internal:
		code, httpCode = codes.Internal, http.StatusInternalServerError
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			code, httpCode, retry = codes.Unavailable, http.StatusServiceUnavailable, s.opts.RetryAfter
		}
	}
	if _, ok := errors.AsType[unauthenticated](err); ok && retry == 0 {
		code, httpCode = codes.Unauthenticated, http.StatusUnauthorized
	}
	if _, ok := errors.AsType[unimplemented](err); ok {
		code = codes.Unimplemented
	}
	if _, ok := errors.AsType[tooLarge](err); ok {
		code, httpCode = codes.ResourceExhausted, http.StatusRequestEntityTooLarge
	}

	st = status.New(code, strings.ToValidUTF8(err.Error(), "\uFFFD"))
	if retry > 0 {
		if detailed, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retry)}); err == nil {
			st = detailed
		}
	}
	return st, httpCode, retry
}
