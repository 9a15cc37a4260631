package t

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomcd/t/harness"
)

// System calls fail in every way that their manual pages name. EAGAIN of
// recvfrom and sendto is not among the tests of errors: it promises an event
// later, which a kernel keeps and these tests could not.

// faulty starts a server whose system calls can fail.
func faulty(t *testing.T, flags ...string) (*harness.Server, *harness.Faults) {
	t.Helper()
	return faultyOf(t, harness.Production(), flags...)
}

func faultyOf(t *testing.T, k harness.Kind, flags ...string) (*harness.Server, *harness.Faults) {
	t.Helper()
	k, faults := k.WithFaults(t)
	s := harness.Start(t, k, flags...)
	t.Cleanup(faults.Stop) // first of all, so that the server can end
	return s, faults
}

// calm fails if the failing call is made over and over: a
// thread must wait before it retries a call whose error lasts.
func calm(t *testing.T, faults *harness.Faults, least int) {
	t.Helper()
	began := time.Now()
	before := faults.Failed()
	// Not at once: the first few may come together.
	harness.Eventually(t, "the call is tried again", func() bool {
		return faults.Failed() >= before+least && time.Since(began) >= 100*time.Millisecond
	})
	failed := faults.Failed() - before
	if rate := float64(failed) / time.Since(began).Seconds(); rate > 5000 {
		t.Errorf("the failing call is made %.0f times a second", rate)
	}
}

func TestAcceptFails(t *testing.T) {
	s, faults := faulty(t)
	f := befriend(t, s)
	for _, errno := range []syscall.Errno{
		unix.EAGAIN, unix.EBADF, unix.ECONNABORTED, unix.EFAULT, unix.EINTR, unix.EINVAL, unix.EMFILE, unix.ENFILE,
		unix.ENOBUFS, unix.ENOMEM, unix.ENOTSOCK, unix.EOPNOTSUPP, unix.EPERM, unix.EPROTO, unix.ENETDOWN,
		unix.ENOPROTOOPT, unix.EHOSTDOWN, unix.ENONET, unix.EHOSTUNREACH, unix.ENETUNREACH,
	} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			faults.Fail(unix.SYS_ACCEPT4, errno, -1)
			early := s.Dial(t) // may be accepted yet
			harness.Eventually(t, "accepting fails", func() bool { return faults.Failed() > 0 })
			c := s.Dial(t)
			c.Send("mn\n")
			switch errno {
			case unix.EAGAIN, unix.EINTR, unix.ECONNABORTED: // never last
			default:
				calm(t, faults, 3)
			}
			f.again(t)
			faults.Stop()
			c.Expect("MN")
			c.Close()
			early.Ask("mn", "MN")
			early.Close()
		})
	}
}

func TestWaitingFails(t *testing.T) {
	s, faults := faulty(t)
	s.SaysMore = true
	f := befriend(t, s)
	for _, errno := range []syscall.Errno{unix.EINTR, unix.EBADF, unix.EFAULT, unix.EINVAL} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			c := s.Dial(t)
			c.Ask("mn", "MN")
			faults.Fail(harness.EpollWait, errno, -1)
			harness.Eventually(t, "waiting fails", func() bool { return faults.Failed() > 0 })
			c.Send("mn\n")
			if errno != unix.EINTR {
				calm(t, faults, 3)
				if !strings.Contains(s.Stderr(), "epoll_wait") {
					t.Error("nothing is said about it")
				}
			}
			faults.Stop()
			c.Expect("MN")
			f.again(t)
			s.Dial(t).Ask("mn", "MN")
		})
	}
}

// TestReceivingFailsForNow has errors that pass: no connection is lost.
func TestReceivingFailsForNow(t *testing.T) {
	s, faults := faulty(t)
	f := befriend(t, s)
	for _, errno := range []syscall.Errno{unix.EINTR, unix.ENOMEM, unix.ENOBUFS} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			c := s.Dial(t)
			c.Ask("mn", "MN")
			faults.Fail(unix.SYS_RECVFROM, errno, -1)
			c.Send("mn\n")
			harness.Eventually(t, "receiving fails", func() bool { return faults.Failed() > 0 })
			if errno != unix.EINTR {
				calm(t, faults, 10)
			}
			faults.Stop()
			c.Expect("MN")
			f.again(t)
			// In the middle of a large value.
			value := strings.Repeat("v", 500_000)
			failed := make(chan struct{})
			go func() {
				fmt.Fprintf(c, "set large 0 0 %d\r\n%s", len(value), value[:300_000])
				<-failed
				io.WriteString(c, value[300_000:]+"\r\n")
			}()
			faults.Fail(unix.SYS_RECVFROM, errno, 20)
			harness.Eventually(t, "receiving fails", func() bool { return faults.Failed() == 20 })
			close(failed)
			c.Expect("STORED")
			if got, _ := c.Get("large"); got != value {
				t.Error("the value is not whole")
			}
		})
	}
}

