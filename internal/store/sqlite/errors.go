package sqlite

import (
	"context"
	"errors"
	"strings"

	engine "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/homeostat/homeostat/internal/heal"
)

func errClosed(op string) error {
	return heal.Errorf(heal.Transient, op, "the store is closed")
}

// explain turns an error of the engine into one with a kind and plain words; an
// error that has a kind already stays as it is.
func explain(path string, err error) error {
	if _, ok := errors.AsType[*heal.Error](err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return heal.Errorf(heal.Transient, "", "%w", err)
	}
	switch code(err) & 0xff {
	case lib.SQLITE_FULL:
		return heal.Errorf(heal.Transient, "", "the disk that holds %s is full, nothing was written: %w", path, err)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return heal.Errorf(heal.Transient, "", "another program holds a lock on %s: %w", path, err)
	case lib.SQLITE_IOERR:
		return heal.Errorf(heal.Transient, "", "the disk that holds %s answers with errors: %w", path, err)
	case lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN, lib.SQLITE_PERM, lib.SQLITE_AUTH:
		return heal.Errorf(heal.Denied, "", "%s cannot be opened for writing, look at its owner and mode: %w", path, err)
	case lib.SQLITE_CORRUPT:
		return heal.Errorf(heal.Internal, "", "%s is damaged, restore a backup: %w", path, err)
	case lib.SQLITE_NOTADB:
		return heal.Errorf(heal.Invalid, "", "%s is not a SQLite database: %w", path, err)
	case lib.SQLITE_TOOBIG:
		return heal.Errorf(heal.Invalid, "", "larger than SQLite takes: %w", err)
	}
	return heal.Errorf(heal.Internal, "", "%w", err)
}

// code is SQLite's extended result code, 0 if err is not from SQLite.
func code(err error) int {
	if e, ok := errors.AsType[*engine.Error](err); ok {
		return e.Code()
	}
	return 0
}

// duplicate tells a violated unique index from other errors.
func duplicate(err error) bool {
	c := code(err)
	return c == lib.SQLITE_CONSTRAINT_UNIQUE || c == lib.SQLITE_CONSTRAINT_PRIMARYKEY
}

// noTransaction tells that a rollback found nothing to roll back: SQLite had
// done it already. The engine has no code for it.
func noTransaction(err error) bool {
	return code(err)&0xff == lib.SQLITE_ERROR && strings.Contains(err.Error(), "no transaction is active")
}
