//go:build amd64 || arm64

package cache

import "unsafe"

// prefetch asks the processor for the cache line at p. It never faults.
//
//go:noescape
func prefetch(p unsafe.Pointer)
