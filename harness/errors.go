package harness

import (
	"errors"
	"fmt"
)

// Error is the one error type of the package: what was being done, outermost
// first, and why it did not work. It reads like a path:
//
//	up: host bob: port lan: set address 10.0.0.2/24: file exists
//
// A feature that this kernel or machine lacks satisfies
// errors.Is(err, errors.ErrUnsupported).
type Error struct {
	// Path is what was being done, its parts joined by ": ".
	Path string
	// Err is the cause: a unix.Errno, a message of nft, a context's error.
	Err error
}

// Error is the path and the cause.
func (e *Error) Error() string {
	switch {
	case e == nil:
		return absentName
	case e.Err == nil:
		return e.Path
	}
	return e.Path + ": " + e.Err.Error()
}

// Unwrap is the cause.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// at puts a part before the path of err; a nil error stays nil.
func at(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	part := fmt.Sprintf(format, args...)
	var inner *Error
	if e, ok := err.(*Error); ok {
		inner = e
		return &Error{Path: part + ": " + inner.Path, Err: inner.Err}
	}
	return &Error{Path: part, Err: err}
}

// missing is a feature that is not there, and what to do about it.
type missing struct{ what string }

func (m missing) Error() string        { return m.what }
func (m missing) Is(target error) bool { return target == errors.ErrUnsupported }

// errNoFunction is a nil where a function is wanted.
var errNoFunction = errors.New("there is no function to call: it is nil")
