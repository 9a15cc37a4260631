// Package harness runs memcached servers for tests: it builds gomcd, starts
// it or another memcached on an address that is free, speaks to it, and sees
// to its end.
//
// A test package has
//
//	func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
//
// and its tests [Start] servers of one of the [Kinds]: gomcd with test
// privileges, which lets it write coverage data as it exits; gomcd as in
// production; and, where the environment variable MEMCACHED names one, the
// memcached whose replies are expected of gomcd.
//
// Nothing here waits for a fixed time: what has to come true is waited for
// with [Eventually]. A server is stopped with SIGTERM when its test ends, and
// must end with status 0, having said nothing on stderr.
package harness
