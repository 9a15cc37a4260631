package sandbox

// testPrivileges are what --test-privileges adds to the baseline, and only to
// the baseline: a binary built with -cover writes its data as it exits, on the
// exiting goroutine's thread, which is never one with a role.
func testPrivileges() []Rule {
	const feature = "--test-privileges"
	var rules []Rule
	for _, r := range []Rule{
		Allow("openat", "opens the files for coverage data; Landlock opens their directory alone"),
		Allow("newfstatat", "looks whether they are there"),
		Allow("fcntl", "Go's os package sets descriptors up"),
		Allow("epoll_ctl", "Go's os package tries to poll a file"),
		Allow("write", "writes the data"),
		Allow("close", "closes the files"),
		Allow("renameat", "puts a finished file in place"),
		Allow("getpid", "names the files"),
	} {
		r.Feature = feature
		rules = append(rules, r)
	}
	return rules
}
