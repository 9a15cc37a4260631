package server

import (
	"errors"
	"fmt"
)

// Exit statuses, as memcached gives them (sysexits.h).
const (
	ExitFailure = 1
	ExitUsage   = 64
	ExitNoUser  = 67
	ExitOSErr   = 71
)

// ExitError is an error that ends the process with a status of its own.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string { return e.Err.Error() }

func (e *ExitError) Unwrap() error { return e.Err }

// ErrReported is wrapped by errors of Run that the server has logged itself: it ends
// while it serves, when only its own threads may write to stderr.
var ErrReported = errors.New("the server has ended")

func fail(code int, format string, args ...any) error {
	return &ExitError{code, fmt.Errorf(format, args...)}
}
