package main

// version is what `version`, `stats` and -V answer. It begins with the version
// of memcached that gomcd behaves as, for clients compare numbers (libmemcached
// reads major.minor.micro and stops at what is no digit), and then says what it
// really is.
const version = compatible + "-gomcd-" + own

const (
	compatible = "1.6.45"
	own        = "0.1.0"
)
