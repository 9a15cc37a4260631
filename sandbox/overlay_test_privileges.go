package sandbox

// testPrivileges are what --test-privileges adds to the baseline, and only to
// the baseline: a binary built with -cover writes its data as it exits, on the
// exiting goroutine's thread, which is never one with a role.
func testPrivileges() []Rule {
	const feature = "--test-privileges"
	var rules []Rule
	for _, r := range []Rule{
		allow("openat", "opens the files for coverage data; Landlock opens their directory alone"),
		allow("newfstatat", "looks whether they are there"),
		allow("fstat", "looks what was opened"),
		allow("fcntl", "Go's os package sets descriptors up"),
		allow("read", "looks at what an earlier process wrote"),
		allow("pread64", "looks at what an earlier process wrote"),
		allow("write", "writes the data"),
		allow("pwrite64", "writes the data"),
		allow("lseek", "measures the data"),
		allow("close", "closes the files"),
		allow("getdents64", "looks for data of the same binary"),
		allow("renameat", "puts a finished file in place"),
		allow("renameat2", "puts a finished file in place"),
		allow("rename", "puts a finished file in place"),
		allow("unlinkat", "removes an unfinished file"),
		allow("getpid", "names the files"),
		allow("getcwd", "finds relative names"),
		allow("epoll_create1", "Go's os package tries to poll a file"),
		allow("eventfd2", "Go's os package tries to poll a file"),
		allow("epoll_ctl", "Go's os package tries to poll a file"),
		allow("epoll_pwait", "Go's os package tries to poll a file"),
	} {
		r.Feature = feature
		rules = append(rules, r)
	}
	return rules
}
