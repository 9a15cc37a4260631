package t

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomcd/t/harness"
)

// flooded is a server one of whose workers a client keeps busy: it pipelines as much as it
// can, and reads all that comes.
type flooded struct {
	*harness.Server
	workers []string        // the epoll instances of the workers; the first is that of the busy one
	others  []*harness.Conn // one of each of the other workers
}

const floodWorkers = 4

// flood starts a server, and a flood whose every command is of a hundred keys, the last of
// them "hot". It goes on until the test ends.
func flood(t *testing.T) *flooded {
	s := &flooded{Server: harness.Start(t, harness.Production(), "-t", fmt.Sprint(floodWorkers))}
	s.Inspectable(t)
	s.Dial(t).Set("hot", "value")
	byWorker := map[string]*harness.Conn{}
	harness.Eventually(t, "each worker has a connection", func() bool {
		before := s.watched(t)
		c := s.Dial(t)
		c.Ask("mn", "MN")
		byWorker[grown(before, s.watched(t))] = c
		return len(byWorker) == floodWorkers
	})
	for worker, c := range byWorker {
		s.workers, s.others = append(s.workers, worker), append(s.others, c)
	}
	c := s.others[0]
	s.others = s.others[1:]
	commands := []byte(strings.Repeat("get"+strings.Repeat(" none", 99)+" hot\r\nset hot 0 0 5\r\nvalue\r\n", 100))
	go func() {
		for {
			if _, err := c.Conn.Write(commands); err != nil {
				return // the test has ended
			}
		}
	}()
	go io.Copy(io.Discard, c.Conn)
	return s
}

// watched lists the descriptors that each epoll instance of the server has, as the kernel
// shows them.
func (s *flooded) watched(t *testing.T) map[string]map[string]bool {
	t.Helper()
	all := map[string]map[string]bool{}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if to, _ := os.Readlink(link); to != "anon_inode:[eventpoll]" {
			continue
		}
		epoll := filepath.Base(link)
		info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", s.PID(), epoll))
		if err != nil {
			t.Fatal(err)
		}
		all[epoll] = map[string]bool{}
		for line := range strings.Lines(string(info)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "tfd:" {
				all[epoll][f[1]] = true
			}
		}
	}
	return all
}

// grown is the epoll instance that has a descriptor more.
func grown(before, after map[string]map[string]bool) string {
	for epoll, has := range after {
		if len(has) > len(before[epoll]) {
			return epoll
		}
	}
	return ""
}

// TestFloodIsPassedOver has new connections go to other workers than the one that a flood
// keeps busy, but for some: it gets half of what it would get in turn at most, and no other
// gets much more than the rest.
func TestFloodIsPassedOver(t *testing.T) {
	t.Parallel()
	s := flood(t)
	const conns = 24
	count := func() int {
		n := 0
		for _, worker := range s.workers {
			n += len(s.watched(t)[worker])
		}
		return n
	}
	harness.Eventually(t, "new connections go to workers that are not busy", func() bool {
		before := s.watched(t)
		was := count()
		var all []*harness.Conn
		for range conns {
			c := s.Dial(t)
			c.Ask("mn", "MN")
			all = append(all, c)
		}
		after := s.watched(t)
		var got []int
		for _, worker := range s.workers {
			got = append(got, len(after[worker])-len(before[worker]))
		}
		for _, c := range all {
			c.Close()
		}
		harness.Eventually(t, "connections are closed", func() bool { return count() == was })
		spread := got[0] <= conns/floodWorkers/2
		for _, n := range got[1:] {
			spread = spread && n > conns/floodWorkers && n <= conns/(floodWorkers-1)+1
		}
		t.Log(got)
		return spread
	})
}

// TestFloodedKeyIsServed stops the worker that a flood keeps busy, in the middle of its turn.
// Others carry out commands on the flood's key while it stands.
// It may have stood with the key's lock, which it has for some tens of nanoseconds: then there
// is another try.
func TestFloodedKeyIsServed(t *testing.T) {
	t.Parallel()
	s := flood(t)
	s.Traceable(t)
	busy := s.busiest(t)
	for i, c := range s.others {
		for _, ask := range []string{"get hot", "set hot 0 0 3\nnew", "delete hot", "add hot 0 0 5\nvalue", "append hot 0 0 1\nx", "mg hot v t"} {
			patience := time.Second
			harness.Eventually(t, fmt.Sprintf("worker %d answers %q while another stands", i+1, ask), func() (served bool) {
				replied := make(chan error, 1)
				err := s.HoldWhile(busy, func() {
					c.Send("%s\nmn\n", ask)
					go func() { replied <- untilMN(c) }()
					select {
					case err := <-replied:
						served = err == nil
						replied <- err
					case <-time.After(patience):
					}
				})
				if err == nil {
					err = <-replied
				}
				if err != nil {
					t.Fatalf("%q: %v", ask, err)
				}
				patience *= 2
				return served
			})
		}
	}
}

// untilMN reads replies up to that to mn.
func untilMN(c *harness.Conn) error {
	for {
		if line, err := c.Next(); err != nil || line == "MN" {
			return err
		}
	}
}

// busiest is the name of the worker that has used half a second more of the processor than
// any other.
func (s *flooded) busiest(t *testing.T) (name string) {
	t.Helper()
	const ticks = 50 // of 10 ms
	harness.Eventually(t, "one worker is busier than the others", func() bool {
		most, next := 0, 0
		for thread, used := range threadTicks(t, s.Server) {
			switch {
			case !strings.HasPrefix(thread, "worker-"):
			case used > most:
				name, most, next = thread, used, most
			case used > next:
				next = used
			}
		}
		return most >= next+ticks
	})
	return name
}
