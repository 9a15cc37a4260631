package main

import "slices"

// differs has the flags, and words of -o, that do not do just what memcached's do:
// for --check, in a line each. docs/compatibility.md says more.
var differs = map[string]string{
	"-U": "a request that is not understood is not answered; other servers' ports are not answered",
	"-l": "addresses of a host name that are in use are left out with a warning; one that is part of an earlier one's text (10.0.0.1 after 10.0.0.10) is served",
	"-d": "returns when the server is ready, or with its exit status",
	"-r": "a crash in Go code writes stacks and no core file",
	"-u": "files and the unix socket are opened as that user; ports are bound as root",
	"-c": "all of them are clients'; memcached uses some thirty itself",
	"-k": "each page is locked when it is first used, not at the start",
	"-v": "the wording of messages differs",
	"-P": "is removed at the end with and without -d",
	"-L": "has no effect",
	"-R": "is the same if given; the default is 16 KiB of requests per turn",
	"-S": "the mechanism is PLAIN, and the users are in the file of MEMCACHED_SASL_PWDB, read at the start and on SIGHUP",
	"-Y": "up to 64 users; guesses are delayed; a file that others may write to is refused",
	"-e": "memory for the file is allocated at the start; memcached's own files cannot be read",
	"-Z": "the private key is in another process; both end together",
	"-N": "has no effect",

	"-o tail_repair_time":        "has no effect: nothing needs repair",
	"-o hash_algorithm":          "has no effect: the hash is gomcd's own",
	"-o read_buf_mem_limit":      "is the same, and a pipeline is never too long",
	"-o resp_obj_mem_limit":      "has no effect, as with memcached",
	"-o slab_automove_freeratio": "has no effect: it belongs to external storage",
	"-o inline_ascii_resp":       "has no effect, as with memcached",
	"-o no_inline_ascii_resp":    "has no effect, as with memcached",
	"-o ssl_key":                 "can be left out if the key is in ssl_chain_cert",
	"-o ssl_ciphers":             "names suites of TLS 1.2 one by one, and has no keywords",
	"-o ssl_wbuf_size":           "has no effect",
	"-o ssl_min_version":         "is 2 or 3: TLS 1.0 and 1.1 are refused",
	"-o drop_privileges":         "is on anyway, for every thread",
}

// differences lists, of the flags that were given, those that do not do just what
// memcached's do.
func (c *command) differences() (lines []string) {
	var told []string
	for _, name := range c.seen {
		if text, ok := differs[name]; ok && !slices.Contains(told, name) {
			told = append(told, name)
			lines = append(lines, "differs from memcached: "+name+": "+text)
		}
	}
	return lines
}
