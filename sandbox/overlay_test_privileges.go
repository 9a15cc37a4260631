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
		Allow("fstat", "looks what was opened"),
		Allow("fcntl", "Go's os package sets descriptors up"),
		Allow("read", "looks at what an earlier process wrote"),
		Allow("pread64", "looks at what an earlier process wrote"),
		Allow("write", "writes the data"),
		Allow("pwrite64", "writes the data"),
		Allow("lseek", "measures the data"),
		Allow("close", "closes the files"),
		Allow("getdents64", "looks for data of the same binary"),
		Allow("renameat", "puts a finished file in place"),
		Allow("renameat2", "puts a finished file in place"),
		Allow("rename", "puts a finished file in place"),
		Allow("unlinkat", "removes an unfinished file"),
		Allow("getpid", "names the files"),
		Allow("getcwd", "finds relative names"),
		Allow("epoll_create1", "Go's os package tries to poll a file"),
		Allow("eventfd2", "Go's os package tries to poll a file"),
		Allow("epoll_ctl", "Go's os package tries to poll a file"),
		Allow("epoll_pwait", "Go's os package tries to poll a file"),
	} {
		r.Feature = feature
		rules = append(rules, r)
	}
	return rules
}
