package heal

import (
	"errors"
	"fmt"
)

// Kind says how a caller should behave towards an error. Behaviour hangs on the
// kind, never on the text.
type Kind uint8

// The kinds of error.
const (
	Internal  Kind = iota // a bug or a broken invariant of our own
	Invalid               // the input is wrong; the same input will stay wrong
	NotFound              // the thing named does not exist
	Conflict              // the thing changed meanwhile, or already exists
	Denied                // identity, guard or policy refused
	Transient             // may succeed if tried again
	Unknown               // it is not known whether the effect happened
)

func (k Kind) String() string {
	switch k {
	case Internal:
		return "internal"
	case Invalid:
		return "invalid"
	case NotFound:
		return "not_found"
	case Conflict:
		return "conflict"
	case Denied:
		return "denied"
	case Transient:
		return "transient"
	case Unknown:
		return "unknown"
	}
	return "internal"
}

// Error is an error with the operation that was attempted and its kind.
type Error struct {
	Op   string // what was attempted, for example "load playbook restart-service"
	Kind Kind
	Err  error
}

func (e *Error) Error() string {
	if e.Op == "" {
		return e.Err.Error()
	}
	return e.Op + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of the kind; format may use %w.
func Errorf(kind Kind, op, format string, args ...any) error {
	return &Error{Op: op, Kind: kind, Err: fmt.Errorf(format, args...)}
}

// Wrap adds the operation to err and keeps its kind. It returns nil for nil.
func Wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Kind: KindOf(err), Err: err}
}

// KindOf gives the kind of the outermost Error in err's chain, Internal if
// there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is of the kind.
func Is(err error, kind Kind) bool {
	return err != nil && KindOf(err) == kind
}
