package t

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A transcript is a text file that reads like a session:
//
//	# What the session shows, and where that is written down.
//	flags: -m 64 -A
//	> get foo
//	< END
//
// A line with > is sent, with \r\n behind it; >> sends without a line end.
// A line with < is what the server must answer next. In what is sent,
// {x*70000} stands for 70,000 times x, and \r \n \t \0 \xHH for bytes; in what
// is answered too, and there {num} stands for any number, {cas:NAME} for a
// number that is remembered (or, if NAME is known, that number; in what is
// sent, {cas:NAME} is it), and {any} for anything.
//
//	closed        the server closes the connection
//	silent        nothing was answered: the reply to a following mn comes next
//	@ NAME        the lines from here on are on another connection
//	retry         until its expectations hold, the session from the last
//	              `retry` mark on is repeated (for what takes effect in time)
//	only gomcd    memcached is not asked
//
// Each transcript is run with what is sent between two answers in one piece,
// and again with every byte in a piece of its own.

// step is one line of a transcript.
type step struct {
	line int
	op   byte // '>', '}' (>>), '<', 'c'losed, 's'ilent, '@', 'r'etry
	text string
}

type transcript struct {
	name      string
	flags     []string
	steps     []step
	onlyGomcd bool
}

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			for _, file := range files {
				tr := readTranscript(t, file)
				if tr.onlyGomcd && !k.gomcd {
					continue
				}
				t.Run(tr.name, func(t *testing.T) {
					t.Parallel()
					for _, bytewise := range []bool{false, true} {
						s := start(t, k, tr.flags...)
						p := &player{t: t, s: s, file: file, bytewise: bytewise, conns: map[string]*conn{}, vars: map[string]string{}}
						p.play(tr.steps)
					}
				})
			}
		})
	}
}

func readTranscript(t *testing.T, file string) transcript {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tr := transcript{name: strings.TrimSuffix(filepath.Base(file), ".txt")}
	for i, l := range strings.Split(string(b), "\n") {
		s := step{line: i + 1}
		switch {
		case l == "" || strings.HasPrefix(l, "#"):
			continue
		case strings.HasPrefix(l, "flags:"):
			tr.flags = strings.Fields(l[len("flags:"):])
			continue
		case l == "only gomcd":
			tr.onlyGomcd = true
			continue
		case strings.HasPrefix(l, ">> "):
			s.op, s.text = '}', l[3:]
		case l == ">":
			s.op = '>'
		case strings.HasPrefix(l, "> "):
			s.op, s.text = '>', l[2:]
		case l == "<":
			s.op = '<'
		case strings.HasPrefix(l, "< "):
			s.op, s.text = '<', l[2:]
		case l == "closed", l == "silent", l == "retry":
			s.op = l[0]
		case strings.HasPrefix(l, "@ "):
			s.op, s.text = '@', l[2:]
		default:
			t.Fatalf("%s:%d: cannot read %q", file, i+1, l)
		}
		tr.steps = append(tr.steps, s)
	}
	return tr
}

// player plays a transcript.
type player struct {
	t        *testing.T
	s        *srv
	file     string
	bytewise bool
	conns    map[string]*conn
	vars     map[string]string
	cur      *conn
	pending  []byte
}

