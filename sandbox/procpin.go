package sandbox

import _ "unsafe" // for go:linkname

// procPin keeps the calling goroutine on its thread and that thread on its scheduler's
// processor (P), whose number it returns, until procUnpin. The Go runtime keeps both for
// packages that link to them by name (runtime/proc.go, go.dev/issue/67401).
//
//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()
