package t

import (
	"crypto/tls"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomcd/t/harness"
)

// player plays a transcript.
type player struct {
	transcript
	t     *testing.T
	s     *harness.Server
	split bool // send in pieces

	conns   map[string]*harness.Conn
	cur     *harness.Conn
	pending []byte // what is to be sent before the next answer
	vars    names
	began   time.Time
}

func newPlayer(t *testing.T, s *harness.Server, tr transcript, split bool) *player {
	return &player{transcript: tr, t: t, s: s, split: split, conns: map[string]*harness.Conn{}, vars: names{}}
}

func (p *player) play() {
	p.t.Helper()
	p.began = time.Now()
	p.use("")
	mark, deadline := -1, time.Time{} // of the part that is retried
	for i := 0; i < len(p.steps); i++ {
		s := p.steps[i]
		switch s.op {
		case ">", ">>":
			b, err := p.vars.sent(s.text)
			if err != nil {
				p.t.Fatalf("%s:%d: %v", p.file, s.line, err)
			}
			p.pending = append(p.pending, b...)
			if s.op == ">" {
				p.pending = append(p.pending, "\r\n"...)
			}
			continue
		}
		p.flush()
		switch s.op {
		case "@":
			p.use(s.text)
		case "pause":
			p.arrive()
		case "closed":
			p.cur.Closed()
		case "silent":
			p.silent(s.line)
		case "retry":
			if mark >= 0 {
				mark = -1
			} else {
				mark, deadline = i, time.Now().Add(harness.Patience)
			}
		case "<":
			got, err := p.cur.Next()
			if err == nil && p.vars.match(s.text, got, p.began) {
				continue
			}
			if mark < 0 || time.Now().After(deadline) || err != nil {
				p.t.Fatalf("%s:%d: got %.300q, want %.300q %v", p.file, s.line, got, s.text, err)
			}
			p.again()
			i = mark
		}
	}
	p.flush()
	if last := p.steps[len(p.steps)-1]; last.op != "closed" {
		p.silent(last.line)
	}
}

// use goes on with another connection.
func (p *player) use(name string) {
	if p.conns[name] == nil {
		p.conns[name] = p.s.Dial(p.t)
	}
	p.cur = p.conns[name]
}

// again starts the part to be retried over, a little later.
func (p *player) again() {
	p.cur.Close()
	clear(p.conns)
	p.use("")
	time.Sleep(10 * time.Millisecond)
}

// silent checks that nothing was answered.
func (p *player) silent(line int) {
	p.t.Helper()
	p.cur.Send("mn\n")
	if got := p.cur.Line(); got != "MN" {
		p.t.Fatalf("%s:%d: got %.300q instead of silence", p.file, line, got)
	}
}

// flush sends what was collected: in one piece, or in pieces of a byte, but
// for the inside of what is long. What the server does not take because it
// has closed the connection shows in what it answers.
func (p *player) flush() {
	b := p.pending
	p.pending = nil
	if len(b) == 0 {
		return
	}
	if !p.split {
		p.cur.Write(b)
		return
	}
	const edge = 1000
	for i := 0; i < len(b); {
		n := 1
		if i >= edge && i < len(b)-edge {
			n = min(1021, len(b)-edge-i)
		}
		p.cur.Write(b[i : i+n])
		i += n
	}
}

// arrive waits until the other side's kernel has all that was sent, and the
// server has had a turn since.
func (p *player) arrive() {
	p.t.Helper()
	nc := p.cur.Conn
	if over, ok := nc.(*tls.Conn); ok {
		nc = over.NetConn()
	}
	raw, err := nc.(interface {
		SyscallConn() (syscall.RawConn, error)
	}).SyscallConn()
	if err != nil {
		p.t.Fatal(err)
	}
	harness.Eventually(p.t, "what was sent has arrived", func() bool {
		var unsent int
		raw.Control(func(fd uintptr) { unsent, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		return err == nil && unsent == 0
	})
	p.s.Dial(p.t).Ask("mn", "MN")
}
