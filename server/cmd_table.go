package server

import (
	"gomcd/cache"
	"gomcd/protocol"
)

// executor carries out one operation and appends its reply to the worker's
// output.
type executor func(w *worker, o *op, st *staged, c *conn)

// command is what the server knows of one command. Its grammar is the row of
// the same Kind in package protocol.
type command struct {
	run executor
	// counted takes the place of run while `stats detail` is on, if the command
	// is one that counts by prefix.
	counted executor
	mode    cache.Mode // how a classic storage command stores
}

// commands lists what each command does.
var commands = [protocol.NumKinds]command{
	protocol.Unknown:       {run: (*worker).unknown},
	protocol.Bad:           {run: (*worker).bad},
	protocol.BadKey:        {run: (*worker).badKey},
	protocol.OtherProtocol: {run: (*worker).otherProtocol},

	protocol.Get:  {run: (*worker).get, counted: (*worker).countGet},
	protocol.Gets: {run: (*worker).get, counted: (*worker).countGet},
	protocol.Gat:  {run: (*worker).get, counted: (*worker).countGet},
	protocol.Gats: {run: (*worker).get, counted: (*worker).countGet},

	protocol.Set:     {run: (*worker).storage, counted: (*worker).countStore, mode: cache.Set},
	protocol.Add:     {run: (*worker).storage, counted: (*worker).countStore, mode: cache.Add},
	protocol.Replace: {run: (*worker).storage, counted: (*worker).countStore, mode: cache.Replace},
	protocol.Append:  {run: (*worker).storage, counted: (*worker).countStore, mode: cache.Append},
	protocol.Prepend: {run: (*worker).storage, counted: (*worker).countStore, mode: cache.Prepend},
	protocol.CAS:     {run: (*worker).storage, counted: (*worker).countStore, mode: cache.CompareAndSwap},
	protocol.MetaSet: {run: (*worker).storage},

	protocol.Delete: {run: (*worker).delete, counted: (*worker).countDelete},
	protocol.Incr:   {run: (*worker).delta},
	protocol.Decr:   {run: (*worker).delta},
	protocol.Touch:  {run: (*worker).touch},

	protocol.MetaGet:        {run: (*worker).metaGet},
	protocol.MetaDelete:     {run: (*worker).metaDelete},
	protocol.MetaArithmetic: {run: (*worker).metaArithmetic},
	protocol.MetaDebug:      {run: (*worker).metaDebug},
	protocol.MetaNoop:       {run: (*worker).metaNoop},

	protocol.Quit:    {run: (*worker).quit},
	protocol.Version: {run: (*worker).version},
	protocol.Stats:   {run: (*worker).stats},
	protocol.Watch:   {run: (*worker).watch},

	protocol.FlushAll:      {run: (*worker).flushAll},
	protocol.Verbosity:     {run: (*worker).verbosity},
	protocol.Shutdown:      {run: (*worker).shutdown},
	protocol.Slabs:         {run: (*worker).slabs},
	protocol.LRU:           {run: (*worker).lru},
	protocol.LRUCrawler:    {run: (*worker).lruCrawler},
	protocol.CacheMemlimit: {run: (*worker).cacheMemlimit},
	protocol.RefreshCerts:  {run: (*worker).refreshCerts},
	protocol.DebugTime:     {run: (*worker).debugTime},
	protocol.DebugItem:     {run: (*worker).debugItem},
	protocol.Misbehave:     {run: (*worker).misbehave},

	protocol.Binary:        {run: (*worker).binary, counted: (*worker).countBinary},
	protocol.BinaryRefused: {run: (*worker).binaryRefused},
}

// The columns of commands that are looked at for each operation, and by what
// the executors themselves call.
var (
	executors  [2][protocol.NumKinds]executor // without and with counting by prefix
	storeModes [protocol.NumKinds]cache.Mode
)

func init() {
	for k := range commands {
		c := &commands[k]
		executors[0][k], executors[1][k] = c.run, c.run
		if c.counted != nil {
			executors[1][k] = c.counted
		}
		storeModes[k] = c.mode
	}
}
