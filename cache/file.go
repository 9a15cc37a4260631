package cache

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"gomcd/cache/offheap"

	"golang.org/x/sys/unix"
)

// File is a memory file: item memory that outlives the server, so that the next
// one begins with a warm cache. Beside it, in FILE.meta, is what else a store
// is made of again: see metadata.go.
//
// The metadata says "running" while a server uses the file and "stopped" after
// a clean stop. A server that was killed leaves a state that cannot be
// trusted, so the next one begins with an empty cache.
type File struct {
	// Tell is called with a line about whether the content is used.
	Tell func(line string)
	// Events is how many events watchers could have seen: it is kept with the
	// rest, so that their numbers go on.
	Events uint64

	path   string
	fd     int // the items
	metaFD int
	now    int64  // wall clock, seconds
	saved  *saved // what the last server left, nil: nothing to go on with
	marked bool   // the metadata says that a server is running
	warm   bool   // the store was made of what was saved
}

// ErrInUse is that of a file that another server has open.
var ErrInUse = errors.New("another server is using it")

const (
	metaSuffix = ".meta"
	// maxMeta bounds the metadata that is read, in bytes: some 20 a page.
	maxMeta = 64 << 20
)

// OpenFile opens a memory file and its metadata, both created if need be, and
// locks the file, so that no other server uses it. Content that cannot
// be used is reported to tell; the error is about a file that cannot be a memory file,
// or not now. wall is the time in seconds since 1970.
func OpenFile(path string, wall int64, tell func(line string)) (*File, error) {
	f := &File{Tell: tell, path: path, fd: -1, metaFD: -1, now: wall}
	var err error
	if f.fd, err = openOwn(path, unix.O_CREAT); err != nil {
		return nil, fmt.Errorf("failed to open memory file %s: %w", path, err)
	}
	if err = f.lock(); err != nil {
		f.Close()
		return nil, fmt.Errorf("failed to lock memory file %s: %w", path, err)
	}
	if err := f.openMeta(); err != nil {
		f.Close()
		return nil, fmt.Errorf("failed to open metadata file %s: %w", path+metaSuffix, err)
	}
	return f, nil
}

// CheckFile says whether a memory file of so many bytes could be opened, and creates
// nothing.
func CheckFile(path string, size int64) error {
	f := &File{path: path, fd: -1, metaFD: -1}
	defer f.Close()
	dir := filepath.Dir(path)
	var err error
	if f.fd, err = openOwn(path, 0); err == unix.ENOENT {
		err = unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	} else if err == nil {
		err = f.lock()
	}
	if err != nil {
		return fmt.Errorf("failed to open memory file %s: %w", path, err)
	}
	if _, err := f.readMeta(path + metaSuffix); err != nil && err != unix.ENOENT {
		return fmt.Errorf("failed to open metadata file %s: %w", path+metaSuffix, err)
	}
	var fs unix.Statfs_t
	var st unix.Stat_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("memory file %s: %w", path, err)
	}
	if f.fd >= 0 {
		if err := unix.Fstat(f.fd, &st); err != nil {
			return fmt.Errorf("memory file %s: %w", path, err)
		}
	}
	const block = 512
	if room := int64(fs.Bavail)*fs.Bsize + st.Blocks*block; room < size {
		return fmt.Errorf("memory file %s: there is no room for %d bytes: %w", path, size, unix.ENOSPC)
	}
	return nil
}

// lock has no other server use the file.
func (f *File) lock() error {
	err := unix.Flock(f.fd, unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return ErrInUse
	}
	return err
}

// openOwn opens a file that only the server and root can change: any user who can write to it
// can write to the server's memory.
func openOwn(path string, flags int) (int, error) {
	fd, err := unix.Open(path, flags|unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0o600)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	switch err = unix.Fstat(fd, &st); {
	case err != nil:
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		err = errors.New("it is not a regular file")
	case st.Mode&0o022 != 0:
		err = fmt.Errorf("others may write to it (mode %#o)", st.Mode&0o777)
	case st.Uid != 0 && int(st.Uid) != unix.Geteuid():
		err = fmt.Errorf("it belongs to user %d", st.Uid)
	default:
		return fd, nil
	}
	unix.Close(fd)
	return -1, err
}

