package events

import "gomcd/cache"

// The kinds of events besides the store's.
const (
	Connections = cache.FirstOther << iota
	Deletions
)

// Streams are the words of `watch`, in memcached's order, which decides what an
// abbreviation means. Those without events are there for things that gomcd does not have.
var Streams = []struct {
	Name   string
	Events cache.Events
}{
	{"rawcmds", 0}, // memcached sends none either
	{"evictions", cache.Evictions},
	{"fetchers", cache.Fetches},
	{"mutations", cache.Stores},
	{"sysevents", cache.Crawls},
	{"connevents", Connections},
	{"proxyreqs", 0},
	{"proxyevents", 0},
	{"proxyuser", 0},
	{"deletions", Deletions},
}

// events is the kind of event that watchers ask for.
func (e *Entry) events() cache.Events {
	if int(e.Kind) >= len(eventsOfKind) {
		return 0
	}
	return eventsOfKind[e.Kind]
}

var eventsOfKind = [...]cache.Events{
	Get: cache.Fetches, Store: cache.Stores, Eviction: cache.Evictions, Delete: Deletions,
	Crawl: cache.Crawls, SlabMove: cache.Crawls,
	ConnNew: Connections, ConnClose: Connections, TLSError: Connections, HandshakeError: Connections,
}
