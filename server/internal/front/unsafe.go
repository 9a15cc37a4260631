package front

import (
	"sync/atomic"
	"unsafe"
)

// words are mapped memory as words. Whatever another process does to it, each is a
// number. The memory is of wordsLen bytes, and mapped for as long as the process lives.
func words(b []byte) *[nWords]atomic.Uint64 {
	_ = b[wordsLen-1]
	return (*[nWords]atomic.Uint64)(unsafe.Pointer(&b[0]))
}