// openMeta opens and reads the metadata. There is always some afterwards: a
// file without content would not be known for one of a memory file.
func (f *File) openMeta() error {
	path := f.path + metaSuffix
	damage, err := f.readMeta(path)
	if err == unix.ENOENT {
		f.Tell("no metadata save file, starting with a clean cache")
		f.marked = true
		return f.createMeta(path)
	}
	if err == nil && damage != nil {
		f.Tell(damage.Error() + ", starting with a clean cache")
	}
	return err
}

// readMeta opens and reads metadata that is there. damage is why there is nothing to go on
// with in it; err, why it cannot be used at all.
func (f *File) readMeta(path string) (damage, err error) {
	if f.metaFD, err = openOwn(path, 0); err != nil {
		return nil, err
	}
	text, err := readAll(f.metaFD)
	if err != nil {
		return nil, err
	}
	saved, err := parseMetadata(text)
	if errors.Is(err, errForeign) {
		return nil, err
	}
	f.saved = saved
	return err, nil
}

// createMeta makes metadata of a running server, at once or not at all.
func (f *File) createMeta(path string) error {
	temp := path + ".new"
	// One that was left over, or a link that another user put there.
	if err := unix.Unlink(temp); err != nil && err != unix.ENOENT {
		return err
	}
	var err error
	if f.metaFD, err = openOwn(temp, unix.O_CREAT|unix.O_EXCL); err != nil {
		return err
	}
	if err := writeAt(f.metaFD, []byte(firstLine(running)), 0); err != nil {
		return err
	}
	return unix.Rename(temp, path)
}

// Close gives the file back. Its memory stays mapped where it is.
func (f *File) Close() {
	for _, fd := range []*int{&f.fd, &f.metaFD} {
		if *fd >= 0 {
			unix.Close(*fd)
		}
		*fd = -1
	}
}

// FDs are the descriptors of the file and of its metadata.
func (f *File) FDs() (file, meta int) { return f.fd, f.metaFD }

// Warm says whether the store was made of what the last server left.
func (f *File) Warm() bool { return f.warm }

// Begin notes that a server is running. From now on, only a clean stop saves
// what is in memory.
func (f *File) Begin() error {
	if f.marked {
		return nil
	}
	f.marked = true
	err := writeAt(f.metaFD, []byte(firstLine(running)), 0)
	if err == nil {
		// Or after a power failure, on a disk, the metadata would be older
		// than the memory.
		err = unix.Fdatasync(f.metaFD)
	}
	if err != nil {
		return fmt.Errorf("failed to write metadata file %s: %w", f.path+metaSuffix, err)
	}
	return nil
}

// end writes the metadata of a stopped server.
func (f *File) end(text []byte) error {
	err := unix.Fdatasync(f.fd)
	if err == nil {
		err = writeAt(f.metaFD, text, 0)
	}
	if err == nil {
		err = unix.Fdatasync(f.metaFD)
	}
	return err
}

// Save writes down what the memory file does not have of the store, for the
// next server. The store must not be used afterwards.
func (s *Store) Save(wall int64) error {
	f := s.cfg.File
	s.abandonMove()
	if err := f.end(s.metadata(wall)); err != nil {
		return fmt.Errorf("failed to save the metadata of memory file %s: %w", f.path, err)
	}
	return nil
}

// refuse notes that what was saved is no use, and why.
func (f *File) refuse(err error) {
	f.Tell(err.Error() + ", starting with a clean cache")
	f.saved = nil
}

