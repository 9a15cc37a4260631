package server

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync/atomic"

	"gomcd/cache"
	"gomcd/cache/offheap"
	"gomcd/sandbox"
	"gomcd/server/internal/passwd"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// Run serves until a signal ends it. The error, if any, may be an *ExitError.
func Run(cfg Config) error {
	// Signals that -A sends are for the main thread, which must be this goroutine's alone.
	runtime.LockOSThread()
	sandbox.QuietHeap()
	s := &Server{cfg: cfg, clock: newClock(), pid: os.Getpid(), mainTID: unix.Gettid()}
	s.tune.verbose.Store(int32(cfg.Verbose))
	s.tune.detail.Store(cfg.DetailEnabled)
	s.idleTimeout = uint32(cfg.IdleTimeout.Seconds())
	if err := s.parseModes(); err != nil {
		return err
	}
	if _, err := sandbox.CloseInherited(); err != nil {
		return fail(ExitOSErr, "closing inherited descriptors: %w", err)
	}
	if err := s.takeWithPrivileges(); err != nil {
		return err
	}
	signal.Ignore(unix.SIGPIPE)
	signals := s.catchSignals()
	if err := s.startPoller(); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	if err := offheap.LockFailed(); err != nil {
		warn("-k could not lock all memory: " + err.Error() + "; raise the limit on locked memory (ulimit -l, LimitMEMLOCK=)")
	}
	if cfg.Check {
		s.checkFiles()
		s.pidFile = writePIDFile("", s.pid)
	} else {
		s.writePorts()
		s.pidFile = writePIDFile(cfg.PIDFile, s.pid)
	}
	err := s.serve(signals)
	if errors.Is(err, errChecked) {
		return nil
	}
	if !s.serving {
		s.removePIDFile()
	}
	return err
}

// open makes everything that will be needed: descriptors and memory.
func (s *Server) open() error {
	s.limitTurns()
	var err error
	if s.stderr, err = newStderr(); err != nil {
		return fail(ExitFailure, "lines for stderr: %w", err)
	}
	if s.lines, err = s.stderr.newRing(); err != nil {
		return fail(ExitFailure, "lines for stderr: %w", err)
	}
	if err := s.listenUnix(); err != nil {
		return err
	}
	if err := s.openAuth(); err != nil {
		return err
	}
	if err := s.openStore(); err != nil {
		return err
	}
	s.setFactors(s.cfg.HotMaxFactor, s.cfg.WarmMaxFactor)
	if s.house, err = s.store.NewHandle(); err != nil {
		return err
	}
	s.houseLog.store = s.store
	if err := s.openWake(); err != nil {
		return err
	}
	if s.acceptor, err = newAcceptor(s); err != nil {
		return err
	}
	epfds := make([]int, s.cfg.Threads)
	for i := range epfds {
		if epfds[i], err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
			return fail(ExitOSErr, "epoll_create1: %w", err)
		}
		if err := s.watchWake(epfds[i]); err != nil {
			return err
		}
	}
	if err := s.limitFiles(); err != nil {
		return err
	}
	if s.auth != nil {
		if s.logins, err = newLogins(len(s.conns), uint32(s.cfg.AuthTimeout.Seconds())); err != nil {
			return fail(ExitFailure, "connections that have not logged in: %w", err)
		}
	}
	buffers := s.cfg.MaxConns*6 + 64
	if limit := s.cfg.ReadBufMemLimit; limit > 0 {
		buffers = int(max(limit/bufSize, int64(s.cfg.Threads)))
	}
	if s.pool, err = newPool(buffers, bufSize); err != nil {
		return fail(ExitFailure, "connection buffers: %w", err)
	}
	if err := s.openTLS(); err != nil {
		return fail(ExitFailure, "connections with TLS: %w", err)
	}
	if s.prefixes, err = newPrefixes(); err != nil {
		return fail(ExitFailure, "statistics by prefix: %w", err)
	}
	if err := s.openLogger(); err != nil {
		return fail(ExitFailure, "the logger: %w", err)
	}
	if err := s.metrics.open(); err != nil {
		return fail(ExitFailure, "metrics: %w", err)
	}
	for i, epfd := range epfds {
		h, err := s.store.NewHandle()
		if err != nil {
			return err
		}
		w, err := newWorker(s, i, epfd, h)
		if err != nil {
			return fail(ExitFailure, "worker %d: %w", i, err)
		}
		s.workers = append(s.workers, w)
	}
	for i, u := range s.udps {
		h, err := s.store.NewHandle()
		if err != nil {
			return err
		}
		if err := u.open(s, i, h); err != nil {
			return fail(ExitFailure, "serving %s: %w", u.name, err)
		}
	}
	return s.acceptor.watch()
}

