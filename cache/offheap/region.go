package offheap

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Region is one mapping with an unreadable guard page on each side.
type Region struct {
	Base    unsafe.Pointer
	Size    uintptr // bytes, a multiple of the page size
	purpose Purpose
}

const guardSize = 4096

// Map reserves size bytes that cost nothing until they are touched.
func Map(p Purpose, size uintptr) (Region, error) {
	size = (size + guardSize - 1) &^ (guardSize - 1)
	at, err := unix.MmapPtr(-1, 0, nil, size+2*guardSize, unix.PROT_NONE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return Region{}, fmt.Errorf("reserving %d bytes of address space: %w", size, err)
	}
	base := unsafe.Add(at, guardSize)
	if err := unix.Mprotect(unsafe.Slice((*byte)(base), size), unix.PROT_READ|unix.PROT_WRITE); err != nil {
		unix.MunmapPtr(at, size+2*guardSize)
		return Region{}, fmt.Errorf("opening %d bytes of reserved memory: %w", size, err)
	}
	lock(base, size)
	mapped[p].Add(int64(size))
	return Region{base, size, p}, nil
}

// MapFile is Map for memory that is a file's, behind front bytes that are not. What is
// written to it is in the file at once.
func MapFile(p Purpose, fd int, front, size uintptr) (Region, error) {
	r, err := Map(p, front+size)
	if err != nil {
		return r, err
	}
	_, err = unix.MmapPtr(fd, 0, unsafe.Add(r.Base, front), size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED)
	if err != nil {
		r.Unmap()
		return Region{}, fmt.Errorf("mapping a file of %d bytes: %w", size, err)
	}
	lock(unsafe.Add(r.Base, front), size)
	return r, nil
}

// Unmap gives the memory back. Of a region without memory it does nothing.
func (r *Region) Unmap() {
	if r.Base != nil {
		unix.MunmapPtr(unsafe.Add(r.Base, -guardSize), r.Size+2*guardSize)
		mapped[r.purpose].Add(-int64(r.Size))
		r.Base = nil
	}
}

// Bytes returns n bytes at offset off. It panics if they are not all in the region.
func (r *Region) Bytes(off, n uintptr) []byte {
	if n > r.Size || off > r.Size-n {
		panic("offheap: reference outside the mapping")
	}
	return unsafe.Slice((*byte)(unsafe.Add(r.Base, off)), n)
}

// New returns a zero T (without pointers to the heap) in a mapping of its own.
func New[T any](p Purpose) (*T, error) {
	var t T
	r, err := Map(p, unsafe.Sizeof(t))
	if err != nil {
		return nil, err
	}
	return (*T)(r.Base), nil
}

// Slice returns n zero elements (without pointers to the heap) in a mapping of their own.
func Slice[T any](p Purpose, n int) ([]T, error) {
	var t T
	r, err := Map(p, unsafe.Sizeof(t)*uintptr(n))
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*T)(r.Base), n), nil
}

// Free gives back what Slice mapped for a purpose, or New as a slice of its words.
func Free[T any](p Purpose, s []T) {
	if len(s) == 0 {
		return
	}
	size := (uintptr(len(s))*unsafe.Sizeof(s[0]) + guardSize - 1) &^ (guardSize - 1)
	r := Region{unsafe.Pointer(unsafe.SliceData(s)), size, p}
	r.Unmap()
}
