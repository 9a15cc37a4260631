package front

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gomcd/sandbox"
	"gomcd/server/internal/handover"
	"gomcd/server/internal/handshake"

	"golang.org/x/sys/unix"
)

// Front serves: see [Open] and [Front.Run].
type Front struct {
	config    Config
	chain     file
	key       file
	ca        file
	shared    *Shared
	channel   *os.File
	toChannel syscall.RawConn
	listeners []*listener
	syslog    int // a connection to the system log, -1 without
	places    *places
	box       *sandbox.Sandbox // if it audits, nil otherwise
	failures  failures
	waiting   chan struct{} // one value for each connection that waits for the channel

	servers atomic.Pointer[servers]
	mu      sync.Mutex // of what servers are made of
	tickets tickets
	certs   *certificates

	done chan struct{} // closed at the end
	once sync.Once
	err  error // why it ended, once done is closed
}

// servers shake hands, each as listeners of one mode do.
type servers map[Mode]*handshake.Server

// listener is a listening socket that does not block.
type listener struct {
	*os.File
	raw   syscall.RawConn
	index uint16
	mode  Mode
}

// maxListeners is how many listeners there can be: as many descriptors fit into a
// message (SCM_MAX_FD), less the memory file and the system log's socket.
const maxListeners = 251

// Open loads the certificates and prepares to serve. listeners, channel and syslog, which
// is -1 without, are descriptors that it takes over. What is worth a warning is returned with it. An error
// of the configuration is a *[ConfigError].
func Open(config Config, listeners []int, channel, syslog int, shared *Shared) (*Front, []string, error) {
	if err := config.check(); err != nil {
		return nil, nil, err
	}
	if len(listeners) != len(config.Listeners) {
		return nil, nil, fmt.Errorf("%d listeners, and %d modes of them", len(listeners), len(config.Listeners))
	}
	f := &Front{
		config: config, shared: shared, syslog: syslog, done: make(chan struct{}),
		places: newPlaces(config.Handshakes, config.Grace), waiting: make(chan struct{}, config.Waiting),
	}
	for _, p := range []struct {
		name *string
		to   *file
	}{{&f.config.Chain, &f.chain}, {&f.config.Key, &f.key}, {&f.config.CA, &f.ca}} {
		if *p.name == "" {
			continue
		}
		var err error
		if *p.name, err = filepath.Abs(*p.name); err != nil {
			return nil, nil, err
		}
		if *p.to, err = pin(*p.name); err != nil {
			return nil, nil, err
		}
	}
	f.tickets.rotate()
	certs, err := load(&f.config, f.chain, f.key, f.ca)
	if err == nil {
		err = f.use(certs)
	}
	if err != nil {
		return nil, nil, err
	}
	shared.loaded(certs)

	if f.channel, f.toChannel, err = polled(channel, "channel"); err != nil {
		return nil, nil, err
	}
	if err := unix.SetsockoptInt(channel, unix.SOL_SOCKET, unix.SO_SNDBUF, channelBuffer); err != nil {
		return nil, nil, fmt.Errorf("channel: %w", err)
	}
	for i, fd := range listeners {
		l := &listener{index: uint16(i), mode: config.Listeners[i]}
		if l.File, l.raw, err = polled(fd, "listener"); err != nil {
			return nil, nil, err
		}
		f.listeners = append(f.listeners, l)
	}
	return f, certs.warnings, nil
}

// channelBuffer is for some dozen messages, in bytes: what waits in the kernel has
// keys in it.
const channelBuffer = 16 << 10

// polled has the Go runtime's poller wait for a descriptor.
func polled(fd int, name string) (*os.File, syscall.RawConn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	file := os.NewFile(uintptr(fd), name)
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return file, raw, file.SetDeadline(time.Time{}) // an error if it cannot be polled
}

// use has handshakes use certificates from now on.
func (f *Front) use(certs *certificates) error {
	ids, err := suites(f.config.Ciphers, f.config.MinVersion)
	if err != nil {
		return err
	}
	all := servers{}
	for _, m := range modes {
		c := &tls.Config{
			Certificates: []tls.Certificate{certs.own}, MinVersion: f.config.minVersion(), CipherSuites: ids,
			// Never the system's authorities, which nil would mean.
			ClientAuth: f.config.clientAuth(m), ClientCAs: certs.clients,
			SessionTicketsDisabled: !f.config.SessionCache,
		}
		c.SetSessionTicketKeys(f.tickets.keys)
		if all[m], err = handshake.New(c); err != nil {
			return &ConfigError{loadingChain, f.chain.name, err}
		}
	}
	f.certs = certs
	f.servers.Store(&all)
	return nil
}

// Run waits for [Process.Begin], and then serves until the other end of the channel is
// closed, which is nil, or the channel cannot be used. Clients that connect before wait in
// the listeners' backlogs: the other process may still fail to start.
func (f *Front) Run() error {
	if begun, err := f.hear(); !begun {
		return err
	}
	var running sync.WaitGroup
	for _, l := range f.listeners {
		running.Go(func() { f.accept(l) })
	}
	running.Go(f.rotate)
	if f.box != nil {
		running.Go(f.audit)
	}
	f.end(f.listen())
	running.Wait()
	return f.err
}