// openLogger makes what serving watchers takes.
func (s *Server) openLogger() error {
	if !s.cfg.WatchEnabled {
		return nil
	}
	var err error
	if s.logger, err = s.newLogger(); err != nil {
		return err
	}
	if s.file != nil {
		s.logger.SetLast(s.file.Events)
	}
	if s.tls != nil {
		if s.tls.doorman.events, err = s.logger.NewRing(); err != nil {
			return err
		}
	}
	return s.observe(&s.houseLog, s.house)
}

// observe has a thread tell what it does with its handle.
func (s *Server) observe(l *eventLog, h *cache.Handle) (err error) {
	if s.logger != nil {
		l.ring, err = s.logger.NewRing()
		h.Observe(l)
	}
	return err
}

// openAuth reads the authentication file, if there is to be one.
func (s *Server) openAuth() error {
	if s.cfg.AuthFile == "" {
		return nil
	}
	lines, err := s.stderr.newRing()
	if err != nil {
		return fail(ExitFailure, "lines for stderr: %w", err)
	}
	format := passwd.Lines
	if s.cfg.SASL {
		format = passwd.Database
	}
	if s.auth, err = newAuth(s.cfg.path(s.cfg.AuthFile), format, &s.tune.verbose, lines); err != nil {
		return err
	}
	if !s.cfg.SASL {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		return fail(ExitOSErr, "the host's name, which belongs to the names of users: %w", err)
	}
	s.auth.realm = []byte("@" + host)
	return nil
}

// repliesInBuffer is how many replies memcached keeps in a buffer of 16 KiB
// until they are sent.
const repliesInBuffer = 13

// limitTurns sets how many commands a connection may have carried out in a
// turn, and how many of them, or keys of one of them, may be answered: with
// read_buf_mem_limit, what memcached has memory for. Here only the
// bytes of a reply are kept; but an operator who sets a limit wants it respected.
func (s *Server) limitTurns() {
	s.turnLimit, s.replyLimit = math.MaxInt, math.MaxInt
	if limit := s.cfg.ReadBufMemLimit; limit > 0 {
		// One of a thread's buffers is for input.
		buffers := int(limit)/s.cfg.Threads/bufSize - 1
		s.replyLimit = max(buffers, 1) * repliesInBuffer
		s.turnLimit = s.replyLimit
	}
	if s.cfg.ReqsGiven {
		s.turnLimit = s.cfg.ReqsPerEvent
	}
}

// openWake makes the pipe that wakes every thread when the server stops: its
// writing end is closed then. No thread needs write(2) for that.
func (s *Server) openWake() error {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return fail(ExitOSErr, "pipe2: %w", err)
	}
	s.wakeFD, s.wakeEnd = int32(p[0]), p[1]
	return nil
}

func (s *Server) watchWake(epfd int) error {
	ev := sys.PollEvent{Events: unix.EPOLLIN, Fd: s.wakeFD}
	if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, int(s.wakeFD), &ev); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// thread is one thread of the server.
type thread struct {
	role sandbox.Role
	name string
	run  func()
	// prepare, if set, is done before the sandbox closes around the thread.
	prepare func() error
	ended   atomic.Bool
}

