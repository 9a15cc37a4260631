package differential

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Recorded is a stream with what memcached answered to it.
type Recorded struct {
	Stream Stream
	Answer Answer
}

// WriteRecorded appends a stream to a corpus:
//
//	seed 17
//	> "get a\r\n"
//	< "END\r\n"
//
// where each > is a command and each < a line of the answer, with closed at
// the end if the connection was not served any more.
func WriteRecorded(w io.Writer, r Recorded) error {
	_, err := fmt.Fprintf(w, "seed %d\n%s", r.Stream.Seed, r.Stream)
	for text := r.Answer.text; text != "" && err == nil; {
		i := strings.Index(text, "\r\n")
		if i += 2; i < 2 {
			i = len(text)
		}
		_, err = fmt.Fprintf(w, "< %s\n", quote([]byte(text[:i])))
		text = text[i:]
	}
	if !r.Answer.served && err == nil {
		_, err = fmt.Fprintln(w, "closed")
	}
	return err
}

// ReadRecorded reads a corpus.
func ReadRecorded(r io.Reader) ([]Recorded, error) {
	var all []Recorded
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		op, text, _ := strings.Cut(lines.Text(), " ")
		var err error
		switch {
		case op == "" || op[0] == '#':
			continue
		case op == "seed":
			all = append(all, Recorded{Answer: Answer{served: true}})
			all[len(all)-1].Stream.Seed, err = strconv.ParseUint(text, 10, 64)
		case op == "closed" && len(all) > 0:
			all[len(all)-1].Answer.served = false
		case len(all) == 0 || op != ">" && op != "<":
			err = fmt.Errorf("what is %q?", lines.Text())
		default:
			var b []byte
			b, err = unquote(text)
			if last := &all[len(all)-1]; op == ">" {
				last.Stream.Commands = append(last.Stream.Commands, b)
			} else {
				last.Answer.text += string(b)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return all, lines.Err()
}
