package differential

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Target is a server that streams are sent to, on a unix socket: only there
// does the kernel tell what the other side has taken.
type Target struct {
	Path  string
	Gomcd bool

	sent    uint64   // counts streams, for their prefixes
	control net.Conn // on which keys are removed
}

// patience is how long a server may take to answer a stream, or to take what
// is sent to it. It is never waited for in full unless the server hangs.
const patience = time.Minute

// Open connects to the server and has it give out the first CAS numbers, so
// that none of those to be compared is one that clients think of.
func (t *Target) Open() error {
	var err error
	if t.control, err = net.Dial("unix", t.Path); err != nil {
		return err
	}
	return t.do(bytes.Repeat([]byte("set warm 0 0 1 noreply\r\nx\r\n"), 50))
}

// Close ends what Open began.
func (t *Target) Close() { t.control.Close() }

// do carries out commands on the control connection, whatever the answers.
func (t *Target) do(commands []byte) error {
	t.control.SetDeadline(time.Now().Add(patience))
	if _, err := t.control.Write(append(commands, "mn\r\n"...)); err != nil {
		return fmt.Errorf("removing keys: %w", err)
	}
	var tail []byte
	b := make([]byte, 64<<10)
	for !bytes.HasSuffix(tail, []byte("MN\r\n")) {
		n, err := t.control.Read(b)
		if err != nil {
			return fmt.Errorf("removing keys: %w", err)
		}
		tail = append(tail, b[:n]...)
		tail = tail[max(0, len(tail)-4):]
	}
	return nil
}

// remove removes what earlier streams may have left under these keys.
func (t *Target) remove(keys [][]byte) error {
	if len(keys) == 0 {
		return nil
	}
	var b []byte
	for _, k := range keys {
		b = fmt.Appendf(b, "delete %s noreply\r\nmd %s b q\r\n", k, k)
	}
	return t.do(b)
}

// name is a prefix for a stream's keys that no stream had before.
func (t *Target) name() string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
	name := []byte("+000000+")
	for i, n := 6, t.sent; i > 0; i, n = i-1, n>>5 {
		name[i] = digits[n&31]
	}
	t.sent++
	return string(name)
}

// Answer sends a stream and returns all that the server answers. The stream
// is followed by a command of its own, whose answer shows whether the
// connection is still served.
func (t *Target) Answer(s Stream, cut Cut) (Answer, error) {
	if err := t.remove(s.strays()); err != nil {
		return Answer{}, err
	}
	nc, err := net.Dial("unix", t.Path)
	if err != nil {
		return Answer{}, err
	}
	c := nc.(*net.UnixConn)
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	type result struct {
		b   []byte
		err error
	}
	received := make(chan result, 1)
	go func() {
		b, err := io.ReadAll(c)
		received <- result{b, err}
	}()
	name := t.name()
	s.Commands = append(slices.Clone(s.Commands), []byte(probe))
	commands := s.under(name)
	if err := send(c, cut.pieces(commands, rand.New(rand.NewPCG(s.Seed, uint64(cut))))); err != nil {
		return Answer{}, err
	}
	c.CloseWrite()
	r := <-received
	if r.err != nil && !errors.Is(r.err, syscall.ECONNRESET) {
		return Answer{}, fmt.Errorf("receiving the answers (have %.300q): %w", r.b, r.err)
	}
	return newAnswer(r.b, name, t.Gomcd), nil
}

// send sends the pieces, each when the server has taken the one before. It
// stops when the server has closed the connection.
func send(c *net.UnixConn, pieces [][]byte) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	for _, p := range pieces {
		if _, err := c.Write(p); err != nil {
			return unlessClosed(err)
		}
		deadline := time.Now().Add(patience)
		for spins := 0; ; spins++ {
			var left int
			var err error
			raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
			if err != nil || left == 0 || len(pieces) == 1 {
				break
			}
			if spins < 50 {
				runtime.Gosched()
				continue
			}
			time.Sleep(20 * time.Microsecond)
			if time.Now().After(deadline) {
				return fmt.Errorf("the server does not take what is sent: %w", os.ErrDeadlineExceeded)
			}
		}
	}
	return nil
}

// unlessClosed returns an error that is not due to the server closing the
// connection.
func unlessClosed(err error) error {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return fmt.Errorf("sending: %w", err)
}
