package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A filter cannot be taken off again, so whatever installs one runs in a
// process of its own: this test binary once more, which then runs one of
// children instead of the tests.

const childEnv = "SANDBOX_TEST_CHILD"

var children = map[string]func(o options){}

// options is what a test asks of a child.
type options struct {
	Modes, Role    string
	Nr             uint64
	Args           [6]uint64
	Kind           string
	Count          int
	Shutdown       bool
	TestPrivileges bool
	AsyncPreempt   bool
	GreenTea       bool
	Locks          bool
	UID            int
	Allow          []Allowance
	Syslog         bool // descriptor 3 is the system log
	Dir            string
	Memory         bool   // there is a memory file
	Reload         string // the reloader's directory; without, a booted process has one for /
}

func init() {
	if os.Getenv(childEnv) != "" {
		runtime.LockOSThread() // main stays on the main thread
	}
}

func TestMain(m *testing.M) {
	name := os.Getenv(childEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	var o options
	if err := json.Unmarshal([]byte(os.Args[1]), &o); err != nil {
		panic(err)
	}
	children[name](o)
	os.Exit(0)
}

// result is how a child ended.
type result struct {
	stdout, stderr string
	status         int // -1 if a signal ended it
	signal         unix.Signal
}

func command(t testing.TB, child string, o options) *exec.Cmd {
	t.Helper()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], string(raw))
	debug := "GODEBUG=gcshrinkstackoff=1"
	if !o.AsyncPreempt {
		debug += ",asyncpreemptoff=1"
	}
	cmd.Env = append(os.Environ(), childEnv+"="+child, debug)
	return cmd
}

func run(t testing.TB, child string, o options) result {
	t.Helper()
	return finish(t, command(t, child, o))
}

func finish(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := start(t, cmd)()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	status := cmd.ProcessState.Sys().(interface{ Signal() unix.Signal })
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), status.Signal()}
}

// start starts a child and returns what waits for its end. A child that hangs
// is killed.
func start(t testing.TB, cmd *exec.Cmd) func() error {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hangs := time.AfterFunc(5*time.Minute, func() { cmd.Process.Kill() })
	return func() error {
		defer hangs.Stop()
		return cmd.Wait()
	}
}

func (r result) String() string {
	return fmt.Sprintf("status %d, signal %d\nstdout: %s\nstderr: %s", r.status, r.signal, r.stdout, r.stderr)
}

// must ends a child on an error.
func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(99)
	}
}

// The descriptors of a test process.
const (
	testEpoll    = 11
	testPIDDir   = 12
	testOwnEpoll = 13
	testReload   = 14 // and the next
	testMemory   = 16 // and its metadata
	testStatus   = 18
	testWake     = 19
	testUDP      = 20
	testChannel  = 21
	testListener = 22 // above what the thread metrics has in its own table
	testFirst    = 32
	testClient   = 40
	testEnd      = 128
)

func testParams(o options) Params {
	if o.Modes == "" {
		o.Modes = "enforce"
	}
	modes, err := ParseModes(o.Modes)
	must(err)
	p := Params{
		Modes:     modes,
		ListenFDs: []int{testListener}, WorkerEpollFDs: []int{testEpoll}, UDPFDs: []int{testUDP},
		FirstClientFD: testFirst, EndClientFD: testEnd,
		PID: os.Getpid(), MainTID: unix.Gettid(),
		Shutdown: o.Shutdown, TestPrivileges: o.TestPrivileges, AsyncPreempt: o.AsyncPreempt, GreenTea: o.GreenTea,
		StatusFD: testStatus, WakeFD: testWake, ChannelFD: testChannel, FrontPID: os.Getpid(),
		PIDDirFD: -1, SyslogFD: -1, Allow: o.Allow, Watch: true, Metrics: true,
	}
	if o.Syslog {
		p.SyslogFD = 3
	}
	if o.Dir != "" {
		p.PIDDirFD, p.PIDNameAt = testPIDDir, 1<<20
	}
	if o.Memory {
		p.MemoryFD, p.MetadataFD = testMemory, testMemory+1
	}
	if o.Reload != "" {
		p.ReloadDirFD, p.ReloadFileFD, p.ReloadNameAt = testReload, testReload+1, 2<<20
	}
	return p
}

// process is a test process with all its threads in their roles; but main and
// the runtime's have the baseline alone if the test is about that.
type process struct {
	box   *Sandbox
	locks []Lock
	proof []Proof
	todo  map[Role]*errand
}

