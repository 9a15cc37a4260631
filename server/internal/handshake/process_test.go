package handshake

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"gomcd/server/internal/handover"
	"gomcd/server/internal/record"

	"golang.org/x/sys/unix"
)

// The front of TestTwoProcesses is this test binary, started again with this in its
// environment: the files of its certificate and of its key. Its descriptor 3 is the
// socket to the other process, and 4 the listener.
const frontEnv = "GOMCD_TEST_FRONT"

func TestMain(m *testing.M) {
	if cert, key, ok := strings.Cut(os.Getenv(frontEnv), ":"); ok {
		fmt.Fprintln(os.Stderr, "front:", front(cert, key))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// front shakes hands and hands over, until it is killed.
func front(certFile, keyFile string) error {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	s, err := New(&tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return err
	}
	l, err := net.FileListener(os.NewFile(4, "listener"))
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		go func() {
			defer c.Close()
			if session, err := s.Handshake(c); err == nil {
				_ = pass(3, c.(*net.TCPConn), &session)
			}
		}()
	}
}

// pass sends a connection and its session on a socket.
func pass(socket int, c *net.TCPConn, s *handover.Session) error {
	defer s.Wipe()
	s.Listener = 7
	var b [handover.Size]byte
	s.Encode(&b)
	defer clear(b[:])
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	if err := raw.Control(func(fd uintptr) {
		sent = unix.Sendmsg(socket, b[:], unix.UnixRights(int(fd)), nil, 0)
	}); err != nil {
		return err
	}
	return sent
}

// receive takes a connection and its session from a socket.
func receive(socket int) (net.Conn, handover.Session, error) {
	b, oob := make([]byte, handover.Size+1), make([]byte, unix.CmsgSpace(4))
	n, oobn, flags, _, err := unix.Recvmsg(socket, b, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, handover.Session{}, err
	}
	if flags&unix.MSG_CTRUNC != 0 {
		return nil, handover.Session{}, errors.New("not one descriptor")
	}
	cmsgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(cmsgs) != 1 {
		return nil, handover.Session{}, fmt.Errorf("%d control messages, %v", len(cmsgs), err)
	}
	fds, err := unix.ParseUnixRights(&cmsgs[0])
	if err != nil || len(fds) != 1 {
		return nil, handover.Session{}, fmt.Errorf("%d descriptors, %v", len(fds), err)
	}
	f := os.NewFile(uintptr(fds[0]), "connection")
	defer f.Close()
	s, err := handover.Decode(b[:n])
	clear(b)
	if err != nil {
		return nil, s, err
	}
	c, err := net.FileConn(f)
	return c, s, err
}

// Handshakes are done by one process, and the connections served by another, which never
// has the certificate's key: with crypto/tls's client and openssl, both versions,
// resumed and not.
func TestTwoProcesses(t *testing.T) {
	ca := newAuthority(t, "CA")
	certFile, keyFile := files(t, ca.issue(t, "ECDSA", "server", nil))
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), frontEnv+"="+certFile+":"+keyFile)
	theirs := os.NewFile(uintptr(pair[1]), "front")
	cmd.ExtraFiles = []*os.File{theirs, listener}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(errs.String())
		}
	}()
	theirs.Close()
	listener.Close()
	addr := l.Addr().String()
	l.Close() // the front alone accepts

	type seen struct {
		handover.Session
		err error
	}
	done := make(chan seen, 100)
	go func() {
		for {
			c, s, err := receive(pair[0])
			if err != nil {
				done <- seen{err: err}
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				ch, err := newChannel(c, &s.Client, &s.Server)
				if err == nil {
					err = serve(ch)
				}
				done <- seen{s, err}
			}()
		}
	}()
	check := func(resumed bool) {
		t.Helper()
		if s := <-done; s.err != nil || s.Listener != 7 || s.Peer.Family != handover.IPv4 || s.Resumed != resumed {
			t.Errorf("%v, listener %d, peer %v, resumed %v", s.err, s.Listener, s.Peer, s.Resumed)
		}
	}

	for _, v := range []uint16{record.TLS12, record.TLS13} {
		config := &tls.Config{RootCAs: ca.pool, ServerName: "localhost", MaxVersion: v, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		for i := range 10 {
			c, err := tls.Dial("tcp", addr, config)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			text := strings.Repeat("hello ", 1<<i)
			if _, err := io.WriteString(c, text); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(text))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != strings.ToUpper(text) {
				t.Fatalf("connection %d: %d bytes come back as %q, %v", i, len(text), got, err)
			}
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(got); err != io.EOF {
				t.Errorf("the server's end: %v", err)
			}
			c.Close()
			check(i > 0)
		}
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		_, port, _ := net.SplitHostPort(addr)
		c := openssl(t, port, version, "-CAfile", caFile(t, ca))
		c.ask("hello")
		_ = c.in.Close()
		check(false)
	}
}
