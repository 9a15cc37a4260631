package differential

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Generate makes a stream from a seed, always the same.
func Generate(seed uint64) Stream {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0x676f6d6364))}
	s := Stream{Seed: seed}
	// Most streams have a few broken commands, some none, some many.
	g.broken = []int{0, 5, 20, 60}[g.IntN(4)]
	g.blank = g.IntN(5) == 0
	for range 1 + g.IntN(25) {
		c := g.command()
		if g.IntN(100) < g.broken {
			c = g.mutate(c)
		}
		s.Commands = append(s.Commands, []byte(c))
	}
	return s
}

type generator struct {
	*rand.Rand
	broken int  // percent of commands that are
	blank  bool // has values of nothing but white space
	era    int  // counts flushes: keys from before are not asked for again
}

// pick chooses one.
func (g *generator) pick(of ...string) string { return of[g.IntN(len(of))] }

// sometimes returns s once in n times.
func (g *generator) sometimes(n int, s string) string {
	if g.IntN(n) == 0 {
		return s
	}
	return ""
}

// commands are the sorts of command there are, with how often they come.
var commands = []struct {
	weight int
	make   func(*generator) string
}{
	{20, (*generator).storage},
	{20, (*generator).retrieval},
	{6, (*generator).arithmetic},
	{6, (*generator).removal},
	{20, (*generator).metaSet},
	{25, (*generator).metaGet},
	{8, (*generator).metaDelete},
	{10, (*generator).metaArithmetic},
	{5, (*generator).other},
	{1, (*generator).flush},
	{1, (*generator).ending},
}

func (g *generator) command() string {
	total := 0
	for _, c := range commands {
		total += c.weight
	}
	n := g.IntN(total)
	for _, c := range commands {
		if n -= c.weight; n < 0 {
			return c.make(g)
		}
	}
	panic("not reached")
}

func (g *generator) key() string {
	if g.IntN(150) == 0 {
		return prefix + strings.Repeat("k", []int{241, 242, 243, 300}[g.IntN(4)])
	}
	return fmt.Sprintf("%s%d.%d", prefix, g.era, g.IntN(4))
}

// value returns a data block without its end.
func (g *generator) value() string {
	switch g.IntN(12) {
	case 0:
		return ""
	case 1, 2, 3, 4:
		return fmt.Sprint(g.number64())
	case 5:
		text := g.pick("a", "\x00", "\r", "\n", " ")
		if !g.blank {
			text = g.pick("a", "\x00", "\r.", "\n.", ". ")
		}
		return strings.Repeat(text, g.IntN(60))
	case 6:
		return g.pick("a\r\nb", "\r\n.", "get x\r\n", "mn", "5 5", " 5", "5 ", "-5", "+5", "abc", "99999999999999999999")
	case 7:
		if g.IntN(20) == 0 {
			return strings.Repeat("L", g.IntN(1_100_000))
		}
		return strings.Repeat("m", g.IntN(20_000))
	default:
		return strings.Repeat("v", 1+g.IntN(200))
	}
}

// number64 is an amount.
func (g *generator) number64() uint64 {
	switch g.IntN(6) {
	case 0:
		return 1<<64 - 1 - g.Uint64N(3)
	case 1:
		return 1<<32 - 2 + g.Uint64N(4)
	case 2:
		return []uint64{9, 10, 99, 100, 999999999, 1000000000}[g.IntN(6)]
	}
	return g.Uint64N(20)
}

// exptime is a lifetime that ends during no test.
func (g *generator) exptime() string {
	return g.pick("0", "0", "0", "0", "100", "3000", "2592000", "2592001", "-1", "2147483647", "-2147483648", "1", "4294967296")
}

func (g *generator) flags() string {
	return g.pick("0", "0", "0", "5", "4294967295", "65536", "4294967296", "007")
}

// cas is a CAS number that only clients give.
func (g *generator) cas() string {
	if g.IntN(10) == 0 {
		return g.pick("0", "1")
	}
	return fmt.Sprint(casFrom + g.IntN(3))
}

func (g *generator) storage() string {
	v := g.value()
	cmd := g.pick("set", "set", "set", "add", "replace", "append", "prepend", "cas")
	line := fmt.Sprintf("%s %s %s %s %d", cmd, g.key(), g.flags(), g.exptime(), len(v))
	if cmd == "cas" {
		line += " " + g.cas()
	}
	return line + g.sometimes(8, " noreply") + "\r\n" + v + "\r\n"
}

func (g *generator) retrieval() string {
	cmd := g.pick("get", "get", "gets", "gat", "gats")
	if cmd[1] == 'a' {
		cmd += " " + g.exptime()
	}
	n := 1 + g.IntN(4)
	if g.IntN(200) == 0 {
		n = 900 // more than fits a read
	}
	for range n {
		cmd += " " + g.key()
	}
	return cmd + "\r\n"
}

func (g *generator) arithmetic() string {
	return fmt.Sprintf("%s %s %d%s\r\n", g.pick("incr", "decr"), g.key(), g.number64(), g.sometimes(8, " noreply"))
}