// serve starts the threads, closes the sandbox around them, and waits for the
// signal that ends them.
func (s *Server) serve(signals signals) error {
	announces := s.announces()
	if err := s.replaceStandard(); err != nil {
		return err
	}
	box, err := s.newSandbox()
	if err != nil {
		return err
	}
	s.threads = []thread{
		{role: sandbox.Acceptor, name: "acceptor", run: s.acceptor.run},
		{role: sandbox.Housekeeper, name: "housekeeper", run: s.housekeeper},
		{role: sandbox.Stderr, name: "stderr", run: s.stderr.run, prepare: func() error { return s.stderr.detach(s.eventFD) }},
	}
	for i, w := range s.workers {
		s.threads = append(s.threads, thread{role: sandbox.Worker, name: fmt.Sprintf("worker-%d", i), run: w.run})
	}
	for i, u := range s.udps {
		s.threads = append(s.threads, thread{role: sandbox.UDP, name: fmt.Sprintf("udp-%d", i), run: u.run, prepare: u.detach})
	}
	if s.logger != nil {
		s.threads = append(s.threads, thread{role: sandbox.Logger, name: "logger", run: s.runLogger})
	}
	if s.auth != nil {
		s.threads = append(s.threads, thread{role: sandbox.Reloader, name: "reloader", run: s.auth.run, prepare: func() error { return s.auth.settle(s.eventFD) }})
	}
	if s.tls != nil {
		s.threads = append(s.threads,
			thread{role: sandbox.Doorman, name: "doorman", run: s.tls.doorman.run},
			thread{role: sandbox.Doorman, name: "doorman-keys", run: s.tls.keymaker.run})
		go s.collector.run()
	}
	if s.metrics != nil {
		s.threads = append(s.threads, thread{role: sandbox.Metrics, name: "metrics", run: s.metrics.run, prepare: s.metrics.detach})
	}
	gate := newGate(len(s.threads))
	prep := sandbox.Prepare(s.processors(), len(s.threads))
	for i := range s.threads {
		go s.threads[i].main(i, box, prep, gate)
	}
	prep.Finish()
	if err := gate.allPrepared(); err != nil {
		return fail(ExitFailure, "%w", err)
	}
	for _, u := range s.udps {
		unix.Close(u.fd) // its thread has it
	}
	if s.metrics != nil {
		unix.Close(s.metrics.fd)
	}
	if s.auth != nil {
		s.auth.leave()
	}
	if err := s.moveWaiters(); err != nil {
		return err
	}
	if err := s.fillDescriptors(); err != nil {
		return err
	}
	if err := box.OpenProof(); err != nil {
		return fail(ExitFailure, "%w", err)
	}
	if err := box.InstallBaseline(); err != nil {
		return fail(ExitFailure, "%w", err)
	}
	if err := gate.allConfined(); err != nil {
		return fail(ExitFailure, "%w", err)
	}
	// Processes that wait for the server are notified before main is confined for good,
	// too: afterwards it may not send. Clients that connect already wait for the gate.
	begin := func() error {
		if s.cfg.Check {
			Say(Notice, "would start: "+s.readiness("threads"))
			return errChecked
		}
		if err := s.beginMemoryFile(); err != nil {
			return err
		}
		s.tellWaiters()
		return nil
	}
	threads, err := box.Seal(begin)
	if err != nil {
		return fail(ExitFailure, "%w", err)
	}
	if err := s.beginFront(); err != nil {
		return err
	}
	s.serving = true
	if !s.cfg.LockMemory {
		sandbox.DropFilePages()
	}
	if s.cfg.TestPrivileges {
		startThread()
	}
	gate.open()
	if announces {
		s.say(Notice, s.readiness(strconv.Itoa(len(threads))+" threads"))
		defer func() {
			s.say(Notice, s.summary())
			s.stderr.flush()
		}()
	}
	return s.wait(signals)
}

// processors is how many processors the Go scheduler has: one for every thread in
// a role and two for the runtime's own. With fewer, a thread that returns from
// epoll_wait has to wait for one. More cost as much as they bring, so the logger,
// which has nothing to do without watchers, takes one of those two when there are
// some. (Go 1.25 would follow the cgroup's CPU limit.)
func (s *Server) processors() int {
	n := s.cfg.Threads + len(s.udps) + 4
	if s.metrics != nil {
		n++
	}
	if s.tls != nil {
		n++ // the doorman, when connections are many; the keymaker has next to nothing to do
	}
	return n
}

// main is what each thread does: it gets ready while everything is allowed,
// enters its role when the baseline is in force, and works when all have.
func (t *thread) main(i int, box *sandbox.Sandbox, prep *sandbox.Preparation, gate *gate) {
	runtime.LockOSThread()
	err := sandbox.SetThreadName(t.name)
	if err == nil {
		err = sandbox.BlockSignals()
	}
	if err == nil && t.prepare != nil {
		err = t.prepare()
	}
	if t.role == sandbox.Worker || t.role == sandbox.UDP {
		shortSlice()
	}
	prep.Thread()
	gate.enter(i, err, func() error { return box.EnterRole(t.role, t.name) })
	t.run()
	t.ended.Store(true)
	// A locked goroutine that ends takes its thread with it, which no thread
	// is allowed to clean up after.
	select {}
}
