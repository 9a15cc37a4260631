package server

import (
	"errors"
	"time"

	"gomcd/protocol"
	"gomcd/server/internal/events"
	"gomcd/server/internal/front"
	"gomcd/server/internal/handover"
	"gomcd/server/internal/record"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// doorman is the thread that takes connections from the front. It makes of the session
// keys that come with each what its records are opened and sealed with, and gives the
// connection to a worker as the acceptor does. It is the only thread besides the
// keymaker that allocates on the Go heap.
type doorman struct {
	usher
	lines    *lineRing    // for stderr
	events   *events.Ring // nil without watchers
	receiver *handover.Receiver
	text     []byte // a line is put together here

	// What the front says is reported some times a second at most: an attacker who
	// controls it must not fill the log.
	came     time.Time // when the message at hand came
	failures handover.Limiter
	faults   handover.Limiter
}

// reportsPerSecond is how many failures, and how many faults, are reported in a second. What
// the front sent in two seconds can come in one.
const reportsPerSecond = 2 * front.FailuresPerSecond

// messageSize is how much of the Go heap receiving a message takes, in bytes.
const messageSize = 256

func (d *doorman) open(s *Server) (err error) {
	if d.usher, err = newUsher(s); err != nil {
		return err
	}
	if s.tls.front != nil {
		d.receiver = handover.NewReceiver(s.tls.front.Channel)
	}
	d.text = make([]byte, 0, 256)
	d.lines, err = s.stderr.newRing()
	return err
}

// run takes connections until the server stops or the front ends.
func (d *doorman) run() {
	for more := true; more && !d.srv.stopping.Load(); {
		more = d.next()
		// It waits for the next connection in memory that has no keys of the last.
		record.WipeStack()
	}
}

// next waits for a message of the front, and does what it says. It returns false if the
// front has ended. Keys are in frames below run's only.
//
//go:noinline
func (d *doorman) next() bool {
	s := d.srv
	fd, session, err := d.receiver.Receive()
	d.came = time.Now()
	s.collector.litter(messageSize)
	var errno unix.Errno
	var failure *handover.Failure
	switch {
	case err == nil:
		if !d.admit(int32(fd), &session) {
			s.tls.front.Shared.Count(-1)
		}
		session.Wipe()
	case errors.As(err, &failure):
		d.handshakeFailed(failure)
	case err == handover.ErrEnd, errors.As(err, &errno):
		if !s.stopping.Load() {
			s.tls.lost <- struct{}{}
		}
		return false
	case err == handover.ErrRights:
		// No descriptor was free for it, or the front sent none.
		s.rejectedConns.Add(1)
		s.tls.front.Shared.Count(-1)
		d.refused()
		sys.Nap(sys.Shortage)
	default:
		d.blame(err.Error())
	}
	return true
}

// awaitRoom waits, if connections beyond -c have to wait for others to close: those that
// come wait here, in the channel and in the front.
func (d *doorman) awaitRoom() {
	s := d.srv
	if !s.mustWait() {
		return
	}
	began := s.pauses()
	for s.mustWait() && !s.stopping.Load() {
		sys.Nap(acceptPause * 1000)
	}
	s.resumes(began)
}

// admit gives a connection to a worker, and returns whether it is served. What the front
// says of it was checked, but for which listener it came from.
func (d *doorman) admit(fd int32, from *handover.Session) bool {
	s := d.srv
	if int(from.Listener) >= len(s.tls.numbers) {
		d.blame("a connection of a listener that it does not have")
		sys.CloseFD(fd)
		return false
	}
	d.awaitRoom()
	full := s.mustRefuse()
	if !d.claim(fd) {
		return false
	}
	if err := s.tls.begin(fd, from); err != nil {
		d.blame(err.Error())
		s.tls.sessions[fd].wiped()
		sys.CloseFD(fd)
		return false
	}
	s.collector.litter(2 * aeadSize)
	if !d.handOver(fd, s.sealedPeer(from), full) {
		s.tls.sessions[fd].wiped()
	}
	return !full
}

// aeadSize is how much of the Go heap an AEAD takes, in bytes: one of AES-GCM.
const aeadSize = 1280

// sealedPeer is whom a connection is with that the front has shaken hands on.
func (s *Server) sealedPeer(from *handover.Session) peer {
	number := s.tls.numbers[from.Listener]
	p := addressed(&from.Peer)
	p.listener, p.proto, p.sealed = number, s.listeners[number].proto, true
	return p
}

// addressed is a peer with the address that the front gives.
func addressed(from *handover.Peer) peer {
	p := peer{port: from.Port, addr: from.Addr}
	switch from.Family {
	case handover.IPv4:
		p.family = familyInet4
	case handover.IPv6:
		p.family = familyInet6
	}
	return p
}

// begin makes a connection's session.
func (t *tls) begin(fd int32, from *handover.Session) error {
	s, c := &t.sessions[fd], ciphers{}
	err := s.reader.Init(&from.Client)
	if err == nil {
		err = s.writer.Init(&from.Server)
	}
	if err == nil {
		c.open, err = s.reader.AEAD()
	}
	if err == nil {
		c.seal, err = s.writer.AEAD()
	}
	t.ciphers[fd], t.suites[fd], t.names[fd] = c, from.Client.Suite, from.Name
	return err
}

// handshakeFailed reports a handshake that failed to watchers, and with -v logs it.
func (d *doorman) handshakeFailed(f *handover.Failure) {
	s := d.srv
	why, ok := front.FailureText(f.Reason)
	if !ok {
		d.blame("a failure without a reason")
		return
	}
	d.failures.Miss(f.Unreported)
	unreported, ok := d.failures.Report(d.came, reportsPerSecond)
	if !ok {
		return
	}
	text := appendMissed(append(d.text[:0], why...), unreported)
	p := addressed(&f.Peer)
	if d.events != nil && s.store.Watched(events.Connections) {
		e := events.Entry{Kind: events.HandshakeError, FD: -1, Family: uint8(p.family), Port: p.port}
		d.events.Put(&e, append(p.addr[:len(p.addr):len(p.addr)], text...))
	}
	if s.verbose() > 0 {
		line := p.appendTo(append(make([]byte, 0, 256), "gomcd: TLS handshake failed: "...), "tcp")
		d.lines.say(Info, append(append(line, ": "...), text...))
	}
}

// appendMissed adds how many reports were not made before.
func appendMissed(text []byte, n uint32) []byte {
	if n == 0 {
		return text
	}
	text = append(text, "; "...)
	text = protocol.AppendUint(text, uint64(n))
	return append(text, " others before were not reported"...)
}

// blame logs what is wrong with a message of the front.
func (d *doorman) blame(text string) { d.fault(Error, "from the TLS front: ", text) }

// refused logs with -v that a connection came without its descriptor.
func (d *doorman) refused() {
	if d.srv.verbose() > 0 {
		d.fault(Warning, "Too many open connections", "")
	}
}

// fault logs a line, if there were not too many in this second.
func (d *doorman) fault(p Priority, head, text string) {
	if n, ok := d.faults.Report(d.came, reportsPerSecond); ok {
		d.lines.say(p, appendMissed(append(append(append(d.text[:0], "gomcd: "...), head...), text...), n))
	}
}