// TestSendingFailsForNow has errors that pass: no connection and no byte is
// lost.
func TestSendingFailsForNow(t *testing.T) {
	s, faults := faulty(t)
	f := befriend(t, s)
	c := s.Dial(t)
	value := strings.Repeat("0123456789", 30_000)
	c.Set("large", value)
	c.Set("small", "s")
	for _, errno := range []syscall.Errno{unix.EINTR, unix.ENOBUFS, unix.ENOMEM} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			faults.Fail(unix.SYS_SENDTO, errno, -1)
			c.Send("get small large small\nmn\nget large\n%s", strings.Repeat("mg small v\n", 500))
			harness.Eventually(t, "sending fails", func() bool { return faults.Failed() > 0 })
			if errno != unix.EINTR {
				calm(t, faults, 10)
			}
			for range 5 { // fails now and then, while it is sent
				faults.Fail(unix.SYS_SENDTO, errno, 3)
				harness.Eventually(t, "sending fails again", func() bool { return faults.Failed() == 3 })
			}
			faults.Stop()
			c.Expect("VALUE small 0 1", "s", "VALUE large 0 300000", value, "VALUE small 0 1", "s", "END", "MN",
				"VALUE large 0 300000", value, "END")
			for range 500 {
				c.Expect("VA 1", "s")
			}
			f.again(t)
		})
	}
}

// TestConnectionsThatFail has errors that are the end of one connection, and
// of no other.
func TestConnectionsThatFail(t *testing.T) {
	for _, fault := range []struct {
		name   string
		call   int
		errnos []syscall.Errno
	}{
		{"recvfrom", unix.SYS_RECVFROM, []syscall.Errno{unix.EBADF, unix.ECONNREFUSED, unix.ECONNRESET, unix.EFAULT,
			unix.EINVAL, unix.ENOTCONN, unix.ENOTSOCK, unix.ETIMEDOUT, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EPIPE}},
		{"sendto", unix.SYS_SENDTO, []syscall.Errno{unix.EACCES, unix.EALREADY, unix.EBADF, unix.ECONNRESET,
			unix.EDESTADDRREQ, unix.EFAULT, unix.EINVAL, unix.EISCONN, unix.EMSGSIZE, unix.ENOTCONN, unix.ENOTSOCK,
			unix.EOPNOTSUPP, unix.EPIPE, unix.ETIMEDOUT, unix.EHOSTUNREACH, unix.ENETUNREACH}},
		{"epoll_ctl", unix.SYS_EPOLL_CTL, []syscall.Errno{unix.EBADF, unix.EEXIST, unix.EINVAL, unix.ELOOP, unix.ENOENT,
			unix.ENOMEM, unix.ENOSPC, unix.EPERM}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			s, faults := faulty(t)
			other := s.Dial(t)
			other.Set("a", "1")
			for _, errno := range fault.errnos {
				t.Run(unix.ErrnoName(errno), func(t *testing.T) {
					var c *harness.Conn
					if fault.call == unix.SYS_EPOLL_CTL { // when it is accepted
						faults.Fail(fault.call, errno, 1)
						c = s.Dial(t)
					} else {
						c = s.Dial(t)
						c.Ask("mn", "MN")
						faults.Fail(fault.call, errno, 1)
						c.Send("get a\n")
					}
					c.Closed()
					if n := faults.Failed(); n != 1 {
						t.Errorf("%d calls failed, not one", n)
					}
					if v, ok := other.Get("a"); !ok || v != "1" {
						t.Error("another connection is not served")
					}
					harness.Eventually(t, "the connection is forgotten", func() bool {
						return other.Stats("")["curr_connections"] == "1"
					})
				})
			}
		})
	}
}
