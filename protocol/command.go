package protocol

// MaxKeyLength is the longest key in bytes (doc/protocol.txt, "Keys").
const MaxKeyLength = 250

// Kind is which command a line holds.
type Kind uint8

// The kinds. Their order has no meaning: what a command is like is in its row.
const (
	Unknown       Kind = iota // no such command: ERROR
	Bad                       // a command that cannot be carried out: Command.Err
	BadKey                    // a retrieval of which a key is too long: see ErrLongKey
	OtherProtocol             // a line of another protocol: the connection is closed, see Foreign

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
	RefreshCerts
	DebugTime
	DebugItem
	Misbehave

	// Packets of the binary protocol; see ParseBinary.
	Binary        // one that can be carried out
	BinaryRefused // one that is only answered

	NumKinds
)

// row is everything that the grammar knows of one command. What it does is the
// row of the same Kind in package server.
type row struct {
	name   string
	min    int    // words of its line at least, the name included
	traits traits // facts that a reader of operations asks for
	// parse reads the arguments. It returns false for a line that is answered
	// with "CLIENT_ERROR bad command line format" at once, without looking for
	// a data block. nil: there are none.
	parse func(*Command, *row, []byte) bool
}

// traits are facts about a command.
type traits uint8

const (
	retrieves  traits = 1 << iota // takes a list of keys, each an operation of its own
	touches                       // a retrieval that sets the expiration time of what it finds
	returnsCAS                    // a retrieval that returns CAS values
	keyed                         // looks one key up
	// byWord is known by its first word, wherever that is, instead of by the
	// bytes before the first space: leading spaces are allowed, as in memcached.
	byWord
)

// table lists every command by Kind.
var table = [NumKinds]row{
	Get:  {"get", 2, retrieves, parseRetrieval},
	Gets: {"gets", 2, retrieves | returnsCAS, parseRetrieval},
	Gat:  {"gat", 3, retrieves | touches, parseRetrieval},
	Gats: {"gats", 3, retrieves | touches | returnsCAS, parseRetrieval},

	Set:     {"set", 5, keyed, parseStorage},
	Add:     {"add", 5, keyed, parseStorage},
	Replace: {"replace", 5, keyed, parseStorage},
	Append:  {"append", 5, keyed, parseStorage},
	Prepend: {"prepend", 5, keyed, parseStorage},
	CAS:     {"cas", 5, keyed, parseStorage},

	Delete: {"delete", 2, keyed, parseDelete},
	Incr:   {"incr", 3, keyed, parseDelta},
	Decr:   {"decr", 3, keyed, parseDelta},
	Touch:  {"touch", 3, keyed, parseTouch},

	MetaGet:        {"mg", 2, keyed, parseMeta},
	MetaSet:        {"ms", 3, keyed, parseMetaSet},
	MetaDelete:     {"md", 2, keyed, parseMeta},
	MetaArithmetic: {"ma", 2, keyed, parseMeta},
	MetaDebug:      {"me", 2, keyed, parseMetaDebug},
	MetaNoop:       {"mn", 1, 0, nil},

	Quit:    {"quit", 1, 0, nil},
	Version: {"version", 1, 0, parseWords},
	Stats:   {"stats", 1, 0, parseWords},
	Watch:   {"watch", 1, 0, parseWords},

	FlushAll:      {"flush_all", 1, byWord, nil},
	Verbosity:     {"verbosity", 1, byWord, nil},
	Shutdown:      {"shutdown", 1, byWord, nil},
	Slabs:         {"slabs", 1, byWord, nil},
	LRU:           {"lru", 1, byWord, nil},
	LRUCrawler:    {"lru_crawler", 1, byWord, nil},
	CacheMemlimit: {"cache_memlimit", 1, byWord, nil},
	RefreshCerts:  {"refresh_certs", 1, byWord, nil},
	DebugTime:     {"debugtime", 1, byWord, nil},
	DebugItem:     {"debugitem", 1, byWord, nil},
	Misbehave:     {"misbehave", 1, byWord, nil},
}

// Name is the command's word, or "" for a kind that is none.
func (k Kind) Name() string { return table[k].name }

// Retrieves says whether the command takes a list of keys: get, gets, gat and
// gats.
func (k Kind) Retrieves() bool { return table[k].traits&retrieves != 0 }

// Touches says whether a retrieval sets the expiration time of what it finds.
func (k Kind) Touches() bool { return table[k].traits&touches != 0 }

// ReturnsCAS says whether a retrieval returns CAS values.
func (k Kind) ReturnsCAS() bool { return table[k].traits&returnsCAS != 0 }

// Keyed says whether the command looks one key up.
func (k Kind) Keyed() bool { return table[k].traits&keyed != 0 }

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