func (g *generator) removal() string {
	if g.IntN(2) == 0 {
		return fmt.Sprintf("delete %s%s%s\r\n", g.key(), g.sometimes(6, " 0"), g.sometimes(6, " noreply"))
	}
	return fmt.Sprintf("touch %s %s%s\r\n", g.key(), g.exptime(), g.sometimes(8, " noreply"))
}

// metaFlags chooses some of the flags.
func (g *generator) metaFlags(of string) string {
	var b strings.Builder
	for range g.IntN(6) {
		f := of[g.IntN(len(of))]
		b.WriteString(" " + string(f))
		switch f {
		case 'O':
			b.WriteString(strings.Repeat("o", []int{0, 1, 5, 31, 32, 33}[g.IntN(6)]))
		case 'T', 'N', 'R':
			b.WriteString(g.exptime())
		case 'C', 'E':
			b.WriteString(g.cas())
		case 'F':
			b.WriteString(g.flags())
		case 'D', 'J':
			fmt.Fprint(&b, g.number64())
		case 'M':
			b.WriteString(g.pick("E", "A", "P", "R", "S", "I", "D", "+", "-", "X", "", "ADD"))
		case 'P', 'L':
			b.WriteString(g.pick("", "path", "1"))
		}
	}
	return b.String()
}

// metaKey returns a key and, where it is base64, the flag that says so.
func (g *generator) metaKey() (key, flag string) {
	if g.IntN(6) != 0 {
		return g.key(), ""
	}
	return prefix + g.pick(keysInBase64...), " b"
}

// keysInBase64 follow the prefix, some of them well.
var keysInBase64 = []string{"AAA=", "AAAA", "Zm9v", "Z", "!!!!", ""}

func (g *generator) metaSet() string {
	v := g.value()
	k, b := g.metaKey()
	return fmt.Sprintf("ms %s %d%s%s\r\n%s\r\n", k, len(v), b, g.metaFlags("TFICEMNOqkcsv"), v)
}

func (g *generator) metaGet() string {
	k, b := g.metaKey()
	return fmt.Sprintf("mg %s%s%s\r\n", k, b, g.metaFlags("vvvvstfckOqTNRECuhlbx"))
}

func (g *generator) metaDelete() string {
	k, b := g.metaKey()
	return fmt.Sprintf("md %s%s%s\r\n", k, b, g.metaFlags("ICTEOqkxFt"))
}

func (g *generator) metaArithmetic() string {
	k, b := g.metaKey()
	return fmt.Sprintf("ma %s%s%s\r\n", k, b, g.metaFlags("vvtcNJDTMOqkCE"))
}

func (g *generator) other() string {
	return g.pick("mn\r\n", "mn x\r\n", "version\r\n", "version x\r\n", "verbosity 0\r\n", "verbosity\r\n",
		"verbosity 0 noreply\r\n", "me "+g.key()+"\r\n", "stats nonsense\r\n", "stats reset\r\n", "shutdown\r\n",
		"cache_memlimit\r\n", "cache_memlimit 1\r\n", "\r\n", "\n", "x\r\n", "quit x\r\n", "mx\r\n", "nonsense\r\n",
		"slabs\r\n", "slabs reassign 1\r\n", "slabs automove 9\r\n", "lru mode none\r\n", "lru tune 1\r\n",
		"lru m segmented\r\n", "lru mode flat x\r\n", "lru mode s\r\n", "lru t 10 25 .1 2.\r\n", "lru tune 60 25 1 1\r\n",
		"lru tune 10 25 0 1\r\n", "lru tune 10 25 -1 1\r\n", "stats re\r\n", "stats items x\r\n", "stats settings\r\n",
		"verbosity -1\r\n", "verbosity 99999999999\r\n", "shutdown x\r\n", "misbehave\r\n", "debugitem ref x\r\n",
		"flush_all noreply x\r\n", "flush_all 0 0 noreply\r\n", "cache_memlimit 1024\r\n", "cache_memlimit x\r\n",
		"cache_memlimit 1 noreply\r\n", "cache_memlimit 9999999999\r\n", "  verbosity 0\r\n", "  get x\r\n",
		"lru tune 10 25 0.1 2.0\r\n", "lru mode segmented\r\n", "lru temp_ttl x\r\n", "debugtime p\r\n",
		"refresh_certs\r\n", "me "+g.key()+" b x\r\n", "lru_crawler\r\n", "lru_crawler none\r\n", "lru_crawler sleep x\r\n", "gets\r\n", "get\r\n", "mg\r\n", "ms\r\n",
		"set\r\n", "incr\r\n", "touch\r\n", "stats detail\r\n", "stats cachedump\r\n", "flush_all x\r\n", "noreply\r\n")
}

func (g *generator) flush() string {
	g.era++
	return "flush_all" + g.sometimes(2, " "+g.pick("0", "-1", "2000000")) + g.sometimes(4, " noreply") + "\r\n"
}

// ending is what a server may close the connection for.
func (g *generator) ending() string {
	return g.pick("quit\r\n", "GET / HTTP/1.1\r\n", "GET /x\r\n", "Host: x\r\n", "\x16\x03\x01\r\n", strings.Repeat("z", 5000), "set "+prefix+" 0 0 10\r\n123",
		"get "+strings.Repeat("k ", 3000), strings.Repeat(" ", 200)+"get "+strings.Repeat("k ", 2000))
}
