// Package release has the version of the programs in this repository.
package release

// Version is gomcd's own version.
const Version = "0.1.0"