// end ends the front.
func (f *Front) end(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.done)
		// Goroutines that wait on them go on. The end of the process closes them.
		_ = f.channel.SetDeadline(time.Now())
		for _, l := range f.listeners {
			_ = l.SetDeadline(time.Now())
		}
	})
}

// listen waits for requests on the channel, until its other end is closed.
func (f *Front) listen() error {
	for {
		if asked, err := f.hear(); !asked {
			return err
		}
		f.reload()
	}
}

// hear waits for a byte on the channel. It returns false if its other end is closed, or
// with an error if it cannot be used.
func (f *Front) hear() (bool, error) {
	var b [1]byte
	n, err := 0, error(nil)
	err2 := f.toChannel.Read(func(fd uintptr) bool {
		n, _, err = unix.Recvfrom(int(fd), b[:], unix.MSG_DONTWAIT)
		return err != unix.EAGAIN && err != unix.EINTR
	})
	switch {
	case f.ended(), err == unix.ECONNRESET:
		return false, nil
	case err2 != nil:
		return false, err2
	case err != nil:
		return false, fmt.Errorf("receiving from the cache: %w", err)
	}
	return n > 0, nil
}

func (f *Front) ended() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// reload loads certificates again if that was asked for. If they are not right the
// former stay.
func (f *Front) reload() {
	request, ok := f.shared.asked()
	if !ok {
		return
	}
	certs, err := load(&f.config, f.chain, f.key, f.ca)
	if err == nil {
		f.mu.Lock()
		err = f.use(certs)
		f.mu.Unlock()
	}
	if err != nil {
		f.shared.answer(request, false, err.Error())
		return
	}
	f.shared.loaded(certs)
	f.shared.answer(request, true, strings.Join(certs.warnings, "; "))
}

// rotate changes the keys of session tickets now and then.
func (f *Front) rotate() {
	t := time.NewTicker(ticketsEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			f.mu.Lock()
			f.tickets.rotate()
			_ = f.use(f.certs) // they were good before
			f.mu.Unlock()
		case <-f.done:
			return
		}
	}
}

// accept takes connections from a listener.
func (f *Front) accept(l *listener) {
	for !f.ended() {
		var fd int
		var from syscall.Sockaddr
		var err error
		if l.raw.Read(func(at uintptr) bool {
			fd, from, err = syscall.Accept4(int(at), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			return err != unix.EAGAIN
		}) != nil {
			return // the front ends
		}
		switch err {
		case nil:
		case unix.EINVAL, unix.EBADF, unix.ENOTSOCK, unix.EOPNOTSUPP:
			f.end(fmt.Errorf("listener %d: %w", l.index, err))
			return
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			f.shared.count(wPaused)
			f.places.evict(time.Now())
			time.Sleep(shortage)
			continue
		default:
			continue // the client is gone, or the network was down
		}
		f.shared.count(wAccepted)
		c, err := newConn(fd, from)
		if err != nil {
			c.Close()
			continue
		}
		s := f.places.enter(c, f.done)
		if s == nil {
			c.Close()
			return
		}
		go f.serve(l, s)
	}
}

// serve shakes hands with a client and hands it over.
func (f *Front) serve(l *listener, s *shake) {
	c := s.c
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(f.config.Deadline))
	if f.shared.full() {
		f.turnAway(s)
		return
	}
	var session handover.Session
	defer session.Wipe()
	err := (*f.servers.Load())[l.mode].Handshake(c, &session)
	var failed *handshake.Error
	if errors.As(err, &failed) && failed.Sent {
		c.refuse()
	}
	evicted := f.places.finish(s)
	if err != nil {
		f.places.leave()
		reason := failed.Kind
		if evicted {
			reason = Evicted
		}
		f.failed(c, reason)
		return
	}
	select {
	case f.waiting <- struct{}{}:
		f.places.leave()
	case <-f.done:
		return
	}
	defer func() { <-f.waiting }()
	word := wNew
	if session.Resumed {
		word = wResumed
	}
	f.shared.count(word)
	session.Listener = l.index
	f.shared.count(wHandedOver) // before the client can be answered; if it fails, the front ends
	switch err := c.handover(f.toChannel, &session); {
	case err == nil:
	case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET), f.ended():
		f.end(nil)
	default:
		f.end(fmt.Errorf("handing a connection over: %w", err))
	}
}

// TooMany is what a client is sent when there are too many connections, as by memcached.
const TooMany = "ERROR Too many open connections\r\n"

// turnAway refuses a client because there are too many connections: as memcached does,
// without a handshake, which would only take time from those that are served.
func (f *Front) turnAway(s *shake) {
	f.shared.count(wRefused)
	if _, err := s.c.Write([]byte(TooMany)); err == nil {
		s.c.refuse()
	}
	f.places.finish(s)
	f.places.leave()
}
