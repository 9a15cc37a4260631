package differential

import "strings"

// mutate breaks a command.
func (g *generator) mutate(c string) string {
	line, rest, _ := strings.Cut(c, "\r\n")
	words := strings.Split(line, " ")
	switch g.IntN(10) {
	case 0: // another number, or none
		words[g.IntN(len(words))] = g.pick("", "-1", "x", "4294967296", "2147483648", "-2147483649", "18446744073709551615",
			"18446744073709551616", "99999999999999999999", "+5", "0x10", "1e3", "1.5", "5x", "-0", "\t5", "--5", "00000000000000000000005")
	case 1: // a word less
		i := g.IntN(len(words))
		words = append(words[:i:i], words[i+1:]...)
	case 2: // a word more
		i := 1 + g.IntN(len(words))
		words = append(words[:i:i], append([]string{g.pick("x", "0", "noreply", "q", "b", "v", "")}, words[i:]...)...)
	case 3: // a word twice
		i := g.IntN(len(words))
		words = append(words[:i+1:i+1], words[i:]...)
	case 4: // another length of block
		if rest != "" {
			rest = g.pick("", rest+rest, rest[:g.IntN(len(rest))], "x"+rest, strings.TrimSuffix(rest, "\r\n")+"\n")
		}
	case 5: // another end of line
		return line + g.pick("\n", "\r\r\n", "\r", " \r\n", "\x00\r\n", "\t\r\n") + rest
	case 6: // a byte of the line
		if len(line) > 0 {
			i := g.IntN(len(line))
			line = line[:i] + string([]byte{byte(g.IntN(256))}) + line[i+1:]
		}
		return safe(line) + "\r\n" + rest
	case 7: // another case
		return strings.ToUpper(line) + "\r\n" + rest
	case 8: // the words of another command
		if g.IntN(2) == 0 {
			words[0] = g.pick("get", "set", "cas", "incr", "mg", "ms", "md", "ma", "me", "mn", "gat", "touch", "delete", "append", "stats", "verbosity")
		}
	case 9: // many words
		words = append(words, strings.Split(strings.Repeat("w ", g.IntN(300)), " ")...)
	}
	return safe(strings.Join(words, " ")) + "\r\n" + rest
}

// safe keeps a line from being one that is not for comparing: memcached
// crashes at a bare lru, statistics differ, what is on stderr or in other
// clients' way would stay.
func safe(line string) string {
	first, _, _ := strings.Cut(strings.TrimLeft(line, " "), " ")
	switch first {
	case "lru", "watch", "shutdown", "flush_all":
		return "version"
	case "stats", "verbosity", "slabs", "lru_crawler", "cache_memlimit":
		return first + " nonsense"
	}
	return line
}
