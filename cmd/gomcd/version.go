package main

// version is what `version`, `stats`, -V and -h say. It begins with the
// version of memcached that gomcd behaves as, because that is what clients
// compare, and goes on with what it really is. How it is read decides its form:
//
//   - libmemcached, and with it php-memcached and pylibmc, reads three numbers
//     up to 255 with dots between them and stops at the first byte that is
//     neither;
//   - dalli and others take the last word of the line: there is no space in it;
//   - pymemcache and most exporters pass the text on as it is;
//   - whoever compares it as a semantic version (or as Python packages are
//     versioned) finds it equal to or just above 1.6.45, because what follows a
//     '+' is build metadata. After a '-' it would be a pre-release, older than
//     1.6.45.
const version = compatible + "+gomcd." + own

const (
	compatible = "1.6.45"
	own        = "0.1.0"
)

// banner is the line that -V prints and -h begins with. Scripts that find out
// which memcached is installed look for this name at the beginning of it
// (upstream's own suite, configuration management facts).
const banner = "memcached " + version
