package protocol

// MaxKeyLength is the longest key in bytes (doc/protocol.txt, "Keys").
const MaxKeyLength = 250

// Kind is which command a line holds.
type Kind uint8

// The kinds. Those from Get to Gats take a list of keys, those from Set to
// CAS are followed by a data block.
const (
	Unknown Kind = iota // no such command: ERROR
	Bad                 // a command that cannot be carried out: Command.Err
	HTTP                // a line that ends in HTTP/..: the connection is closed

	Get
	Gets
	Gat
	Gats

	Set
	Add
	Replace
	Append
	Prepend
	CAS

	Delete
	Incr
	Decr
	Touch

	MetaGet
	MetaSet
	MetaDelete
	MetaArithmetic
	MetaDebug
	MetaNoop

	Quit
	Version
	Stats
	Watch

	FlushAll
	Verbosity
	Shutdown
	Slabs
	LRU
	LRUCrawler
	CacheMemlimit
	DebugTime
	DebugItem
	Misbehave

	// Packets of the binary protocol; see ParseBinary.
	Binary        // one that can be carried out
	BinaryRefused // one that is only answered

	NumKinds
)

// row is one command: its name, how many words its line has at least (the
// name counts), and the parser of its arguments.
type row struct {
	name  string
	min   int
	parse func(*Command, *row, []byte) bool
}

// table lists every command by Kind. A parser returns false for a line that
// is answered with "CLIENT_ERROR bad command line format" at once, without
// looking for a data block.
var table = [NumKinds]row{
	Get:  {"get", 2, parseRetrieval},
	Gets: {"gets", 2, parseRetrieval},
	Gat:  {"gat", 3, parseRetrieval},
	Gats: {"gats", 3, parseRetrieval},

	Set:     {"set", 5, parseStorage},
	Add:     {"add", 5, parseStorage},
	Replace: {"replace", 5, parseStorage},
	Append:  {"append", 5, parseStorage},
	Prepend: {"prepend", 5, parseStorage},
	CAS:     {"cas", 5, parseStorage},

	Delete: {"delete", 2, parseDelete},
	Incr:   {"incr", 3, parseDelta},
	Decr:   {"decr", 3, parseDelta},
	Touch:  {"touch", 3, parseTouch},

	MetaGet:        {"mg", 2, parseMeta},
	MetaSet:        {"ms", 3, parseMetaSet},
	MetaDelete:     {"md", 2, parseMeta},
	MetaArithmetic: {"ma", 2, parseMeta},
	MetaDebug:      {"me", 2, parseMetaDebug},
	MetaNoop:       {"mn", 1, nil},

	Quit:    {"quit", 1, nil},
	Version: {"version", 1, nil},
	Stats:   {"stats", 1, nil},
	Watch:   {"watch", 1, nil},

	FlushAll:      {"flush_all", 1, parseAdmin},
	Verbosity:     {"verbosity", 1, parseAdmin},
	Shutdown:      {"shutdown", 1, parseAdmin},
	Slabs:         {"slabs", 1, parseAdmin},
	LRU:           {"lru", 1, parseAdmin},
	LRUCrawler:    {"lru_crawler", 1, parseAdmin},
	CacheMemlimit: {"cache_memlimit", 1, parseAdmin},
	DebugTime:     {"debugtime", 1, parseAdmin},
	DebugItem:     {"debugitem", 1, parseAdmin},
	Misbehave:     {"misbehave", 1, parseAdmin},
}

// firstAdmin is the first kind that memcached looks up by word instead of by
// the bytes before the first space, so that leading spaces are allowed.
const firstAdmin = FlushAll

// Name is the command's word, or "" for a kind that is none.
func (k Kind) Name() string { return table[k].name }

// Command is one parsed line. Its slices point into the input.
type Command struct {
	Kind    Kind
	NoReply bool // classic commands: the last word is noreply
	HasBody bool // a data block of VLen bytes and \r\n follows

	// Err is the reply to give instead of carrying the command out; "" if
	// there is nothing wrong. A data block that follows is skipped.
	Err string

	Key []byte // the key; of retrieval commands all keys, see NextKey
	// Line is the whole line without its end.
	Line []byte

	ClientFlags uint32
	Exptime     int32
	VLen        int    // bytes in the data block
	CAS         uint64 // cas unique to compare with
	Delta       uint64 // of incr and decr

	Meta Meta
	tok  tokens
}

// Args returns the number of words of the line, the command's name included,
// at most 23. It counts for administrative and meta commands, stats and watch.
func (c *Command) Args() int { return c.tok.n }

// Arg returns word i of the line (0 is the name), or nil.
func (c *Command) Arg(i int) []byte { return c.tok.get(c.Line, i) }
