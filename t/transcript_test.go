package t

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gomcd/t/harness"
)

// A transcript is a text file that reads like a session:
//
//	# What the session shows, and where that is written down.
//	flags: -m 64 -A
//	> get foo
//	< END
//
// A line with > is sent, with \r\n behind it; >> sends without a line end.
// A line with < is the line, ended by \r\n, that the server must answer next.
// In both, {x*70000} stands for 70,000 times x, and \r \n \t \0 \xHH for
// bytes. In what is answered, {num} stands for any number, {num:N} for one of
// N-3 to N, {any} for anything, and {cas:NAME} for a number that is
// remembered; in what is sent, and when it comes again, that number. Besides:
//
//	closed        the server closes the connection
//	silent        nothing was answered: the reply to a following mn comes next
//	pause         what was sent so far has arrived before the rest is sent
//	@ NAME        the lines from here on are on another connection
//	retry         between two of these: repeated, on a new connection, until
//	              the answers are as expected (for what takes effect in time)
//
// and before the session:
//
//	flags: ...    the server's command line
//	alone         the session leaves something behind: it has a server of its own
//	whole         the answers depend on how the input is split: it is sent whole
//	only gomcd    memcached is not asked
//
// Each transcript is played twice: with all that is sent between two answers
// in one piece, and with every byte in a piece of its own.
type transcript struct {
	name  string
	file  string
	flags []string
	steps []step

	alone, whole, onlyGomcd bool
}

// step is one line of a transcript.
type step struct {
	line int
	op   string // one of the words above, or > >> < @
	text string
}

// readTranscript reads the file.
func readTranscript(file string) (transcript, error) {
	tr := transcript{name: strings.TrimSuffix(filepath.Base(file), ".txt"), file: file}
	b, err := os.ReadFile(file)
	if err != nil {
		return tr, err
	}
	for i, l := range strings.Split(string(b), "\n") {
		op, text, _ := strings.Cut(l, " ")
		switch {
		case l == "", op == "#":
		case op == "flags:":
			tr.flags = strings.Fields(text)
		case l == "alone":
			tr.alone = true
		case l == "whole":
			tr.whole = true
		case l == "only gomcd":
			tr.onlyGomcd = true
		case slices.Contains([]string{">", ">>", "<", "@"}, op),
			slices.Contains([]string{"closed", "silent", "pause", "retry"}, l):
			tr.steps = append(tr.steps, step{i + 1, op, text})
		default:
			return tr, fmt.Errorf("%s:%d: cannot read %q", file, i+1, l)
		}
	}
	return tr, nil
}

// transcripts reads all there are.
func transcripts(t *testing.T) []transcript {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	var all []transcript
	for _, file := range files {
		tr, err := readTranscript(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, tr)
	}
	return all
}

// TestTranscripts plays them all against servers of each kind.
func TestTranscripts(t *testing.T) {
	all := transcripts(t)
	for _, k := range harness.Carriers(t) {
		// gomcd takes longer to start than to flush: sessions that leave
		// nothing behind share a server.
		shared := map[string][]transcript{}
		for _, tr := range all {
			group := strings.Join(tr.flags, " ")
			switch {
			case tr.onlyGomcd && !k.Gomcd:
				continue
			case tr.alone || !k.Gomcd:
				group = tr.file
			}
			shared[group] = append(shared[group], tr)
		}
		t.Run(k.Name, func(t *testing.T) {
			for _, group := range shared {
				playGroup(t, k, group)
			}
		})
	}
}

// playGroup plays transcripts one after the other, each whole and in bytes. A
// memcached gets a new server each time.
func playGroup(t *testing.T, k harness.Kind, group []transcript) {
	name := group[0].name
	if len(group) > 1 {
		name = "shared"
	}
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		var s *harness.Server
		play := func(t *testing.T, on testing.TB, tr transcript, split bool) {
			if s == nil || tr.alone || !k.Gomcd {
				s = harness.Start(on, k, ownUsers(on, tr.flags)...)
			} else {
				c := s.Dial(t)
				c.Send("flush_all\nmn\n")
				c.Line()
				c.Expect("MN")
			}
			newPlayer(t, s, tr, split).play()
		}
		for _, tr := range group {
			on := testing.TB(t)
			t.Run(tr.name, func(t *testing.T) {
				if tr.alone || !k.Gomcd {
					on = nil
				}
				for _, split := range []bool{false, true} {
					if split && tr.whole {
						continue
					}
					t.Run(map[bool]string{false: "whole", true: "bytes"}[split], func(t *testing.T) {
						if on == nil {
							play(t, t, tr, split)
						} else {
							play(t, on, tr, split)
						}
					})
				}
			})
		}
	})
}

// ownUsers has flags name a copy of an authentication file: everybody may read
// what is in a repository.
func ownUsers(t testing.TB, flags []string) []string {
	i := slices.Index(flags, "-Y") + 1
	if i == 0 {
		return flags
	}
	users, err := os.ReadFile(flags[i])
	if err != nil {
		t.Fatal(err)
	}
	flags = slices.Clone(flags)
	flags[i] = usersFile(t, string(users))
	return flags
}

// TestTranscriptsAreWholeSessions keeps a transcript from expecting nothing,
// or from not telling what it is about.
func TestTranscriptsAreWholeSessions(t *testing.T) {
	for _, tr := range transcripts(t) {
		if !slices.ContainsFunc(tr.steps, func(s step) bool {
			return s.op == "<" || s.op == "closed" || s.op == "silent"
		}) {
			t.Errorf("%s expects nothing", tr.file)
		}
		if b, _ := os.ReadFile(tr.file); !strings.HasPrefix(string(b), "# ") {
			t.Errorf("%s does not say what it shows", tr.file)
		}
	}
}
