package front

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gomcd/internal/pki"
	"gomcd/server/internal/handover"
	"gomcd/server/internal/tlstest"

	"golang.org/x/sys/unix"
)

// The front of a test is this test binary, started again with this in its environment.
const frontEnv = "GOMCD_TEST_FRONT"

// notBegun is a front that is not told to begin.
const notBegun = "not begun"

func TestMain(m *testing.M) {
	what, call, _ := strings.Cut(os.Getenv(frontEnv), ":")
	switch what {
	case "front", notBegun:
		os.Exit(Main(3))
	case "cache":
		os.Exit(cache(configArgument()))
	case "attack":
		os.Exit(attacked(call))
	case "attacker":
		os.Exit(attacker(configArgument(), call))
	}
	os.Exit(m.Run())
}

// configArgument is the configuration in the argument of this process.
func configArgument() (config Config) {
	if err := json.Unmarshal([]byte(os.Args[1]), &config); err != nil {
		panic(err)
	}
	return config
}

// encode is such an argument.
func encode(t testing.TB, config Config) string {
	t.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// patience is for what happens at once, but not on a machine that is busy.
const patience = 60 * time.Second

// served is what a connection came to that was handed over.
type served struct {
	handover.Session
	keepalive, nodelay, idle int // options of the socket
	err                      error
}

// fixture is a front, and the receiver of what it hands over.
type fixture struct {
	*Process
	testing.TB
	addrs    []string
	warnings []string
	done     chan served
	failures chan handover.Failure
	stopped  bool

	receiving sync.WaitGroup
}

// listen opens listeners as a server does.
func listen(n int) (fds []int, addrs []string, err error) {
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, nil, err
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return nil, nil, err
		}
		if err := unix.Listen(fd, 1024); err != nil {
			return nil, nil, err
		}
		sa, err := unix.Getsockname(fd)
		if err != nil {
			return nil, nil, err
		}
		fds = append(fds, fd)
		addrs = append(addrs, net.JoinHostPort("127.0.0.1", strconv.Itoa(sa.(*unix.SockaddrInet4).Port)))
	}
	return fds, addrs, nil
}

// launchTest starts a front as a server would.
func launchTest(config Config) (p *Process, warnings, addrs []string, err error) {
	return launchAs(config, "front")
}

func launchAs(config Config, what string) (p *Process, warnings, addrs []string, err error) {
	if len(config.Listeners) == 0 {
		config.Listeners = []Mode{Default}
	}
	fds, addrs, err := listen(len(config.Listeners))
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	p, warnings, err = Launch(self, []string{"front"}, []string{frontEnv + "=" + what}, config, fds, -1)
	if err == nil && what != notBegun {
		err = p.Begin()
	}
	return p, warnings, addrs, err
}

// newFixture starts a front whose connections are served, once receive is called.
func newFixture(t testing.TB, config Config) *fixture {
	t.Helper()
	p, warnings, addrs, err := launchTest(config)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Process: p, TB: t, addrs: addrs, warnings: warnings, done: make(chan served, 1000),
		failures: make(chan handover.Failure, 100)}
	t.Cleanup(func() {
		f.stop()
		// Who still receives would receive from the next front, whose channel gets the number.
		_ = unix.Shutdown(p.Channel, unix.SHUT_RDWR)
		f.receiving.Wait()
		unix.Close(p.Channel)
	})
	return f
}

func startFront(t testing.TB, config Config) *fixture {
	t.Helper()
	f := newFixture(t, config)
	f.receiving.Go(f.receive)
	return f
}

func (f *fixture) stop() {
	f.Helper()
	if f.stopped {
		return
	}
	f.stopped = true
	if status, err := f.Stop(); err != nil || !status.Exited() || status.ExitStatus() != 0 {
		f.Errorf("the front ended with status %v, %v", status, err)
	}
}

// receive serves what is handed over.
func (f *fixture) receive() {
	r := handover.NewReceiver(f.Channel)
	for {
		fd, s, err := r.Receive()
		var failure *handover.Failure
		if errors.As(err, &failure) {
			select {
			case f.failures <- *failure:
			default:
			}
			continue
		}
		if err != nil {
			if err != handover.ErrEnd {
				f.done <- served{err: err}
			}
			return
		}
		go func() { f.done <- serveOne(fd, s) }()
	}
}

// serveOne serves one connection: what comes goes back in upper case.
func serveOne(fd int, session handover.Session) served {
	s := served{Session: session}
	s.keepalive, _ = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
	s.nodelay, _ = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY)
	s.idle, _ = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
	file := os.NewFile(uintptr(fd), "connection")
	defer file.Close()
	c, err := net.FileConn(file)
	if err != nil {
		s.err = err
		return s
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	ch, err := tlstest.NewChannel(c, &s.Client, &s.Server)
	if err == nil {
		err = tlstest.Serve(ch)
	}
	s.err = err
	return s
}

// until waits for a condition.
func (f *fixture) until(what string, ok func() bool) {
	f.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			f.Fatalf("waited in vain for %s; %+v", what, f.Shared.Counters())
		}
		time.Sleep(time.Millisecond)
	}
}

// served waits until a client is served, which on a busy machine may be slower than the
// grace at first.
func (f *fixture) served(client *tls.Config) {
	f.Helper()
	f.until("a client to be served", func() bool {
		c, err := dial(f.addrs[0], client)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// evicts fails if nobody has lost a place to others.
func (f *fixture) evicts() {
	f.Helper()
	if f.Shared.Counters().Evicted == 0 {
		f.Error("nobody lost a place")
	}
}

// next is the next value of a channel.
func next[T any](t testing.TB, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("no %T has come", v)
	}
	return v
}

// dial connects as crypto/tls does, and says something that comes back.
func dial(addr string, config *tls.Config) (*tls.Conn, error) {
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = raw.SetDeadline(time.Now().Add(patience))
	c := tls.Client(raw, config)
	if err := ask(c, "hello"); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func ask(c *tls.Conn, text string) error {
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) == text {
		return fmt.Errorf("%q came back", got)
	}
	return nil
}

// visit connects, is served, and ends; it returns what the receiver saw.
func (f *fixture) visit(addr string, config *tls.Config) served {
	f.Helper()
	c, err := dial(addr, config)
	if err != nil {
		f.Fatalf("%v; %+v", err, f.Shared.Counters())
	}
	defer c.Close()
	if err := c.CloseWrite(); err != nil {
		f.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		f.Fatalf("the server's end: %v", err)
	}
	s := next(f, f.done)
	if s.err != nil {
		f.Fatal(s.err)
	}
	return s
}

// configOf is a configuration with a certificate of the authority's.
func configOf(t testing.TB, ca *pki.Authority, kind string) Config {
	t.Helper()
	c := Defaults()
	c.Chain, c.Key = pki.Files(t, ca.Issue(t, kind, "server", nil))
	c.CA = pki.CAFile(t, ca)
	c.SessionCache = true
	return c
}

// replace puts one file in the place of another, as rename does.
func replace(t testing.TB, old, with string) {
	t.Helper()
	b, err := os.ReadFile(with)
	if err != nil {
		t.Fatal(err)
	}
	put(t, old, string(b))
}

func put(t testing.TB, name, text string) {
	t.Helper()
	fresh := filepath.Join(filepath.Dir(name), "fresh")
	if err := os.WriteFile(fresh, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, name); err != nil {
		t.Fatal(err)
	}
}
