package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/homeostat/homeostat/internal/heal"
)

// The codes of PostgreSQL that we tell apart; their classes are the first two
// characters.
const (
	classConnection  = "08"
	classTransaction = "40" // serialisation failure, deadlock
	classShutdown    = "57"
	classResources   = "53"
	classLogin       = "28"
	classLimit       = "54"
	classDamage      = "XX"
	codeDiskFull     = "53100"
	codeTooMany      = "53300"
	codeCancelled    = "57014"
	codeLockTimeout  = "55P03"
	codeIdleTimeout  = "25P03"
	codeReadOnly     = "25006"
	codeDuplicate    = "23505"
	codeNoDatabase   = "3D000"
	codeNoPrivilege  = "42501"
)

func errClosed(op string) error {
	return heal.Errorf(heal.Transient, op, "the store is closed")
}

// passing reports an error that a moment and perhaps another connection cure:
// the connection is lost, the server restarts, or PostgreSQL gave the
// transaction up in favour of another. None of them says that a commit failed.
func passing(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case codeCancelled:
			return false
		case codeTooMany, codeIdleTimeout, codeReadOnly:
			return true
		}
		return hasClass(e, classConnection, classTransaction, classShutdown)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok || errors.Is(err, context.Canceled) {
		return false
	}
	if _, ok := errors.AsType[*unreachable](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// duplicate reports that a key was there which was taken for fresh: every other
// condition is known to hold before a record is sent.
func duplicate(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == codeDuplicate
}

func hasClass(e *pgconn.PgError, classes ...string) bool {
	for _, c := range classes {
		if strings.HasPrefix(e.Code, c) {
			return true
		}
	}
	return false
}

// explain turns an error of the database into one with a kind and plain words;
// an error that has a kind already stays as it is.
func explain(name string, err error) error {
	if _, ok := errors.AsType[*heal.Error](err); ok {
		return err
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return explainServer(name, e, err)
	}
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return heal.Errorf(heal.Transient, "", "%w", err)
	case passing(err):
		return heal.Errorf(heal.Transient, "", "no connection to %s: %w", name, err)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return heal.Errorf(heal.Denied, "", "the certificate of %s does not prove what the DSN asks for: %w", name, err)
	}
	if _, ok := errors.AsType[*unreachable](err); ok {
		return heal.Errorf(heal.Transient, "", "no connection to %s: %w", name, err)
	}
	return heal.Errorf(heal.Internal, "", "%w", err)
}

func explainServer(name string, e *pgconn.PgError, err error) error {
	switch e.Code {
	case codeDiskFull:
		return heal.Errorf(heal.Transient, "", "the disk of %s is full, nothing was written: %w", name, err)
	case codeTooMany:
		return heal.Errorf(heal.Transient, "", "%s takes no more connections: %w", name, err)
	case codeCancelled:
		return heal.Errorf(heal.Transient, "", "a statement took longer than it may on %s: %w", name, err)
	case codeLockTimeout:
		return heal.Errorf(heal.Transient, "", "another server or program holds the lock of those who write to %s: %w", name, err)
	case codeReadOnly:
		return heal.Errorf(heal.Transient, "", "%s takes no writes, perhaps it is a standby: %w", name, err)
	case codeNoDatabase:
		return heal.Errorf(heal.Invalid, "", "there is no %s; create it, in the encoding UTF8: %w", name, err)
	case codeNoPrivilege:
		return heal.Errorf(heal.Denied, "", "the user of the DSN may not use %s: %w", name, err)
	}
	switch {
	case hasClass(e, classLogin):
		return heal.Errorf(heal.Denied, "", "%s refuses the login: %w", name, err)
	case hasClass(e, classConnection, classTransaction, classShutdown, classResources), e.Code == codeIdleTimeout:
		return heal.Errorf(heal.Transient, "", "%s: %w", name, err)
	case hasClass(e, classLimit):
		return heal.Errorf(heal.Invalid, "", "larger than PostgreSQL takes: %w", err)
	case hasClass(e, classDamage):
		return heal.Errorf(heal.Internal, "", "%s may be damaged, look at its log and restore a backup: %w", name, err)
	}
	return heal.Errorf(heal.Internal, "", "%w", err)
}