func (p *player) play(steps []step) {
	p.t.Helper()
	p.use("")
	mark, deadline := -1, time.Time{}
	for i := 0; i < len(steps); i++ {
		s := steps[i]
		switch s.op {
		case '>', '}':
			p.pending = append(p.pending, p.bytes(s.text, s.line)...)
			if s.op == '>' {
				p.pending = append(p.pending, "\r\n"...)
			}
			continue
		case '@':
			p.flush()
			p.use(s.text)
			continue
		}
		p.flush()
		switch s.op {
		case 'r':
			if mark < 0 {
				mark, deadline = i, time.Now().Add(patience)
			} else {
				mark = -1
			}
		case 'c':
			p.cur.closed()
		case 's':
			p.cur.send("mn\n")
			if got := p.cur.line(); got != "MN" {
				p.t.Fatalf("%s:%d: got %q instead of silence", p.file, s.line, got)
			}
		case '<':
			got := p.cur.line()
			if p.matches(s, got) {
				continue
			}
			if mark >= 0 && time.Now().Before(deadline) {
				// Start the repeated part over on a new connection.
				p.cur.Close()
				delete(p.conns, "")
				p.use("")
				time.Sleep(20 * time.Millisecond)
				i = mark
				continue
			}
			p.t.Fatalf("%s:%d: got %.300q, want %.300q (bytewise %v)", p.file, s.line, got, s.text, p.bytewise)
		}
	}
	p.flush()
	if steps[len(steps)-1].op == 'c' {
		return
	}
	p.cur.send("mn\n")
	if got := p.cur.line(); got != "MN" {
		p.t.Fatalf("%s: at the end there is %q", p.file, got)
	}
}

func (p *player) use(name string) {
	if p.conns[name] == nil {
		p.conns[name] = p.s.dial(p.t)
	}
	p.cur = p.conns[name]
}

// flush sends what was collected.
func (p *player) flush() {
	b := p.pending
	p.pending = nil
	if !p.bytewise || len(b) > 4096 {
		if len(b) > 0 {
			p.cur.Write(b)
		}
		return
	}
	for i := range b {
		p.cur.Write(b[i : i+1])
	}
}

var (
	repeat  = regexp.MustCompile(`\{([^{}]*)\*(\d+)\}`)
	casName = regexp.MustCompile(`\{cas:(\w+)\}`)
	pattern = regexp.MustCompile(`\\\{num\\\}|\\\{any\\\}|\\\{cas:(\w+)\\\}`)
)

// expand replaces repetitions and escapes.
func expand(s string) string {
	s = repeat.ReplaceAllStringFunc(s, func(m string) string {
		g := repeat.FindStringSubmatch(m)
		n, _ := strconv.Atoi(g[2])
		return strings.Repeat(g[1], n)
	})
	if !strings.Contains(s, `\`) {
		return s
	}
	u, err := strconv.Unquote(`"` + strings.ReplaceAll(strings.ReplaceAll(s, `"`, `\"`), `\0`, `\x00`) + `"`)
	if err != nil {
		return s
	}
	return u
}

func (p *player) bytes(s string, line int) []byte {
	s = casName.ReplaceAllStringFunc(s, func(m string) string {
		name := casName.FindStringSubmatch(m)[1]
		v, ok := p.vars[name]
		if !ok {
			p.t.Fatalf("%s:%d: %s is not known", p.file, line, m)
		}
		return v
	})
	return []byte(expand(s))
}

// matches compares an answer with what is expected, and remembers numbers.
func (p *player) matches(s step, got string) bool {
	want := expand(s.text)
	if !strings.Contains(want, "{") {
		return got == want
	}
	var names []string
	expr := pattern.ReplaceAllStringFunc(regexp.QuoteMeta(want), func(m string) string {
		g := pattern.FindStringSubmatch(m)
		switch {
		case strings.Contains(m, "num"):
			return `-?\d+`
		case strings.Contains(m, "any"):
			return `.*`
		}
		if v, ok := p.vars[g[1]]; ok {
			return v
		}
		names = append(names, g[1])
		return `(\d+)`
	})
	m := regexp.MustCompile("^" + expr + "$").FindStringSubmatch(got)
	if m == nil {
		return false
	}
	for i, name := range names {
		p.vars[name] = m[i+1]
	}
	return true
}

// TestTranscriptsAreWholeSessions keeps a transcript from expecting nothing.
func TestTranscriptsAreWholeSessions(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		tr := readTranscript(t, file)
		answers := 0
		for _, s := range tr.steps {
			if bytes.IndexByte([]byte("<cs"), s.op) >= 0 {
				answers++
			}
		}
		if answers == 0 {
			t.Errorf("%s expects nothing", file)
		}
		if b, _ := os.ReadFile(file); !bytes.HasPrefix(b, []byte("# ")) {
			t.Errorf("%s does not say what it shows", file)
		}
	}
}
