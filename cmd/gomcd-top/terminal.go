package main

import (
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gdamore/tcell/v2"
	"golang.org/x/sys/unix"
)

// terminal is the screen and keys of /dev/tty, until end gives it back.
type terminal struct {
	tcell.Screen
	keys  chan tcell.Event
	ended chan os.Signal // signals that end the program
	quit  chan struct{}
	input *input
}

// newTerminal takes the terminal, or returns nil if that is one without a screen.
func newTerminal() *terminal {
	if term := os.Getenv("TERM"); term == "" || term == "dumb" {
		return nil
	}
	tty, err := tcell.NewDevTty()
	if err != nil {
		return nil
	}
	t := &terminal{keys: make(chan tcell.Event), ended: make(chan os.Signal, 1), quit: make(chan struct{}),
		input: &input{Tty: tty, ended: make(chan struct{})}}
	if t.Screen, err = tcell.NewTerminfoScreenFromTty(t.input); err != nil {
		tty.Close()
		return nil
	}
	// Before the terminal is changed, so that there is no moment at which a signal leaves
	// it so.
	signals := []os.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT}
	signal.Notify(t.ended, signals...)
	if t.Init() != nil {
		signal.Reset(signals...)
		return nil
	}
	go t.ChannelEvents(t.keys, t.quit)
	return t
}

// end leaves the terminal as it was. Whatever is typed meanwhile is dropped: tcell waits
// in Fini for goroutines that wait for room in its queues, which nobody else makes.
func (t *terminal) end() {
	t.input.stop()
	for reading := true; reading; {
		select {
		case <-t.keys:
		case <-t.input.ended:
			reading = false
		}
	}
	close(t.quit)
	restored := make(chan struct{})
	go func() { t.Fini(); close(restored) }()
	for {
		select {
		case <-restored:
			return
		case <-time.After(time.Millisecond):
			for t.HasPendingEvent() {
				t.PollEvent()
			}
		}
	}
}

// input is a terminal that can be asked to read no more.
type input struct {
	tcell.Tty
	stopped atomic.Bool
	once    sync.Once
	ended   chan struct{} // closed when a Read has failed, after which tcell reads no more
}

func (i *input) Read(b []byte) (n int, err error) {
	if err = os.ErrClosed; !i.stopped.Load() {
		n, err = i.Tty.Read(b)
	}
	if err != nil {
		i.once.Do(func() { close(i.ended) })
	}
	return n, err
}

// stop has the Read that waits now, or the next one, fail.
func (i *input) stop() {
	i.stopped.Store(true)
	i.Drain()
}
