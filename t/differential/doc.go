// Package differential compares gomcd with memcached on random streams of
// commands, valid and broken.
//
// A stream ([Stream]) is made from a seed (generate.go, mutate.go): what one
// client sends on one connection, and where that is cut into pieces. It is
// sent to both servers (target.go), then the connection is closed for writing,
// and everything the servers answer until they close it is compared
// (answer.go). CAS numbers that a server has given out are compared by how far
// they are from the first; what is known to differ, and is meant to, is left
// out by rules that have names (rules.go). A stream that is answered
// differently is made as small as it can be while it still is (shrink.go), and
// printed as a transcript for t/testdata.
//
// Some of memcached's answers depend on when its reads happen to end: a reply
// that is not sent yet when a connection is closed is lost, and an item that a
// reply still refers to is not changed in place. So a stream counts as answered
// differently only if memcached never gives gomcd's answer, however the stream
// is cut. That also takes care of seconds that pass meanwhile.
//
//	make differential STREAMS=100000 SEED=1 MEMCACHED=/path/to/memcached
//
// Without a memcached, the streams in testdata/corpus.txt are replayed and
// compared with the answers that memcached gave when they were recorded (make
// differential-record).
package differential
