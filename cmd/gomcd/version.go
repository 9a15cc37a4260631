package main

import "gomcd/cmd/internal/release"

// compatible is the version of memcached that gomcd behaves as. It is all that
// the command `version`, `stats` and the first line of -V say, because clients
// compare it: libmemcached reads three numbers up to 255, the npm client
// memcached takes the last three numbers that it finds, Ruby's Gem::Version and
// .NET's Version accept nothing but numbers, and PHP's version_compare takes
// anything after them for a pre-release.
const compatible = "1.6.45"

// own is gomcd's version: `stats` has it as gomcd_version.
const own = release.Version

// banner is what -V prints, and what -h and -i begin with. Scripts that find
// out which memcached is installed look for this name and a number in its first
// line (upstream's own suite, configuration management facts).
const banner = "memcached " + compatible + "\ngomcd " + own
