package sys

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPollYieldsBeforeItSleeps counts how often a thread gives its processor away between
// the end of a long wait and the first Go code after it: it does not sleep again before a
// request is served, as it does in more than half of all waits if it yields only then. The
// runtime's own locks may make it now and then, so there are several batches of waits.
func TestPollYieldsBeforeItSleeps(t *testing.T) {
	if preempted := os.Getenv("GODEBUG") != "asyncpreemptoff=1"; preempted {
		// A signal would end the wait that is not announced; gomcd's threads get none.
		again := exec.Command(os.Args[0], "-test.run=^TestPollYieldsBeforeItSleeps$", "-test.timeout=5m")
		again.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1")
		if out, err := again.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(epfd)
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(bell)
	if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, bell, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET&0xffffffff}); err != nil {
		t.Fatal(err)
	}
	patience = 100 // milliseconds: the monitor looks every 10
	defer func() { patience = Patience }()
	tids, slept := make(chan int), make(chan int64)
	const batches, tries = 5, 12
	go func() {
		runtime.LockOSThread()
		events := make([]PollEvent, 1)
		for range batches * tries {
			tids <- unix.Gettid()
			for n := 0; n <= 0; {
				n, _ = Poll(epfd, events, -1)
			}
			serve()
			var use unix.Rusage
			unix.Getrusage(unix.RUSAGE_THREAD, &use)
			slept <- use.Nvcsw
		}
	}()
	var extra []int64
	for range batches {
		extra = nil
		for range tries {
			tid := <-tids
			// Asleep in the announced wait, and not only in the short one before it.
			task := fmt.Sprintf("self/task/%d", tid)
			before := int64(-1)
			for since := time.Now(); time.Since(since) < 2*time.Duration(patience)*time.Millisecond; time.Sleep(time.Millisecond) {
				if n := switches(t, task); n != before || !asleep(t, tid) {
					before, since = n, time.Now()
				}
			}
			unix.Write(bell, []byte{1, 0, 0, 0, 0, 0, 0, 0})
			extra = append(extra, <-slept-before)
		}
		slices.Sort(extra)
		if extra[tries*3/4] == 0 {
			return
		}
	}
	t.Errorf("after many waits the thread sleeps again before it goes on: %v times", extra)
}

// serve is what Go code does first: a function begins.
//
//go:noinline
func serve() {
	var frame [1024]byte // too large to begin without a look at the stack
	copy(served, frame[:copy(frame[:], served)])
}

var served = make([]byte, 100)

// switches is how often a thread has gone to sleep.
func switches(t *testing.T, task string) (n int64) {
	b, err := os.ReadFile("/proc/" + task + "/status")
	if err != nil {
		t.Error(err)
	}
	_, rest, _ := bytes.Cut(b, []byte("\nvoluntary_ctxt_switches:"))
	fmt.Sscan(string(rest), &n)
	return n
}
