package sys

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestWorldStopsWhileWaitsAreAnnounced collects garbage while threads are in waits of
// an hour that would not be announced else: it would never end.
func TestWorldStopsWhileWaitsAreAnnounced(t *testing.T) {
	patience = int(time.Hour / time.Millisecond)
	defer func() { patience = Patience }()
	Announce(true)
	defer Announce(false)
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, bell, &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
		t.Fatal(err)
	}
	var word atomic.Uint32
	waits := map[string]struct{ begin, end func() }{
		"Poll":      {func() { Poll(epfd, make([]PollEvent, 1), -1) }, func() { unix.Write(bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }},
		"FutexRest": {func() { FutexRest(&word, 0, uint32(time.Hour/time.Microsecond)) }, func() { word.Store(1); FutexWake(&word) }},
	}
	for name, wait := range waits {
		tids, done := make(chan int), make(chan struct{})
		go func() {
			runtime.LockOSThread()
			tids <- unix.Gettid()
			wait.begin()
			close(done)
		}()
		tid := <-tids
		for !asleep(t, tid) {
			time.Sleep(time.Millisecond)
		}
		runtime.GC()
		select {
		case <-done:
			t.Errorf("%s did not wait", name)
		default:
		}
		wait.end()
		<-done
	}
}

// asleep says whether a thread of this process waits in the kernel.
func asleep(t *testing.T, tid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", tid))
	if err != nil {
		t.Fatal(err)
	}
	_, state, _ := bytes.Cut(b, []byte(") "))
	return len(state) > 0 && state[0] == 'S'
}
