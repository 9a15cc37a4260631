package server

import "golang.org/x/sys/unix"

// replaceStandard puts the wake pipe, which does no harm, in the place of those
// standard descriptors that a thread which was taken over could send with. Input
// and output always go, for nothing is read or written there. Errors go if they
// are a socket that can be sent from to any address.
func (s *Server) replaceStandard() error {
	fds := []int{0, 1}
	if addressable(stderrFD) {
		warn("stderr is a socket that can send to any address: nothing more is written to it")
		fds = append(fds, stderrFD)
	}
	for _, fd := range fds {
		if err := unix.Dup3(int(s.wakeFD), fd, unix.O_CLOEXEC); err != nil {
			return fail(ExitOSErr, "replacing descriptor %d: %w", fd, err)
		}
	}
	return nil
}

// addressable says whether a descriptor is a socket with which sendto(2) can
// reach others than its peer. One that carries a connection cannot.
func addressable(fd int) bool {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return false
	}
	_, err = unix.Getpeername(fd)
	return err != nil || kind != unix.SOCK_STREAM && kind != unix.SOCK_SEQPACKET
}
