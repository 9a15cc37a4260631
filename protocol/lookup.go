package protocol

// A command is looked up by the bytes before the first space of its line, once
// a line: a hash table of the names, made from the rows.

// indexSize is a power of two, several times the number of names.
const indexSize = 64

// index has the kinds of the commands that are not known byWord, each at the
// slot of its name or, where that is taken, at one of the next.
var index = makeIndex()

func makeIndex() (t [indexSize]Kind) {
	for k := range table {
		r := &table[k]
		if r.name == "" || r.traits&byWord != 0 {
			continue
		}
		i := slot([]byte(r.name))
		for t[i] != Unknown {
			i = (i + 1) % indexSize
		}
		t[i] = Kind(k)
	}
	return t
}

// slot is where a name of at least two bytes is looked for first. As they are,
// the names all have slots of their own.
func slot(name []byte) int {
	n := len(name)
	return (n + int(name[0]) + int(name[1]) + int(name[n-1])<<4) % indexSize
}

// lookup finds a command by the exact bytes of its name.
func lookup(name []byte) Kind {
	if len(name) < 2 {
		return Unknown
	}
	for i := slot(name); ; i = (i + 1) % indexSize {
		if k := index[i]; k == Unknown || table[k].name == string(name) {
			return k
		}
	}
}