// boot goes through the boot of a server.
func boot(o options) *process {
	// What the test was started with must not have the numbers used here.
	keep := []int{}
	readable := []string{}
	if o.Reload != "" {
		readable = append(readable, o.Reload)
	} else {
		o.Reload = "/" // for a reloader that reloads nothing
	}
	if o.Syslog {
		keep = append(keep, 3)
	}
	_, err := CloseInherited(keep...)
	must(err)
	QuietHeap()
	time.Sleep(time.Millisecond) // brings the runtime's poller, as its own timers do sooner or later
	fds, err := Descriptors()
	must(err)
	params := testParams(o)
	params.PollFD, params.EventFD, err = RuntimePoller(fds)
	must(err)
	dup := func(fd, at int) {
		if fd != at { // which dup3 would refuse
			must(unix.Dup3(fd, at, unix.O_CLOEXEC))
		}
	}
	if o.Dir != "" {
		fd, err := unix.Open(o.Dir, unix.O_PATH|unix.O_DIRECTORY, 0)
		must(err)
		dup(fd, testPIDDir)
		params.PIDNameAt, err = PinName("pid")
		must(err)
	}
	if o.Reload != "" {
		params.ReloadNameAt, err = PinName("users")
		must(err)
	}
	status, err := OpenStatus()
	must(err)
	dup(status, testStatus)
	var wake [2]int
	must(unix.Pipe(wake[:]))
	dup(wake[1], testWake)
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	must(err)
	must(unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(unix.Listen(listener, 1))
	dup(listener, testListener)
	datagrams, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	must(err)
	dup(datagrams, testUDP)
	for _, at := range []int{testEpoll, testOwnEpoll} {
		fd, err := unix.EpollCreate1(0)
		must(err)
		dup(fd, at)
	}
	channel, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	must(err)
	dup(channel[0], testChannel)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(err)
	dup(pair[0], testClient)
	dup(pair[1], testClient+1)
	p := &process{todo: map[Role]*errand{}}
	if o.Locks {
		var lp LockParams
		if o.Dir != "" {
			lp.Removable = []string{o.Dir}
		}
		lp.Readable = readable
		p.locks, err = dropPrivileges(o)
		must(err)
		p.locks = append(p.locks, Locks(lp)...)
	} else {
		must(NoNewPrivileges())
	}
	p.box, err = New(params)
	must(err)
	prep := Prepare(runtime.GOMAXPROCS(0), len(ownThread))
	ready, entered, confine := make(chan error), make([]error, len(ownThread)), new(word)
	in := new(word)
	for i, role := range ownThread {
		name, work := threadName(role), new(errand)
		p.todo[role] = work
		go func() {
			runtime.LockOSThread()
			if role == Reloader {
				ownDescriptors(o.Reload, params.EventFD)
				if o.Locks {
					must(ReadBelow(testReload))
				}
			}
			err := errors.Join(SetThreadName(name), BlockSignals())
			switch role {
			case UDP:
				err = errors.Join(err, OwnDescriptors(testUDP, params.EventFD))
			case Stderr:
				err = errors.Join(err, OwnDescriptors(params.EventFD))
			case Metrics:
				err = errors.Join(err, OwnScrapers(testListener, params.EventFD))
			}
			prep.Thread()
			ready <- err
			confine.await(1)
			entered[i] = p.box.EnterRole(role, name)
			in.add()
			work.run()
		}()
	}
	prep.Finish()
	for range ownThread {
		must(<-ready)
	}
	unix.Close(testReload) // in case there is one outside the reloader's table
	enter := func() {
		confine.add()
		in.await(uint32(len(ownThread)))
		must(errors.Join(entered...))
	}
	if p.box.Off() {
		enter()
		return p
	}
	fillDescriptors()
	must(p.box.OpenProof())
	must(p.box.InstallBaseline())
	enter()
	if Role(o.Role) == Process {
		return p // the baseline alone, as during a boot
	}
	p.proof, err = p.box.Seal(nil)
	must(err)
	return p
}

// fillDescriptors puts something at every free descriptor below clients', as a
// server does.
func fillDescriptors() {
	for {
		fd, err := unix.FcntlInt(testStatus, unix.F_DUPFD_CLOEXEC, 3)
		must(err)
		if fd >= testFirst {
			unix.Close(fd)
			return
		}
	}
}

// on runs f on the thread of a role; on main for Process and Runtime.
func (p *process) on(role Role, f func()) {
	if role == Process || role == Runtime {
		f()
		return
	}
	p.todo[role].do(f)
}

func (r result) check(t *testing.T, status int, stderr ...string) {
	t.Helper()
	if r.status != status {
		t.Fatalf("want status %d, got %v", status, r)
	}
	for _, want := range stderr {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("stderr lacks %q: %v", want, r)
		}
	}
}

// tempDir is a directory by its own name, as Landlock wants it.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// noThread are the roles that no goroutine of a test process can have, and why.
var noThread = map[Role]string{
	Process:  "the baseline of all threads; main has nothing else during the boot",
	Reporter: "a thread without Go, which runs no code of a test's",
	Front:    "all threads of another process",
}

// threadRoles are all others. [boot] starts a thread for each but Runtime's, which
// is main, so that a new role is in every test that goes through them.
var threadRoles = slices.DeleteFunc(slices.Clone(Roles), func(r Role) bool { return noThread[r] != "" })

// ownThread are those of them that a thread of its own enters.
var ownThread = slices.DeleteFunc(slices.Clone(threadRoles), func(r Role) bool { return r == Runtime })

// threadName is the name of a role's thread, as the server names it.
func threadName(r Role) string {
	if r == Worker || r == UDP {
		return string(r) + "-0"
	}
	return string(r)
}