// reserveFile maps the file as the arena, behind a page of anonymous memory:
// page 0, which is never used. The file has what -m allows and a page for each
// class, or as many of these as there is room for.
func (s *Store) reserveFile() error {
	f := s.cfg.File
	least := (s.cfg.MemLimit + PageSize - 1) / PageSize
	if least < 1 {
		return fmt.Errorf("a memory file needs a memory limit")
	}
	if err := s.setGranule(uint64(least+MaxClasses) * PageSize); err != nil {
		return err
	}
	s.initClasses()
	if f.saved != nil {
		if err := s.compatible(f.saved); err != nil {
			f.refuse(err)
		}
	}
	classes := int(s.largest)
	pages, err := f.allocate(int(least), int(least)+classes)
	if err != nil {
		return err
	}
	if pages < classes {
		return fmt.Errorf("memory file %s: there is room for %d pages of 1 MiB, and each of the %d slab classes needs one", f.path, pages, classes)
	}
	if most := pages - classes + 1; most < int(least) {
		f.Tell(fmt.Sprintf("the memory file has room for %d pages of 1 MiB instead of %d: one is kept for each of the %d slab classes, so that items of one class can have no more than %d",
			pages, int(least)+classes, classes, most))
	}
	if s.arena, err = offheap.MapFile(offheap.Items, f.fd, PageSize, uintptr(pages)*PageSize); err != nil {
		return err
	}
	return s.reservePages()
}

// allocate sees that the file has memory: least pages if it begins anew, and as
// many more up to most as there is room for; or those that it has. Memory that
// a full file system could not give later would end the server with a signal.
func (f *File) allocate(least, most int) (pages int, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("failed to allocate memory file %s: %w", f.path, err)
		}
	}()
	if f.saved != nil {
		pages = f.saved.pages
		size := int64(pages) * PageSize
		var st unix.Stat_t
		if err := unix.Fstat(f.fd, &st); err != nil {
			return 0, err
		}
		if st.Size == size && pages >= least && pages <= most {
			// It may have holes, where it was copied.
			err := unix.Fallocate(f.fd, 0, 0, size)
			if err == unix.EOPNOTSUPP {
				err = nil
			}
			return pages, noSpace(err, size)
		}
		f.refuse(fmt.Errorf("the memory file has %d bytes instead of %d", st.Size, size))
	}
	if err := f.Begin(); err != nil {
		return 0, err
	}
	// What is about to be written at the end must not fail then.
	if err := unix.Fallocate(f.metaFD, unix.FALLOC_FL_KEEP_SIZE, 0, metaSize(most)); err != nil && err != unix.EOPNOTSUPP {
		return 0, noSpace(err, metaSize(most))
	}
	if err := unix.Ftruncate(f.fd, 0); err != nil {
		return 0, err
	}
	size := int64(least) * PageSize
	err = unix.Fallocate(f.fd, 0, 0, size)
	if err == unix.EOPNOTSUPP {
		return least, noSpace(fill(f.fd, least), size)
	}
	if err != nil {
		return 0, noSpace(err, size)
	}
	for pages = most; pages > least; pages-- {
		if unix.Fallocate(f.fd, 0, size, int64(pages-least)*PageSize) == nil {
			break
		}
	}
	return pages, nil
}

// noSpace explains an error of allocating size bytes.
func noSpace(err error, size int64) error {
	switch err {
	case nil:
		return nil
	case unix.ENOSPC, unix.EDQUOT, unix.EFBIG:
		return fmt.Errorf("there is no room for %d bytes: %w", size, err)
	}
	return err
}

// fill writes pages of zeros, where a file system allocates in no other way.
func fill(fd, pages int) error {
	zeros := make([]byte, PageSize)
	for i := range pages {
		if err := writeAt(fd, zeros, int64(i)*PageSize); err != nil {
			return err
		}
	}
	return nil
}

func writeAt(fd int, b []byte, off int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(fd, b, off)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return io.ErrShortWrite
		}
		b, off = b[n:], off+int64(n)
	}
	return nil
}

// readAll reads a file from its beginning, maxMeta bytes at most.
func readAll(fd int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	b := make([]byte, min(max(st.Size, 0), maxMeta))
	for n := 0; n < len(b); {
		m, err := unix.Pread(fd, b[n:], int64(n))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, err
		case m == 0:
			return b[:n], nil
		}
		n += m
	}
	return b, nil
}
