//go:build amd64

// Package i386 makes system calls by the i386 entry of an x86-64 kernel, for
// tests that it is closed. Go assembly cannot be in a package that uses cgo.
package i386

// Call makes the call of this number without arguments, and returns what the
// kernel does.
func Call(nr uint32) int32
