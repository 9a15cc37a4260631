package sys

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPollYieldsBeforeItSleeps counts how often a thread loses its processor between the
// end of a long wait and the first Go code after it, as it does after half of all waits
// if it yields only then. Whether it sleeps there, or the thread that it wakes up pushes it
// aside, is up to the kernel. Other programs and the runtime's own locks may make it lose
// its processor too, so waits are counted until the result is clear.
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
	tids, switched := make(chan int), make(chan int64)
	go func() {
		runtime.LockOSThread()
		events := make([]PollEvent, 1)
		for {
			tids <- unix.Gettid()
			for n := 0; n <= 0; {
				n, _ = Poll(epfd, events, -1)
			}
			serve()
			var use unix.Rusage
			unix.Getrusage(unix.RUSAGE_THREAD, &use)
			switched <- use.Nvcsw + use.Nivcsw
		}
	}()
	for score := 0; score < 12; {
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
		if <-switched == before {
			score++
		} else if score -= 2; score < -30 {
			t.Fatal("after many waits the thread loses its processor before it goes on")
		}
	}
}

// serve is what Go code does first: a function begins.
//
//go:noinline
func serve() {
	var frame [1024]byte // too large to begin without a look at the stack
	copy(served, frame[:copy(frame[:], served)])
}

var served = make([]byte, 100)

// switches is how often a thread has gone to sleep or been pushed aside.
func switches(t *testing.T, task string) (n int64) {
	b, err := os.ReadFile("/proc/" + task + "/status")
	if err != nil {
		t.Error(err)
	}
	for _, field := range []string{"\nvoluntary_ctxt_switches:", "\nnonvoluntary_ctxt_switches:"} {
		_, rest, _ := bytes.Cut(b, []byte(field))
		var times int64
		fmt.Sscan(string(rest), &times)
		n += times
	}
	return n
}
